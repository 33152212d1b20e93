"""Waits of the code under test, replaced in the thread of the test alone."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest


def replace_sleep(monkeypatch: pytest.MonkeyPatch, sleep: Callable[[float], Any]) -> None:
    """Call `sleep` instead of `time.sleep`, except in other threads.

    Threads that servers of earlier tests have left behind keep sleeping. They would otherwise spin,
    and their waits would be taken for those of the test.
    """
    ours, real = threading.get_ident(), time.sleep

    def replaced(seconds: float) -> None:
        (sleep if threading.get_ident() == ours else real)(seconds)

    monkeypatch.setattr(time, "sleep", replaced)
