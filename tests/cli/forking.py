"""A process that has imported everything, and forks a child for each command line it is asked to run.

It reads a request a line on stdin, answers `pid N` when the child is there and `code N` when it has ended. In the child
one function of the program does not come back and hears no signal, as a matrix product in C does not. Started by
`tests/cli/test_stopping.py`.
"""

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging


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


def child(request: dict) -> None:
    """Be the process of a command."""
    from slimvec.cli.app import main

    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    for number, name in ((0, os.devnull), (1, "stdout.txt"), (2, "stderr.txt")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    for number in (signal.SIGINT, signal.SIGTERM):
        # As in the background of a script: SIGINT is ignored there.
        signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
    make_slow(request["slow"], request["after"], Path("slow"))
    sys.argv = ["slimvec", *request["arguments"]]
    warnings.simplefilter("ignore")
    main()


def serve() -> None:
    """Answer requests until stdin ends."""
    torch.set_num_threads(1)
    logging.disable_progress_bar()  # as the command line does by the environment, before transformers is there
    for module in (
        "slimvec.cli.app",
        "slimvec.engine.embedder",
        "slimvec.model.folder",
        "slimvec.training.run.training_run",
    ):
        importlib.import_module(module)
    gc.collect()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                child(json.loads(line))
            except SystemExit as error:
                os._exit(error.code if isinstance(error.code, int) else 1)
            except BaseException:
                traceback.print_exc()
            os._exit(70)
        print("pid", pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print("code", os.waitstatus_to_exitcode(status), time.monotonic(), flush=True)


if __name__ == "__main__":
    serve()
