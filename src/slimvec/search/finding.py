"""Which files belong to an index: those below its sources that a reader takes."""

import os
from collections.abc import Collection, Iterator, Sequence
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
        unread: Folders that cannot be listed and files whose names are no UTF-8, each with the reason.
    """

    files: tuple[SourceFile, ...]
    num_unknown: int
    unread: tuple[tuple[Path, str], ...]

    def hides(self, path: str) -> bool:
        """Whether a file may be there and cannot be seen."""
        return any(Path(path).is_relative_to(folder) for folder, _ in self.unread)


def absolute(path: str | Path) -> Path:
    """Give a path from the root on, without `..`, so that a source has one name wherever a command runs."""
    whole = Path(path).absolute()
    return whole.resolve() if ".." in whole.parts else whole


def outermost(sources: Collection[Path]) -> list[Path]:
    """Leave out sources that are found below others, in order; what a folder passes over is no less a source."""
    return sorted(
        path for path in set(sources) if not any(other in sources and _reaches(other, path) for other in path.parents)
    )


def check_sources(sources: Sequence[Path]) -> None:
    """Refuse what is not there.

    Raises:
        InputError: a source does not exist.
    """
    for source in sources:
        if not source.exists():
            raise InputError(f"{source} does not exist", expected="a file or folder", do="check the path")


def find_files(sources: Sequence[Path], *, without: Path) -> FoundFiles:
    """Find the files of sources; what is hidden, and folders of built or fetched things, are passed over.

    Args:
        sources: Files and folders, absolute.
        without: The index, which may lie in one of them.

    Raises:
        InputError: a source does not exist, or is a file that no reader takes.
    """
    found: dict[Path, SourceFile] = {}
    unread: list[tuple[Path, str]] = []
    num_unknown = 0
    check_sources(sources)
    for source in sources:
        if source.is_file() and kind_of(source) is None:
            raise InputError(f"{source} is of an unknown kind", expected="text, a page, a PDF, code or a table")
        for path in [source] if source.is_file() else _walk(source, without, unread):
            if kind_of(path) is None:
                num_unknown += 1
            elif not _is_unicode(path):
                unread.append((path, "its name is not UTF-8; rename it"))
            else:
                found.setdefault(path, SourceFile(path, source))
    return FoundFiles(tuple(found[path] for path in sorted(found)), num_unknown, tuple(dict.fromkeys(unread)))


def _walk(folder: Path, without: Path, unread: list[tuple[Path, str]]) -> Iterator[Path]:
    """Give the files below a folder; links to folders are not followed, so that none leads round in a circle."""

    def cannot_list(error: OSError) -> None:
        unread.append((Path(os.fsdecode(error.filename)), f"cannot be listed: {error.strerror or error}"))

    for place, folders, names in os.walk(folder, onerror=cannot_list):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders if not _is_passed_over(name) and not _is_same(here / name, without)
        )
        for name in sorted(names):
            path = here / name
            if name[0] != "." and _is_file(path):
                yield path


def _is_file(path: Path) -> bool:
    """Whether there is a file; of one that may not be looked at, reading will say why."""
    try:
        return path.is_file()
    except OSError:
        return True


def _is_passed_over(name: str) -> bool:
    """Whether a folder of this name is passed over."""
    return name[0] == "." or name in _SKIPPED


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one folder."""
    try:
        return one.samefile(other)
    except OSError:  # one has gone
        return False


def _reaches(folder: Path, path: Path) -> bool:
    """Whether what is below a folder holds a path."""
    between = path.relative_to(folder).parts
    below = [folder.joinpath(*between[:count]) for count in range(1, len(between) + 1)]
    if any(_is_passed_over(name) for name in between[:-1]) or any(part.is_symlink() for part in below[:-1]):
        return False
    return between[-1][0] != "." and (path.is_file() or not (path.is_symlink() or _is_passed_over(between[-1])))


def _is_unicode(path: Path) -> bool:
    """Whether a name can be written as text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
