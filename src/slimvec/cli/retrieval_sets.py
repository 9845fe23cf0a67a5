"""Retrieval sets read for a command: what is left out of one is said, or refused."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.terminal import Terminal

if TYPE_CHECKING:
    from slimvec.data.retrieval import RetrievalSet


def read_set(terminal: Terminal, folder: Path, *, strict: bool = False) -> "RetrievalSet":
    """Read a set, and say what is left out of it. Arguments and errors as for `read_retrieval_set`."""
    from slimvec.data.retrieval_files import read_retrieval_set

    found = read_retrieval_set(folder, strict=strict)
    say_left_out(terminal, [found])
    return found


def say_left_out(terminal: Terminal, sets: "Iterable[RetrievalSet]") -> None:
    """Say what the files of sets hold and the sets do not."""
    for found in sets:
        if found.left_out:
            terminal.remark(found.left_out)
