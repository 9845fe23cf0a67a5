"""The files of a hub snapshot held against their names: the hub's cache calls each by the hash of its contents."""

import hashlib
import re
from pathlib import Path

from slimvec.files import sha256_of
from slimvec.model.cache import find_changed

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""Git's hash of a small file, or the SHA-256 of a large one."""


def discard_damaged_blobs(folder: Path, *, whole: bool = False) -> dict[Path, str]:
    """See that every file of a snapshot is the one that the hub gave, and remove those that are not.

    Files are hashed once as long as their sizes and times stay. Nothing is known of copies, as on systems without
    symbolic links.

    Args:
        folder: The snapshot.
        whole: Hash all files though they have been found right in this state.

    Returns:
        The files that were removed, and what was wrong with each.
    """
    found = {}
    blobs = {file: file.resolve() for file in sorted(folder.rglob("*")) if file.is_symlink()}
    for file, blob in blobs.items():
        damage = None
        if not blob.is_file():
            damage = f"{file} is missing"
        elif blob.parent.name == "blobs" and _HASH.fullmatch(blob.name):
            changed = find_changed({blob: blob.name}, _hub_hash, whole=whole)
            damage = None if changed is None else f"{file} was changed after it was written"
        if damage is not None:
            file.unlink()
            blob.unlink(missing_ok=True)
            found[file] = damage
    return found


def _hub_hash(blob: Path) -> str:
    """Hash a file as its name calls for."""
    if len(blob.name) == 64:
        return sha256_of(blob)
    content = blob.read_bytes()
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
