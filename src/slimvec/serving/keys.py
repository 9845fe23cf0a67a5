"""API keys: random, kept as SHA-256 alone, compared in a time that says nothing.

A key has 256 random bits, so its hash cannot be turned back and needs no slow hash function, as a password's would.
"""

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from slimvec.errors import InputError
from slimvec.files import write_text

PREFIX = "sv-"
_LINE = re.compile(r"([\w.@-]{1,100}) ([0-9a-f]{64})")


def new_key() -> str:
    """Make a key."""
    return PREFIX + secrets.token_urlsafe(32)


def key_line(name: str, key: str) -> str:
    """Give the line of a file of keys for a key.

    Raises:
        InputError: a name that is not a word.
    """
    line = f"{name} {_hash(key.encode())}"
    if not _LINE.fullmatch(line):
        raise InputError(f"key name {name!r}", expected="letters, digits and . _ - @", do="choose another name")
    return line


class ApiKeys:
    """Keys that open a server.

    Args:
        hashes: SHA-256 of each, by its name.
    """

    def __init__(self, hashes: dict[str, str]) -> None:
        self._hashes = hashes

    @classmethod
    def read(cls, path: Path) -> "ApiKeys":
        """Read a file with a name and a hash a line; lines that begin with # are remarks.

        Raises:
            InputError: it cannot be read, has no keys, or something else in it.
        """
        hashes = _hashes(path, _read(path))
        if not hashes:
            raise InputError(f"{path} has no keys", expected="one a line", do="make one with slimvec key NAME")
        return cls(hashes)

    def name_of(self, key: bytes) -> str | None:
        """Give the name of a key; None for one that is not known. Every hash is compared, equal or not."""
        given, found = _hash(key), None
        for name, known in self._hashes.items():
            if hmac.compare_digest(given, known):
                found = name
        return found


def add_key(path: Path, name: str, line: str) -> None:
    """Add a line to a file of keys, or make the file; only its owner may read it.

    Raises:
        InputError: the file is not one of keys, or has the name already.
        StorageError: it cannot be written.
    """
    before = _read(path) if path.exists() else ""
    if name in _hashes(path, before):
        raise InputError(f"{path} has a key {name}", expected="a new name", do="remove its line first")
    write_text(path, f"{before.rstrip()}\n{line}\n".lstrip(), force=True)
    path.chmod(0o600)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", expected="a file of keys") from error


def _hashes(path: Path, content: str) -> dict[str, str]:
    hashes = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise InputError(
                f"{path}, line {number}", expected="a name and a SHA-256", do="make lines with slimvec key NAME"
            )
        hashes[found[1]] = found[2]
    return hashes


def _hash(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()
