import os

import pytest


@pytest.fixture
def no_power_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes that do not wait for the disk: a killed process loses nothing that it has written, power alone would."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
