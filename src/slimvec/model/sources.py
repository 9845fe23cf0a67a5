"""From what a user calls a model to a folder that holds it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slimvec.errors import FetchError, InputError, SlimvecError
from slimvec.files import storage_errors
from slimvec.model.builtin import BUILTINS, resolve_builtin, warn_of_terms
from slimvec.model.cache import (
    RECORD_NAME,
    Progress,
    SourceRecord,
    cached_entry,
    cached_sha256,
    entry_folder,
    find_damage,
    read_record,
)
from slimvec.model.gguf import CONVERSION, convert_gguf
from slimvec.model.hub_blobs import discard_damaged_blobs
from slimvec.progress import tell_nobody

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""What a name on the hub looks like; a path of two parts that is not there looks the same."""
_HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "LICENSE*", "LICENCE*", "NOTICE*")
_HUB_PICKLES = ("*pytorch_model*.bin",)
"""Wanted of a model that has its weights in no other form; they are read as tensors alone, no code in them runs."""
_HUB_OTHER_FORMS = ("onnx/*", "openvino/*", "original/*", "consolidated*", "coreml/*", "*/checkpoint-*")


@dataclass(frozen=True)
class Fetched:
    """What a fetch gave.

    Attributes:
        folder: Where the model is.
        record: Where it came from.
        num_bytes: Its size on disk.
    """

    folder: Path
    record: SourceRecord
    num_bytes: int


def fetch(name: str, *, revision: str | None = None, progress: Progress | None = None) -> Fetched:
    """Bring a model to this machine, or find it here.

    Args:
        name: A built-in name, a hub name, or a `.gguf` file to convert.
        revision: Revision of a hub name.
        progress: Called at each step.

    Raises:
        InputError: no such source, or a folder.
        FetchError: it cannot be fetched.
        ModelError: it cannot be converted.
        StorageError: the cache cannot be written.
    """
    if name not in BUILTINS and Path(name).is_dir():
        raise InputError(f"{name} is a folder", expected="a name to fetch", do="use the folder as it is")
    folder = resolve_source(name, revision=revision, progress=progress)
    num_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Fetched(folder, describe_source(folder), num_bytes)


def discard_damaged(name: str, *, revision: str | None = None) -> str | None:
    """Hash all files of a source that is here, and discard those that are not what they should be.

    The next `resolve_source` fetches or converts anew what was discarded.

    Args:
        name: A built-in name, a hub name, or a `.gguf` file.
        revision: Revision of a hub name.

    Returns:
        What was wrong; None when nothing was, or nothing is here yet.

    Raises:
        InputError: no such source, or a folder, whose files nothing lists.
    """
    path = Path(name).expanduser()
    if name not in BUILTINS and path.is_dir():
        raise InputError(f"{name} is a folder", expected="a name that was fetched", do="load it")
    found = find_source(name, revision=revision)
    if found is None:
        return None
    if found.is_file():
        found = entry_folder(_gguf_entry(cached_sha256(found, progress=tell_nobody)))
        if read_record(found) is None:
            return None
    if read_record(found) is None:
        return next(iter(discard_damaged_blobs(found, whole=True).values()), None)
    damage = find_damage(found, whole=True)
    if damage is not None:
        (found / RECORD_NAME).unlink(missing_ok=True)  # an entry without its record is made anew
    return damage


def resolve_source(source: str | Path, *, revision: str | None = None, progress: Progress | None = None) -> Path:
    """Give the folder that holds a model, fetched or converted into the cache where needed.

    Tried in this order: a built-in name (write `./NAME` for a folder called so), a folder, a `.gguf` file, a hub name.
    A second call for the same source touches no network. The first call in a process for a built-in model whose licence
    has terms gives a `LicenceWarning` that names them.

    Args:
        source: Any of them. A `Path` is never taken for a name.
        revision: Branch, tag or commit of a hub name.
        progress: Called at each step: what, and how far (0 to 1, None when not known).

    Raises:
        InputError: none of these, or a revision of something that has none.
        FetchError: something has to be fetched and cannot be.
        ModelError: a GGUF file cannot be converted.
        StorageError: the cache cannot be written.
    """
    report = progress or tell_nobody
    path = Path(source).expanduser()
    is_name = isinstance(source, str)
    if is_name and source in BUILTINS:
        refuse_revision(source, revision, "a built-in name, pinned by slimvec")
        folder = resolve_builtin(str(source), progress=report)
        warn_of_terms(str(source))
        return folder
    if str(source) and path.is_dir():
        refuse_revision(source, revision, "a folder")
        return path
    if path.suffix.lower() == ".gguf" and path.is_file():
        refuse_revision(source, revision, "a file")
        return _resolve_gguf(path, report)
    if is_name and may_be_on_hub(str(source)):
        return _resolve_hub(str(source), revision, report)
    raise _unknown(source)


def portable_name(source: str | Path) -> str:
    """Give a name that means the same from any folder: paths of this machine whole, others as they are."""
    path = Path(source).expanduser()
    if (isinstance(source, str) and source in BUILTINS) or not path.exists():
        return str(source)
    return str(path.resolve())


def may_be_on_hub(source: str) -> bool:
    """Whether a name can be one on the hub: two parts, and nothing here says that it is a path."""
    first = Path(source).expanduser().parent
    return HUB_NAME.fullmatch(source) is not None and not source.lower().endswith(".gguf") and not first.exists()


def _unknown(source: str | Path) -> InputError:
    """Say that a name stands for no model."""
    found = "a file of another kind" if Path(source).expanduser().is_file() else "no such folder or file"
    return InputError(
        f"no model {str(source)!r}: {found}",
        expected=f"a folder, a .gguf file, a hub name (org/name), or one of {', '.join(BUILTINS)}",
    )


