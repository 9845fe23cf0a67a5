"""Listening for signals, where a signal comes before it has begun."""

import signal
import threading

import pytest

from slimvec.cli.progress import Task, shown
from slimvec.interrupts import SIGNALS, listening


@pytest.fixture
def interrupted_start(monkeypatch):
    """Make a signal come when a thread has been started, before `start` comes back."""
    start, started = threading.Thread.start, []

    def cut_short(thread):
        start(thread)
        started.append(thread)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    monkeypatch.setattr(threading.Thread, "start", cut_short)
    yield started
    signal.signal(signal.SIGINT, before)


def test_a_signal_while_listening_begins_leaves_things_as_they_were(interrupted_start):
    handlers = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(KeyboardInterrupt), listening(acknowledge=pytest.fail, end=pytest.fail):
        pytest.fail("the body ran")
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    assert signal.set_wakeup_fd(-1) == -1
    assert [thread.is_alive() for thread in interrupted_start] == [False]


def test_a_signal_while_progress_begins_ends_its_lines(interrupted_start):
    with pytest.raises(KeyboardInterrupt), shown(Task("embedding"), quiet=False):
        pytest.fail("the body ran")
    assert [thread.is_alive() for thread in interrupted_start] == [False]
