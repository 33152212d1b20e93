"""Record pauses instead of waiting."""

import pytest

from tests.waiting import replace_sleep


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Record the seconds the client would have slept, in order."""
    noted: list[float] = []
    replace_sleep(monkeypatch, noted.append)
    return noted
