import os

import pytest


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch):
    """Leave out the flushing to disk, which tests with many tiny blocks would mostly wait for."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
