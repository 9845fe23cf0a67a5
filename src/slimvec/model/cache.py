"""The cache of weights: complete entries only, each built by one process, each with a record of where it came from.

Layout, below `$SLIMVEC_CACHE` (default `~/.cache/slimvec`):

    models/NAME/          a model folder: config, tokenizer, safetensors, licence, and `source.json`
    models/.NAME.*        one in the making, or the rest of a killed process; never read, removed by the next
    locks/NAME.lock       held while NAME is made
    hashes/KEY.json       SHA-256 of a file by path, size and times of change
    checked/KEY           model folders whose golden vectors this machine has compared, by the state of their files
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from slimvec.files import FileState, atomic_file, atomic_folder, remove_partial, sha256_of, storage_errors

RECORD_NAME = "source.json"
Progress = Callable[[str, float | None], None]
"""Told what is being done, and how far it is (0 to 1, None when that is not known)."""


class SourceRecord(BaseModel):
    """Where a model's weights came from.

    Attributes:
        format: Version of this form.
        kind: What the source was.
        name: Its name: built-in, hub name, file or folder name.
        revision: Commit of a hub snapshot.
        sha256: Of the weights as they were fetched (the GGUF, or the safetensors), before any conversion.
        licence: Name of the weights' licence, where known. Its text lies beside the weights where it was supplied.
        packages: SHA-256 of each package file that carried the weights, by `NAME==VERSION`.
        versions: Packages that converted the weights; they do not make another source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    kind: Literal["builtin", "gguf", "hub", "folder"]
    name: str
    revision: str | None = None
    sha256: str | None = None
    licence: str | None = None
    packages: dict[str, str] = {}
    versions: dict[str, str] = {}

    def same_source(self, other: "SourceRecord") -> bool:
        """Whether both name the same bytes, whatever converted them."""
        return self.model_copy(update={"versions": {}}) == other.model_copy(update={"versions": {}})


def cache_root() -> Path:
    """Folder of the cache: `$SLIMVEC_CACHE`, else `~/.cache/slimvec`."""
    named = os.environ.get("SLIMVEC_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "slimvec"


def entry_folder(name: str) -> Path:
    """Where the entry of this name is, or will be."""
    return cache_root() / "models" / name


def read_record(folder: Path) -> SourceRecord | None:
    """Read a cache entry's record; None where there is none, or one of another form."""
    path = folder / RECORD_NAME
    if not path.is_file():
        return None
    try:
        return SourceRecord.model_validate_json(path.read_bytes())
    except ValidationError:
        return None


def cached_entry(
    name: str, record: SourceRecord, build: Callable[[Path], dict[str, str]], *, progress: Progress
) -> Path:
    """Give the folder of an entry, built first when it is not there or came from another source.

    Two processes at once: one builds, the other waits and takes the result. A process killed while it builds leaves
    nothing that is taken for an entry.

    Args:
        name: Of the entry.
        record: What the entry must come from.
        build: Fills an empty folder, gives the versions of the packages it used.
        progress: Told when another process is building.

    Raises:
        StorageError: the cache cannot be written.
    """
    folder = entry_folder(name)
    if _is_complete(folder, record):
        return folder
    with _locked(name, progress):
        if not _is_complete(folder, record):
            remove_partial(folder)
            with atomic_folder(folder, force=True) as staged:
                written = record.model_copy(update={"versions": build(staged)})
                (staged / RECORD_NAME).write_text(written.model_dump_json(indent=2), encoding="utf-8")
    return folder


def _is_complete(folder: Path, record: SourceRecord) -> bool:
    found = read_record(folder)
    return found is not None and found.same_source(record)


@contextmanager
def _locked(name: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of an entry. The operating system frees it when its holder dies."""
    path = cache_root() / "locks" / f"{name}.lock"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"waiting for another process to prepare {name}", None)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _FileHash(BaseModel):
    """SHA-256 of a file as it was in a state."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: FileState
    sha256: str


def cached_sha256(path: Path, *, progress: Progress) -> str:
    """Hash a file, once for as long as its path, size and times of change stay.

    Raises:
        StorageError: the cache cannot be written.
    """
    path = path.resolve()
    state = FileState.of(path)
    note = cache_root() / "hashes" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    if note.is_file():
        try:
            known = _FileHash.model_validate_json(note.read_bytes())
        except ValidationError:  # of another form: hash again and replace it
            known = None
        if known and known.state == state:
            return known.sha256
    progress(f"hashing {path.name}", None)
    digest = sha256_of(path)
    found = _FileHash(state=state, sha256=digest)
    with atomic_file(note, force=True) as temporary:
        temporary.write_text(found.model_dump_json(), encoding="utf-8")
    return digest


def is_noted(kind: str, key: str) -> bool:
    """Whether this machine's cache has a note of this kind and key."""
    return (cache_root() / kind / key).is_file()


def note(kind: str, key: str, content: str) -> None:
    """Leave a note in the cache.

    Args:
        kind: Folder below the cache's root.
        key: Name of the note, fit for a file.
        content: For people who look.

    Raises:
        StorageError: the cache cannot be written.
    """
    with atomic_file(cache_root() / kind / key, force=True) as temporary:
        temporary.write_text(content, encoding="utf-8")
