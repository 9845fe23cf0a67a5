"""A teacher's vectors: what a run asks of a teacher, and a cache on disk so that no text is embedded twice.

Training knows no engine: whoever starts a run hands the teacher in.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slimvec.errors import InputError, StorageError
from slimvec.model.cache import cache_root
from slimvec.text.prompts import Role
from slimvec.training.recipe.loss import Distillation

Vectors = NDArray[np.float32]

_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
_ASKED_AT_ONCE = 500
"""Keys in a query; SQLite takes 999 in its oldest builds."""
_PATIENCE_S = 60.0
"""How long another process may hold the file."""


class TeacherVectors(Protocol):
    """A model whose vectors, or their cosines, are learnt."""

    @property
    def identity(self) -> str:
        """What tells it from every other teacher: vectors are cached under it."""
        ...

    @property
    def dims(self) -> int:
        """E, the width of its vectors."""
        ...

    def __call__(self, texts: Sequence[str], role: Role, task: str | None) -> Vectors:
        """Embed texts.

        Args:
            texts: N texts.
            role: `query` or `document`.
            task: As the records name it; a teacher that knows no tasks leaves it alone.

        Returns:
            [N, E] float32 unit vectors.
        """
        ...


OpenTeacher = Callable[[str], TeacherVectors]
"""Gives a teacher by its name in the recipe."""


def prepare_teacher(distill: Distillation | None, open_teacher: OpenTeacher | None) -> TeacherVectors | None:
    """Open the model that a recipe names as teacher, with the cache of its vectors; None for recipes without one.

    Raises:
        InputError: there is nobody to open it.
        StorageError: the cache cannot be opened.
    """
    if distill is None or not distill.has_model:
        return None
    if open_teacher is None:
        raise InputError(
            f"the recipe has a teacher, {distill.teacher}, and the run was started without one",
            expected="a function that opens it",
            do="pass open_teacher, or train with the command line",
        )
    return CachedTeacher(open_teacher(distill.teacher), cache_root() / "teachers")


class CachedTeacher:
    """A teacher that remembers, in a file that several runs and processes may share.

    Args:
        teacher: Asked for what is not there yet.
        folder: Where the file is, or will be, under a name made of the teacher's identity.

    Raises:
        StorageError: the file cannot be opened.
    """

    def __init__(self, teacher: TeacherVectors, folder: Path) -> None:
        self._teacher = teacher
        name = hashlib.sha256(teacher.identity.encode()).hexdigest()[:16]
        self.path = folder / f"{name}.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=_PATIENCE_S, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode=WAL")
            with self._file:
                self._file.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

    @property
    def identity(self) -> str:
        """The teacher's."""
        return self._teacher.identity

    @property
    def dims(self) -> int:
        """The teacher's."""
        return self._teacher.dims

    def __call__(self, texts: Sequence[str], role: Role, task: str | None) -> Vectors:
        """Embed texts, each of them once: [N, E].

        Raises:
            StorageError: the file cannot be read or written.
        """
        keys = [_key(text, role, task) for text in texts]
        by_key = dict(zip(keys, texts, strict=True))
        found = self._read(by_key)
        missing = [key for key in by_key if key not in found]
        if missing:
            made = np.ascontiguousarray(self._teacher([by_key[key] for key in missing], role, task), dtype=np.float32)
            new = dict(zip(missing, made, strict=True))
            self._write(new)
            found |= new
        return np.stack([found[key] for key in keys])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _read(self, keys: Iterable[bytes]) -> dict[bytes, Vectors]:
        """Look keys up."""
        wanted = list(keys)
        found: dict[bytes, Vectors] = {}
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            part = wanted[start : start + _ASKED_AT_ONCE]
            question = f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(part))})"
            try:
                rows = self._file.execute(question, part).fetchall()
            except sqlite3.Error as error:
                raise self._failure(error) from error
            found.update({key: np.frombuffer(vector, dtype=np.float32) for key, vector in rows})
        return found

    def _write(self, vectors: dict[bytes, Vectors]) -> None:
        """Add vectors, all or none. What another process has added meanwhile is the same."""
        rows = [(key, vector.tobytes()) for key, vector in vectors.items()]
        try:
            with self._file:
                self._file.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> StorageError:
        """Say what went wrong with the file."""
        return StorageError(
            f"the teacher's vectors in {self.path} cannot be kept: {error}",
            expected="a file that can be written",
            do="free some space, or remove the file if it is damaged",
        )


def _key(text: str, role: Role, task: str | None) -> bytes:
    """Give 16 bytes that stand for a text in a role and task."""
    written = "\0".join((role, task or "", text))
    return hashlib.blake2b(written.encode(), digest_size=16).digest()
