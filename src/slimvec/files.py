"""Writing: the one place where slimvec makes files and folders appear. They appear whole or not at all.

Everything is built in a temporary neighbour (same folder, so the same file system), flushed to disk, and renamed.
A neighbour's name starts with a dot and holds `.partial`; one that is left by a killed process is never read.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from slimvec.errors import InputError, SlimvecError, StorageError

_REASONS = {
    errno.ENOSPC: "no space left on device",
    errno.EDQUOT: "disk quota exceeded",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EROFS: "read-only file system",
    errno.ENOTDIR: "a parent is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its links lead round in a circle",
    errno.EFBIG: "larger than the limit on the size of files",
}
_ASIDE = ".old"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_swept: list[Path] = []
# What libraries raise on a full disk without its errno: safetensors, then numpy's tofile.
_FULL_MESSAGES = re.compile(r"No space left on device|os error 28|\d+ requested and \d+ written")
_LIMIT_MESSAGES = re.compile(r"File too large|os error 27")


@contextmanager
def atomic_file(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Write a file: the body writes to the path it is given, which becomes `path` when the body ends well.

    Missing parent folders are made. The temporary path keeps the suffix, for writers that look at it.

    Args:
        path: Where the file shall appear.
        force: Replace a file that is there.

    Raises:
        InputError: `path` exists without `force`, or is a folder.
        StorageError: it cannot be written (disk full, no permission); nothing is left behind.
    """
    path = Path(path)
    check_free(path, force=force)
    if path.is_dir():
        raise InputError(f"output {path} is a folder", expected="a path for a file")
    check_kind(path)
    with _temporary_neighbour(path) as temporary:
        yield temporary
        _follow_umask([temporary])
        _flush(temporary)
        temporary.replace(path)


def write_text(path: str | Path, content: str, *, force: bool = False) -> None:
    """Write a text file, whole or not at all; arguments and errors as for `atomic_file`."""
    with atomic_file(path, force=force) as temporary:
        temporary.write_text(content, encoding="utf-8")


