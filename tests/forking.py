"""A process that has imported everything, and forks a child for each command line it is asked to run.

So a real process of its own costs no new interpreter with torch. It reads a request a line on stdin, answers `pid N`
when the child is there and `code N` when it has ended. A child is a process as users have it: its own folder, signals
and environment. It can be given a limit on the size of files, folders that are read-only, and one function of the
program that does not come back and hears no signal, as a matrix product in C does not.

Tests have it as the fixture `stage`.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from benchmarks.trials import conditions
from benchmarks.trials.processes import COMMAND_LINE, Started


def stuck(marker: Path) -> None:
    """Do not come back within a minute, whatever signals arrive in this thread."""
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    marker.touch()
    ctypes.CDLL(None).sleep(60)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def replace(target: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace `module:name` or `module:Class.name` by what `wrap` makes of it."""
    module, _, names = target.partition(":")
    owner = importlib.import_module(module)
    *path, name = names.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, name, wrap(getattr(owner, name)))


def make_slow(target: str, after: str | None, marker: Path) -> None:
    """Have a function not come back, from its first call on or from the first one once `after` has been called."""
    armed = after is None

    def slow(original):
        def call(*arguments, **options):
            if armed:
                stuck(marker)
            return original(*arguments, **options)

        return call

    def arm(original):
        def call(*arguments, **options):
            nonlocal armed
            armed = True
            return original(*arguments, **options)

        return call

    replace(target, slow)
    if after is not None:
        replace(after, arm)


class Child:
    """A command in a process that the stage forked.

    Args:
        stage: The stage's process.
        folder: To be in.
        arguments: Words of the command line.
        more: As `started` reads it.

    Attributes:
        pid: Number of the process.
    """

    def __init__(self, stage: "subprocess.Popen[str]", folder: Path, *arguments: object, **more: object) -> None:
        self._stage, self.folder = stage, folder
        environment = {"SLIMVEC_CACHE": os.environ["SLIMVEC_CACHE"]}
        request = {"folder": str(folder), "arguments": [*map(str, arguments)], "environment": environment, **more}
        assert stage.stdin is not None
        assert stage.stdout is not None
        stage.stdin.write(json.dumps(request) + "\n")
        stage.stdin.flush()
        word, pid = stage.stdout.readline().split()
        assert word == "pid"
        self.pid = int(pid)

    @property
    def errors(self) -> str:
        """What it has written on stderr so far."""
        return self._read("stderr.txt")

    @property
    def output(self) -> str:
        """What it has written on stdout so far."""
        return self._read("stdout.txt")

    def _read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def wait_until(self, what: Callable[[], bool]) -> None:
        """Wait until something is so.

        Raises:
            AssertionError: the command ended before that.
        """
        while not what():
            if select.select([self._stage.stdout], [], [], 0.01)[0]:
                raise AssertionError(f"ended with code {self.wait()[0]}: {self.errors}")

    def wait(self) -> tuple[int, float]:
        """Wait for its end: exit code, below 0 the signal that killed it, and the time (`time.monotonic`)."""
        assert self._stage.stdout is not None
        word, code, ended = self._stage.stdout.readline().split()
        assert word == "code"
        return int(code), float(ended)

    def kill(self) -> None:
        """End it with SIGKILL.

        Raises:
            AssertionError: it had ended by itself.
        """
        os.kill(self.pid, signal.SIGKILL)
        code, _ = self.wait()
        assert code == -signal.SIGKILL, f"ended with code {code} before it was killed: {self.errors}"


def started(request: dict) -> Started:
    """Fork the process of a command: `main` of a module, with arguments.

    Args:
        request: `folder` to be in, `arguments`, `environment`; and where they are wanted `module` (default slimvec's),
            `limit` (most bytes of a file), `read_only` (folders), `slow` and `after` (as for `make_slow`).
    """
    folder = Path(request["folder"])

    def before() -> None:
        os.chdir(folder)
        os.environ.update(request["environment"])
        for number in (signal.SIGINT, signal.SIGTERM):
            # As in the background of a script: SIGINT is ignored there.
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        if request.get("slow"):
            make_slow(request["slow"], request.get("after"), Path("slow"))
        if request.get("limit") is not None:
            conditions.limit_files(request["limit"])
        conditions.make_read_only(request.get("read_only", ()))
        warnings.simplefilter("ignore")

    return Started(
        request["arguments"],
        folder / "stdout.txt",
        stderr=folder / "stderr.txt",
        before=before,
        module=request.get("module", COMMAND_LINE),
    )


def serve() -> None:
    """Answer requests until stdin ends."""
    torch.set_num_threads(1)
    logging.disable_progress_bar()  # as the command line does by the environment, before transformers is there
    for module in (
        COMMAND_LINE,
        "benchmarks.trials.__main__",
        "slimvec.engine.embedder",
        "slimvec.engine.frozen",
        "slimvec.evaluation.teachers",
        "slimvec.model.folder",
        "slimvec.training.run.training_run",
    ):
        importlib.import_module(module)
    gc.collect()
    for line in sys.stdin:
        command = started(json.loads(line))
        print("pid", command.pid, flush=True)
        print("code", command.wait().code, time.monotonic(), flush=True)


if __name__ == "__main__":
    serve()
