"""The cache of weights: complete entries only, each built by one process, each with a record of where it came from.

Layout, below `$SLIMVEC_CACHE` (default `~/.cache/slimvec`):

    models/NAME/          a model folder: config, tokenizer, safetensors, licence, `source.json`, and
                          `files.sha256` with the size and SHA-256 of each file
    models/.NAME.*        one in the making, or the rest of a killed process; never read, removed by the next
    locks/NAME.lock       held while NAME is made
    hashes/KEY.json       SHA-256 of a file by path, size and times of change
    whole/KEY             folders whose files were hashed and are as they should be, by the state of the files
    checked/KEY           model folders whose golden vectors this machine has compared, by the state of their files
    dtypes/, budgets/     what was measured on this machine: times of bfloat16, tokens of a batch
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from slimvec.errors import FetchError, StorageError
from slimvec.files import (
    FileState,
    atomic_folder,
    remove_partial,
    sha256_of,
    sha256_of_json,
    storage_errors,
    write_text,
)
from slimvec.frozen import Frozen

_Form = TypeVar("_Form", bound=Frozen)
RECORD_NAME = "source.json"
FILES_NAME = "files.sha256"
"""JSON, and not called so: identities of models hash the `.json` files of their folders, and this is none of theirs."""
Progress = Callable[[str, float | None], None]
"""Called with what is being done, and how far it is (0 to 1, None when that is not known)."""


class SourceRecord(Frozen):
    """Where a model's weights came from.

    Attributes:
        format: Version of this form.
        kind: What the source was.
        name: Its name: built-in, hub name, file or folder name.
        revision: Commit of a hub snapshot.
        sha256: SHA-256 of the weights as they were fetched (the GGUF, or the safetensors), before any conversion.
        licence: Name of the weights' licence, where known. Its text lies beside the weights where it was supplied.
        packages: SHA-256 of each package file that carried the weights, by `NAME==VERSION`.
        versions: Packages that converted the weights; they do not make another source.
    """

    format: Literal[1] = 1
    kind: Literal["builtin", "gguf", "hub", "folder"]
    name: str
    revision: str | None = None
    sha256: str | None = None
    licence: str | None = None
    packages: Mapping[str, str] = {}
    versions: Mapping[str, str] = {}

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
    """Give the folder of an entry, built first when it is not there, came from another source or is damaged.

    Damage is a file that is missing, or has another size or hash than when it was written. The hashes are computed when
    sizes or times of the files are not those that were seen last.

    Two processes at once: one builds, the other waits and takes the result. A process killed while it builds leaves
    nothing that is taken for an entry.

    Args:
        name: Name of the entry.
        record: What the entry must come from.
        build: Fills an empty folder, gives the versions of the packages it used.
        progress: Called with a line when another process is building.

    Raises:
        StorageError: the cache cannot be written.
    """
    folder = entry_folder(name)
    if _is_complete(folder, record) and find_damage(folder) is None:
        return folder
    with _locked(name, progress):
        damage = find_damage(folder) if _is_complete(folder, record) else ""
        if damage is not None:
            remove_partial(folder)
            try:
                with atomic_folder(folder, force=True) as staged:
                    written = record.model_copy(update={"versions": build(staged)})
                    (staged / RECORD_NAME).write_text(written.model_dump_json(indent=2), encoding="utf-8")
                    _write_file_list(staged)
            except FetchError as error:
                if not damage:
                    raise
                raise FetchError(f"{damage}, and {error.found}", expected=error.expected, do=error.do) from error
    return folder


def _is_complete(folder: Path, record: SourceRecord) -> bool:
    found = read_record(folder)
    return found is not None and found.same_source(record)


class _Listed(Frozen):
    """What a file of an entry was when it was written."""

    size: int
    sha256: str


class _FileList(Frozen):
    """The contents of `files.sha256`: the other files of the folder by their path in it."""

    format: Literal[1] = 1
    files: dict[str, _Listed]


def find_damage(folder: Path, *, whole: bool = False) -> str | None:
    """Say what is wrong with the files of an entry; None when nothing is.

    An entry of an earlier version has no list of its files; it gets one, and is taken as it is.

    Args:
        folder: Folder of the entry.
        whole: Hash every file, though sizes and times are those of the last time.
    """
    path = folder / FILES_NAME
    if not path.is_file():
        with suppress(StorageError):  # a cache that cannot be written stays without
            _write_file_list(folder)
        return None
    try:
        listed = _FileList.model_validate_json(path.read_bytes()).files
    except ValidationError:
        return f"{path} cannot be read"
    expected = {folder / name: entry.sha256 for name, entry in listed.items()}
    for name, entry in listed.items():
        file = folder / name
        if not file.is_file():
            return f"{file} is missing"
        if file.stat().st_size != entry.size:
            return f"{file} has {file.stat().st_size:,} bytes where {entry.size:,} were written"
    return find_changed(expected, sha256_of, whole=whole)


def find_changed(expected: Mapping[Path, str], hash_file: Callable[[Path], str], *, whole: bool = False) -> str | None:
    """Say which file is not what it should be; None when all are. Hashed once for as long as they stay as they are.

    Args:
        expected: Hash by file; all are there.
        hash_file: Gives the hash of one.
        whole: Hash them though they have been found right in this state.
    """
    states = [(str(file), digest, *FileState.of(file)) for file, digest in expected.items()]
    key = sha256_of_json(states)
    if is_noted("whole", key) and not whole:
        return None
    for file, digest in expected.items():
        if hash_file(file) != digest:
            return f"{file} was changed after it was written"
    note("whole", key, "\n".join(map(str, expected)))
    return None


def _write_file_list(folder: Path) -> None:
    """Write sizes and hashes of all files in a folder beside them."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != FILES_NAME)
    listed = {
        file.relative_to(folder).as_posix(): _Listed(size=file.stat().st_size, sha256=sha256_of(file)) for file in files
    }
    write_text(folder / FILES_NAME, _FileList(files=listed).model_dump_json(indent=1), force=True)


@contextmanager
def _locked(name: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of an entry. The operating system frees it when its holder dies."""
    path = cache_root() / "locks" / f"{name}.lock"
    with storage_errors(path, elsewhere="point SLIMVEC_CACHE elsewhere"):
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


class _FileHash(Frozen):
    """SHA-256 of a file as it was in a state."""

    state: FileState
    sha256: str


def cached_sha256(path: Path, *, progress: Progress) -> str:
    """Hash a file, once for as long as its path, size and times of change stay."""
    path = path.resolve()
    state, key = FileState.of(path), f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    known = read_note("hashes", key, _FileHash)
    if known is None or known.state != state:
        progress(f"hashing {path.name}", None)
        known = _FileHash(state=state, sha256=sha256_of(path))
        note("hashes", key, known.model_dump_json())
    return known.sha256


def is_noted(kind: str, key: str) -> bool:
    """Whether this machine's cache has a note of this kind and key."""
    return (cache_root() / kind / key).is_file()


def read_note(kind: str, key: str, form: type[_Form]) -> _Form | None:
    """Read a note of a form; None where there is none, or one of another form, to be replaced."""
    with suppress(OSError, ValidationError):
        return form.model_validate_json((cache_root() / kind / key).read_bytes())
    return None


def note(kind: str, key: str, content: str) -> None:
    """Leave a note in the cache; one that cannot be written costs the work again, nothing else.

    Args:
        kind: Folder below the cache's root.
        key: Name of the note, fit for a file.
        content: For people who look, or of the form that `read_note` reads.
    """
    with suppress(StorageError):
        write_text(cache_root() / kind / key, content, force=True)