@contextmanager
def atomic_folder(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Write a folder: the body fills the empty folder it is given, which becomes `path` when the body ends well.

    Missing parent folders are made. With `force`, what is there is moved aside first and removed last, so that it
    comes back when the new folder cannot take its place.

    Args:
        path: Where the folder shall appear.
        force: Replace the folder that is there. An empty folder is always replaced.

    Raises:
        InputError: `path` exists without `force`, or is a file.
        StorageError: it cannot be written (disk full, no permission); nothing is left behind.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_dir():
        raise InputError(f"output {path} is a file", expected="a path for a folder")
    if not (path.is_dir() and not any(path.iterdir())):
        check_free(path, force=force)
    if any(home.is_relative_to(path) for home in (Path.cwd(), Path.home())):
        raise InputError(f"output {path} holds the folder you are in, or your home", expected="a new folder inside it")
    with _temporary_neighbour(path) as temporary:
        temporary.mkdir()
        yield temporary
        files = sorted(temporary.rglob("*"))
        _follow_umask(files)
        for file in files:
            _flush(file)
        _flush(temporary)
        _swap(temporary, path)


def check_free(path: str | Path, *, force: bool) -> None:
    """Refuse an output path that is taken; for commands that want to say so before hours of work.

    Raises:
        InputError: `path` exists and `force` is not set.
    """
    if not force and os.path.lexists(path):
        raise InputError(f"output {path} exists", expected="a new path", do="pass --force to replace it")


def check_kind(path: Path) -> None:
    """Refuse an output path where something is that is neither a file nor a folder.

    Raises:
        InputError: it is.
    """
    with storage_errors(path):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(f"output {path} is a device or a pipe", expected="a path for a file or a folder")


@contextmanager
def make_parents(path: Path) -> Iterator[None]:
    """Make the folders above a path; those that are still empty when the body ends go again."""
    missing = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from error
    try:
        yield
    finally:
        for folder in missing:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


@contextmanager
def temporary_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder beside a path, for what never becomes visible; it goes when the body ends.

    Raises:
        StorageError: it cannot be written.
    """
    with _temporary_neighbour(Path(path)) as temporary:
        temporary.mkdir()
        yield temporary
        _remove(temporary)


@contextmanager
def storage_errors(path: str | Path, *, elsewhere: str = "choose another place") -> Iterator[None]:
    """Turn the operating system's refusal to write into one line.

    Args:
        path: What is being written, for the message.
        elsewhere: How it is written somewhere else.

    Raises:
        StorageError: the body met a full disk, a missing permission or the like. Other errors pass.
    """
    try:
        yield
    except SlimvecError:
        raise
    except Exception as error:
        reason = _storage_reason(error, Path(path))
        if reason is None:
            raise
        full = reason in {_REASONS[number] for number in _FULL}
        remedy = f"free some space or {elsewhere}" if full else elsewhere
        raise StorageError(f"cannot write {path}: {reason}", do=remedy) from error


def remove_partial(path: str | Path) -> None:
    """Remove what killed writers of `path` left beside it; only for callers that know no one is writing it now."""
    for leftover in _leftovers(Path(path)):
        _remove(leftover)


def recover(path: str | Path) -> None:
    """Bring back what a writer of `path` had moved aside when it was killed; callers know that no one writes it now."""
    path = Path(path)
    if os.path.lexists(path):
        return
    aside = [file for file in _leftovers(path) if file.name.endswith(_ASIDE)]
    if aside:
        max(aside, key=lambda file: file.stat().st_ctime_ns).rename(path)


def _leftovers(path: Path) -> list[Path]:
    """List what killed writers of `path` left beside it. A folder written within another has a dot for each."""
    pattern = re.compile(rf"\.+{re.escape(path.name)}\.[0-9a-f]{{12}}\.partial.*")
    return [file for file in path.parent.glob(".*.partial*") if pattern.fullmatch(file.name)]


@contextmanager
def swept(path: Path) -> Iterator[None]:
    """Have `sweep` remove a path, if the process is ended within the body; at its end the body does so itself."""
    _swept.append(path)
    try:
        yield
    finally:
        _swept.remove(path)


def sweep() -> None:
    """Remove what this process is writing and holding; for one that is about to end without unwinding."""
    for path in list(_swept):
        _remove(path)


def _storage_reason(error: Exception, path: Path) -> str | None:
    """Why `path` could not be written, in words; None when the error is about something else."""
    if _FULL_MESSAGES.search(str(error)):
        return _REASONS[errno.ENOSPC]
    if _LIMIT_MESSAGES.search(str(error)):
        return _REASONS[errno.EFBIG]
    if not isinstance(error, OSError) or error.errno not in _REASONS:
        return None
    if error.filename is not None and error.errno not in _FULL:
        # A body may also read: an input that cannot be opened is not a failure to write the output.
        place, target = Path(os.fsdecode(error.filename)).resolve(), path.resolve()
        if not (place.is_relative_to(target.parent) or target.is_relative_to(place)):
            return None
    return _REASONS[error.errno]


@contextmanager
def _temporary_neighbour(path: Path) -> Iterator[Path]:
    """Give a free name beside `path`; whatever stands there when an error ends the body is removed."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial{path.suffix}")
    with storage_errors(path), make_parents(path):
        with swept(temporary):
            try:
                yield temporary
            except BaseException:
                _remove(temporary)
                raise
        _flush(path.parent)


def _swap(new: Path, path: Path) -> None:
    """Put a folder in the place of another."""
    if not path.exists():
        new.rename(path)
        return
    old = new.with_name(f"{new.name}{_ASIDE}")
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    _remove(old)


def _follow_umask(paths: Sequence[Path]) -> None:
    """Give files the permissions that the user's umask asks for; some libraries write theirs for the owner alone."""
    files = [path for path in paths if path.is_file() and not path.is_symlink()]
    if not files or os.name == "nt":
        return
    probe = files[0].with_name(f".{uuid.uuid4().hex[:12]}")
    probe.touch(exist_ok=False)  # the way to learn the umask that changes it for no other thread
    usual = probe.stat().st_mode & 0o666
    probe.unlink()
    for file in files:
        mode = file.stat().st_mode & 0o777
        wanted = usual | (usual >> 2 & 0o111 if mode & 0o100 else 0)
        if mode != wanted:
            file.chmod(wanted)


def _flush(path: Path) -> None:
    """Have the operating system write a file or a folder's entries to disk, so that a rename never overtakes them."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file or a folder that may be gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class FileState(NamedTuple):
    """What changes when a file does, and costs no reading: a change that keeps size and time of writing moves `ctime`.

    Attributes:
        size: In bytes.
        mtime_ns: When it was written.
        ctime_ns: When its entry was changed; of its making on Windows.
    """

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read the state of a file.

        Raises:
            OSError: it is not there.
        """
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def folder_size(folder: Path) -> int:
    """Add up what the files below a folder hold, in bytes; others may come and go meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def sha256_of_json(value: object) -> str:
    """Hash anything JSON can write, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Hash a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
