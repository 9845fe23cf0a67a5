"""Vectors on disk, by the identity of the model, the prompt and the text: one SQLite file a model.

SQLite, because it is one file, several processes may use it at once, and a write that was cut off never shows. Each row
carries a checksum over all it holds, so that a damaged one is computed anew rather than believed.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import numpy as np

from slimvec.errors import StorageError
from slimvec.files import storage_errors
from slimvec.model.cache import cache_root
from slimvec.text.embeddings import Embeddings, Vectors

MAX_MODELS = 24
"""Files kept: those of models that have changed since are of no use to anyone, and nobody says so."""
_KEYS_AT_ONCE = 900  # below SQLite's limit of variables in one query, in every version
_WAIT_SECONDS = 60.0
_TABLE = (
    "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, num_tokens INTEGER NOT NULL, "
    "truncated INTEGER NOT NULL, checksum INTEGER NOT NULL)"
)
Item = TypeVar("Item", str, bytes)
_Row = tuple[Vectors, int, int]


class VectorStore:
    """The vectors of one model.

    Args:
        identity: Identity of the model; the file is named by it.
        folder: Folder of the files; default `vectors` in slimvec's cache.
        half: Keep the vectors as float16, which halves the file and moves a unit vector by some 1e-4.
    """

    def __init__(self, identity: str, folder: Path | None = None, *, half: bool = False) -> None:
        self.path = (folder or cache_root() / "vectors") / f"{identity[:40]}.sqlite"
        self._dtype = "<f2" if half else "<f4"

    def read(self, prompt: str, texts: Sequence[str]) -> dict[str, _Row]:
        """Give what is known: vector, tokens and truncation by text.

        Raises:
            StorageError: the file is damaged.
        """
        if not self.path.is_file():
            return {}
        keys = {_key(prompt, text): text for text in texts}
        found: dict[str, _Row] = {}
        with self._open() as database:
            for block in blocks_of(list(keys), _KEYS_AT_ONCE):
                marks = ",".join("?" * len(block))
                query = f"SELECT key, vector, num_tokens, truncated, checksum FROM vectors WHERE key IN ({marks})"
                for key, vector, num_tokens, truncated, checksum in database.execute(query, block):
                    if checksum == _checksum(key, vector, num_tokens, truncated):
                        found[keys[key]] = self.rounded(np.frombuffer(vector, self._dtype)), num_tokens, truncated
        return found

    def write(self, prompt: str, texts: Sequence[str], embedded: Embeddings) -> None:
        """Keep the vectors of texts, all or none of them.

        Raises:
            StorageError: they cannot be written.
        """
        rows = []
        counts = zip(embedded.tokens.tolist(), embedded.truncated.tolist(), strict=True)
        for text, vector, (num_tokens, truncated) in zip(texts, embedded.vectors, counts, strict=True):
            key, data = _key(prompt, text), vector.astype(self._dtype).tobytes()
            rows.append((key, data, num_tokens, truncated, _checksum(key, data, num_tokens, truncated)))
        with storage_errors(self.path, elsewhere="point SLIMVEC_CACHE elsewhere, or pass --no-cache"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                _make_room(self.path.parent)
        with self._open() as database, database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", rows)

    def rounded(self, vectors: Vectors) -> Vectors:
        """Give vectors as they are once they have been kept."""
        return vectors.astype(self._dtype).astype(np.float32)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=_WAIT_SECONDS)) as database:
                database.execute("PRAGMA page_size = 16384")  # several vectors a page; of effect in a new file only
                database.execute(_TABLE)
                yield database
        except sqlite3.Error as error:
            raise StorageError(
                f"cannot use the vectors in {self.path}: {error}",
                do="delete the file, free some space, or pass --no-cache",
            ) from error


def _make_room(folder: Path) -> None:
    """Remove the files that were written to longest ago, so that one more fits; a process that reads one still can."""
    files = sorted(folder.glob("*.sqlite"), key=_last_written, reverse=True)
    for path in files[MAX_MODELS - 1 :]:
        path.unlink(missing_ok=True)


def _last_written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # another process made room meanwhile
        return 0


def _key(prompt: str, text: str) -> bytes:
    return blake2b(f"{len(prompt)}:{prompt}{text}".encode(), digest_size=20).digest()


def _checksum(key: bytes, vector: bytes, num_tokens: int, truncated: int) -> int:
    return zlib.crc32(f"{num_tokens} {truncated}".encode(), zlib.crc32(vector, zlib.crc32(key)))


def blocks_of(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut items into blocks of a size."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
