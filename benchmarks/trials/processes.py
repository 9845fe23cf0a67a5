"""Commands in processes forked from one that has everything imported, so that a trial takes no seconds to start."""

import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

COMMAND_LINE = "slimvec.cli.app"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code; below 0 the signal that killed it.
        said: What it wrote on stdout, and on stderr where that has no file of its own.
        seconds: It took.
    """

    code: int
    said: str
    seconds: float


class Started:
    """A command at work: `main` of a module, in a fork of this process.

    Args:
        arguments: Words of the command line, without the program's name.
        stdout: File for what it writes.
        before: Called in its process before it begins.
        stderr: File for what it says on stderr; default the same.
        module: Whose `main` is run.

    Attributes:
        pid: Number of the process.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        stdout: Path,
        *,
        before: Callable[[], None],
        stderr: Path | None = None,
        module: str = COMMAND_LINE,
    ) -> None:
        self._stdout, self._began = stdout, time.perf_counter()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _work(module, [*map(str, arguments)], [stdout, stderr or stdout], before)

    def kill(self) -> None:
        """End it with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> Ended:
        """Wait for its end."""
        _, status = os.waitpid(self.pid, 0)
        seconds = time.perf_counter() - self._began
        return Ended(os.waitstatus_to_exitcode(status), self._stdout.read_text(errors="replace"), seconds)


def _work(module: str, arguments: list[str], outputs: Sequence[Path], before: Callable[[], None]) -> NoReturn:
    """Run a command in this process, a fresh fork, and end it."""
    code = 70
    try:
        for number, path in enumerate([Path(os.devnull), *outputs]):
            # Appended to, so that stdout and stderr may share a file.
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600), number)
        main = importlib.import_module(module).main
        before()
        sys.argv = ["slimvec", *arguments]
        code = main()
        sys.stdout.flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
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
