"""Which files belong to an index: those below its sources that a reader takes."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimvec.errors import InputError
from slimvec.search.readers.kinds import kind_of

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist", "target", "venv"})
"""Folders that hold what others wrote or what was built; named as a source, each is read."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file below a source.

    Attributes:
        path: Absolute.
        source: The source it was found by: itself, or a folder above it.
    """

    path: Path
    source: Path


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """What is below sources.

    Attributes:
        files: Those that a reader takes, by path.
        num_unknown: Files of other kinds, which are passed over.
    """

    files: tuple[SourceFile, ...]
    num_unknown: int


def find_files(sources: Sequence[Path], *, without: Path) -> FoundFiles:
    """Find the files of sources; what is hidden, and folders of built or fetched things, are passed over.

    Args:
        sources: Files and folders, absolute.
        without: The index, which may lie in one of them.

    Raises:
        InputError: a source does not exist, or is a file that no reader takes.
    """
    found: dict[Path, SourceFile] = {}
    num_unknown = 0
    for source in sources:
        if not source.exists():
            raise InputError(f"{source} does not exist", expected="a file or folder", do="check the path")
        if source.is_file() and kind_of(source) is None:
            raise InputError(f"{source} is of an unknown kind", expected="text, a page, a PDF, code or a table")
        for path in [source] if source.is_file() else _walk(source, without):
            if kind_of(path) is None:
                num_unknown += 1
            else:
                found.setdefault(path, SourceFile(path, source))
    return FoundFiles(tuple(found[path] for path in sorted(found)), num_unknown)


def _walk(folder: Path, without: Path) -> Iterator[Path]:
    """Give the files below a folder; links to folders are not followed, so that none leads round in a circle."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders if name[0] != "." and name not in _SKIPPED and here / name != without
        )
        for name in sorted(names):
            path = here / name
            if name[0] != "." and path.is_file():
                yield path
