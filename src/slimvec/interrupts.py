"""Ctrl-C and SIGTERM, heard at once whatever the process is in the middle of.

Python runs the handler of a signal in the main thread, between two instructions of its own: while a matrix product or
a tokenizer works, nobody listens. So the signal's number is written to a socket as well, which the operating system
does at once (`signal.set_wakeup_fd`), and a thread reads it there. The thread says what is waited for, and ends the
process if the main thread does not come back in time, or at the second signal. That is safe wherever a kill is: output
appears whole or not at all (`slimvec.files`).

A background process of a script starts with SIGINT ignored; listening replaces that.
"""

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 1.0
"""Time for the main thread to come back, so that all is over within two seconds."""
_ACKNOWLEDGE_SECONDS = 0.2
_SAME_SECONDS = 0.1
"""Signals so close together are one: a terminal and a wrapper may both send it."""
_DONE = b"\0"
_watching: "list[_Watcher]" = []


@contextmanager
def listening(*, acknowledge: Callable[[], None], end: Callable[[], int]) -> Iterator[None]:
    """Listen within the body, which gets a `KeyboardInterrupt` at the first signal.

    A body that sets its own handlers meanwhile, as training does to save its work first, is given all the time it
    takes; the second signal ends it too. Outside the main thread, where Python delivers no signals, nothing is done.

    Args:
        acknowledge: Called at once at the first signal, from another thread.
        end: Called from another thread when the process is about to be ended, which happens when the body does not end
            in `GRACE_SECONDS`, or at a second signal. Gives the exit code.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _Watcher(acknowledge, end).watching():
        yield


class _Watcher:
    """The thread that hears signals, and what it knows.

    Args:
        acknowledge: As for `listening`.
        end: As for `listening`.
    """

    def __init__(self, acknowledge: Callable[[], None], end: Callable[[], int]) -> None:
        self._acknowledge, self._end = acknowledge, end
        self._heard, self._written = socket.socketpair()
        self._written.setblocking(False)
        self._acknowledged = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take over the signals within the body."""
        thread = threading.Thread(target=self._watch, name="slimvec signals", daemon=True)
        before = {number: signal.getsignal(number) for number in SIGNALS}
        wakeup = -1
        _watching.append(self)
        try:
            thread.start()  # waits until the thread runs: a signal may end that wait too
            for number in SIGNALS:
                signal.signal(number, self._interrupt)
            wakeup = signal.set_wakeup_fd(self._written.fileno(), warn_on_full_buffer=False)
            yield
        finally:
            _watching.remove(self)
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._written.send(_DONE)  # also to a thread that has not begun yet
            if thread.is_alive():
                thread.join()
            self._written.close()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the main thread, once the line about it is out."""
        self._acknowledged.wait(_ACKNOWLEDGE_SECONDS)
        signal.default_int_handler(number, frame)

    def _watch(self) -> None:
        """Wait for signals; ends with the body, or ends the process."""
        first: float | None = None
        with self._heard:
            while (number := self._next(self._left(first))) != _DONE:
                if first is None:
                    first = time.monotonic()
                    self._begin()
                elif not number or time.monotonic() > first + _SAME_SECONDS:
                    self._end_process()

    def _left(self, first: float | None) -> float | None:
        """Seconds that the main thread has left since the first signal; None without an end."""
        return None if first is None or self._is_held() else first + GRACE_SECONDS - time.monotonic()

    def _next(self, seconds: float | None) -> bytes:
        """Give the next signal to stop, or `_DONE`; nothing when the time is over."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._heard], [], [], left)[0]:
                return b""
            number = self._heard.recv(1)
            if number == _DONE or number[0] in SIGNALS:
                return number

    def _begin(self) -> None:
        """Answer the first signal."""
        self._acknowledge()
        self._acknowledged.set()

    def _is_held(self) -> bool:
        """Whether the body has its own handlers, and ends when it is ready."""
        return any(signal.getsignal(number) != self._interrupt for number in SIGNALS)

    def _end_process(self) -> None:
        """End the process and those it started, with nothing half-written left."""
        from slimvec.files import sweep

        code = self._end()
        _end_children()
        sweep()
        os._exit(code)


def _end_children() -> None:
    """End the processes that this one started."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()  # also the tracker of semaphores, which would count those that are held as lost
        except psutil.NoSuchProcess:  # ended by itself meanwhile
            continue


def _leave_to_parent() -> None:
    """Give a forked child the usual handlers: its signals are none of its parent's."""
    if _watching:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