def find_source(source: str, *, revision: str | None = None) -> Path | None:
    """Give the folder or file that a model's name stands for if it is on this machine; None if it would be fetched.

    Nothing is fetched or converted. Arguments as for `resolve_source`.

    Raises:
        InputError: no such source, or a revision of something that has none.
    """
    path = Path(source).expanduser()
    if source in BUILTINS:
        refuse_revision(source, revision, "a built-in name, pinned by slimvec")
        folder = entry_folder(source)
        return folder if read_record(folder) is not None else None
    if path.exists() or not may_be_on_hub(source):
        if path.is_dir() or (path.is_file() and path.suffix.lower() == ".gguf"):
            refuse_revision(source, revision, "a folder" if path.is_dir() else "a file")
            return path
        raise _unknown(source)
    from huggingface_hub.errors import LocalEntryNotFoundError  # seconds that built-in names and folders need not wait

    try:
        return _snapshot(source, revision, local_files_only=True)
    except LocalEntryNotFoundError:
        return None


def describe_source(folder: Path) -> SourceRecord:
    """Say where the weights in a folder came from, as far as the folder tells.

    A cache entry has a record; a hub snapshot's path (`models--ORG--NAME/snapshots/COMMIT`) names it.
    """
    record = read_record(folder)
    if record is not None:
        return record
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        name = repository.removeprefix("models--").replace("--", "/", 1)
        return SourceRecord(kind="hub", name=name, revision=folder.name)
    return SourceRecord(kind="folder", name=folder.resolve().name)


def _resolve_gguf(path: Path, progress: Progress) -> Path:
    """Convert a GGUF file once for its contents, wherever it lies."""
    digest = cached_sha256(path, progress=progress)
    record = SourceRecord(kind="gguf", name=path.name, sha256=digest)
    entry = _gguf_entry(digest)
    known = read_record(entry_folder(entry))
    if known is not None and known.sha256 == digest:
        record = known.model_copy(update={"versions": {}})  # the same file under another name
    return cached_entry(entry, record, lambda folder: convert_gguf(path, folder, progress=progress), progress=progress)


def _gguf_entry(digest: str) -> str:
    """Name the cache entry of a GGUF file."""
    return f"gguf-{digest[:16]}-{CONVERSION}"


def _resolve_hub(name: str, revision: str | None, progress: Progress) -> Path:
    """Download a snapshot through the hub's own cache; without a network, take what that holds.

    Raises:
        FetchError: there is no such model or revision, or no network.
    """
    progress(f"downloading {name}", None)
    with hub_errors(name, revision):
        folder = _snapshot(name, revision, local_files_only=False)
    damaged = discard_damaged_blobs(folder)
    if not damaged:
        return folder
    damage = next(iter(damaged.values()))
    progress(f"{damage}: downloading it again", None)
    try:
        with hub_errors(name, revision):
            folder = _snapshot(name, revision, local_files_only=False)
    except FetchError as error:
        raise FetchError(f"{damage}, and {error.found}", expected=error.expected, do=error.do) from error
    if not all(file.exists() for file in damaged):
        raise FetchError(f"{damage}, and did not come again", do="check the network and HF_HUB_OFFLINE")
    return folder


def _snapshot(name: str, revision: str | None, *, local_files_only: bool) -> Path:
    """Give the snapshot of a hub name with the files that a model needs: its pickles only where it has nothing else."""
    from huggingface_hub import snapshot_download  # seconds that a built-in name or a folder need not wait

    def files(*wanted: str) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(wanted),
                ignore_patterns=list(_HUB_OTHER_FORMS),
                local_files_only=local_files_only,
            )
        )

    folder = files(*_HUB_FILES)
    return folder if any(folder.rglob("*.safetensors")) else files(*_HUB_FILES, *_HUB_PICKLES)


@contextmanager
def hub_errors(name: str, revision: str | None) -> Iterator[None]:
    """Turn what the hub, the network and the disk of its cache answer into errors of one line.

    Raises:
        FetchError: there is no such model, revision or file, or no network.
        StorageError: the hub's cache cannot be written.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        with storage_errors(HF_HUB_CACHE):
            yield
    except (SlimvecError, AttributeError, ImportError, NameError, TypeError):  # the last four are bugs, no answers
        raise
    except Exception as error:  # the hub's own errors, and those of the two network libraries under it
        raise hub_error(name, revision, error) from error


def hub_error(name: str, revision: str | None, error: Exception) -> FetchError:
    """Put the hub's answer into one line."""
    at = f"{name} at revision {revision}" if revision else name
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "GatedRepoError" in kinds:
        found, do = f"{at} is gated", "accept its terms on the hub and log in: hf auth login"
    elif "RevisionNotFoundError" in kinds:
        found, do = f"{at} is not on the hub", "check the revision"
    elif "RepositoryNotFoundError" in kinds:
        found, do = f"{at} is neither a folder nor on the hub", "check the name, or log in if it is private"
    elif "RemoteEntryNotFoundError" in kinds:
        return FetchError(f"{at} has no tokenizer.json on the hub", expected="a model with its tokenizer")
    else:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        found = f"{at} is no folder, not in the hub's cache, and could not be downloaded ({reason})"
        do = f"check the network and HF_HUB_OFFLINE, or use one of {', '.join(BUILTINS)}"
    return FetchError(found, do=do)


def refuse_revision(source: str | Path, revision: str | None, what: str) -> None:
    """Refuse a revision of what has none.

    Raises:
        InputError: one is given.
    """
    if revision is not None:
        raise InputError(f"revision {revision} of {source}, {what}", expected="a revision of a hub name only")
