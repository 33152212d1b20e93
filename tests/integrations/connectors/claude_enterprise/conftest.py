"""Record pauses instead of waiting."""

import pytest


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Record the seconds the client would have slept, in order."""
    noted: list[float] = []
    monkeypatch.setattr("time.sleep", noted.append)
    return noted
