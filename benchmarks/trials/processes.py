"""Commands in processes forked from one that has everything imported, so that a trial takes no seconds to start."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from slimvec.cli.app import run


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code; below 0 the signal that killed it.
        said: What it wrote on stdout and stderr.
        seconds: It took.
    """

    code: int
    said: str
    seconds: float


class Started:
    """A command at work.

    Args:
        arguments: Arguments of `slimvec`.
        log: File for what it writes.
        before: Called in its process before it begins.
    """

    def __init__(self, arguments: Sequence[str | Path], log: Path, *, before: Callable[[], None]) -> None:
        self._log, self._began = log, time.perf_counter()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _work([str(argument) for argument in arguments], log, before)

    def kill(self) -> None:
        """End it with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> Ended:
        """Wait for its end."""
        _, status = os.waitpid(self.pid, 0)
        seconds = time.perf_counter() - self._began
        return Ended(os.waitstatus_to_exitcode(status), self._log.read_text(errors="replace"), seconds)


def _work(arguments: list[str], log: Path, before: Callable[[], None]) -> NoReturn:
    """Run a command in this process, a fresh fork, and end it."""
    code = 70
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        sys.argv = ["slimvec", *arguments]
        before()
        code = run(arguments)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def complete(start: Callable[[], Started]) -> Ended:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed.
    """
    ended = start().wait()
    if ended.code:
        raise RuntimeError(f"exit code {ended.code}: {ended.said}")
    return ended
