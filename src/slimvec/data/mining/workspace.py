"""The folder where a search keeps what it has computed, so that a killed run goes on where it was.

It belongs to one collection of texts and one model; both are checked before anything in it is used again.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slimvec.errors import InputError, SlimvecError
from slimvec.files import storage_errors, write_text
from slimvec.locks import held

_FORMAT = 1
_IDENTITY = "identity.json"
_LOCK = "slimvec.lock"


@contextmanager
def open_workspace(folder: Path, *, restart: bool, keep: bool) -> Iterator[Path]:
    """Hold a work folder while the body works; it is removed when the body ends well, unless it shall be kept.

    It is also removed when an error ends the body before there is anything to go on from.

    Args:
        folder: Made when it is not there.
        restart: Throw away what it holds.
        keep: Leave it there at the end.

    Raises:
        InputError: another process works in it, or it holds something else.
        StorageError: it cannot be made.
    """
    # The lock stays when its holder dies: it marks the folder as one of ours from the first moment on.
    if folder.exists() and not (folder / _LOCK).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"work folder {folder} holds something else", expected="a new folder, or one of a killed run")
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with held(folder / _LOCK, f"works in {folder}", "wait, or name another with --work", keep=True):
        try:
            if restart:
                _clear(folder)
            yield folder
        except SlimvecError:
            if not is_claimed(folder):
                shutil.rmtree(folder)
            raise
    if not keep:
        shutil.rmtree(folder)


def claim_workspace(folder: Path, identity: Mapping[str, Any]) -> bool:
    """See that what a work folder holds was made of the same texts by the same model, or mark it as such.

    Args:
        folder: The work folder.
        identity: Identity of the texts and the model, as JSON can write it.

    Returns:
        Whether there is something to go on from.

    Raises:
        InputError: it belongs to another run.
    """
    path = folder / _IDENTITY
    own = json.loads(json.dumps({"format": _FORMAT, **identity}))
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if found.get("format") is not None:
        other = ", ".join(sorted(key for key in own | found if own.get(key) != found.get(key)))
        if other:
            raise InputError(
                f"work folder {folder} belongs to a run with another {other}",
                expected="the same data and model",
                do="pass --restart to throw it away, or name another with --work",
            )
        return True
    write_text(path, json.dumps(own, indent=1), force=True)
    return False


def is_claimed(folder: Path) -> bool:
    """Whether a run has got far enough for another to go on from there."""
    return (folder / _IDENTITY).is_file()


def _clear(folder: Path) -> None:
    """Remove everything but the lock that is held."""
    for path in folder.iterdir():
        if path.name != _LOCK:
            path.unlink() if path.is_file() else shutil.rmtree(path)
