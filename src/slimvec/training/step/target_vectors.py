"""The vectors that a run on plain texts learns: one or several teachers', from disk, on axes that suit the student.

Letters: N texts, B of them, E dims of all teachers together.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slimvec.text.prompts import Role
from slimvec.training.batches.teacher import TeacherVectors
from slimvec.training.step.events import Notice

Vectors = NDArray[np.float32]
BLOCK_TEXTS = 512
"""Texts whose vectors are in memory at once; progress is told, and vectors are kept, after each."""


class TargetVectors:
    """What teachers make of texts, concatenated.

    Each teacher's vectors have the length 1 / sqrt(number of teachers), so a cosine is the mean of the teachers' own.
    They are embedded when this is made, as far as the teachers do not keep them from before, and read again by step.

    Args:
        teachers: One or more.
        texts: N texts.
        role: The teachers' prompt.
        principal: Turn the vectors onto their principal axes over the texts, widest first.
        notice: Told how far the embedding is.
    """

    def __init__(
        self,
        teachers: Sequence[TeacherVectors],
        texts: Sequence[str],
        *,
        role: Role,
        principal: bool,
        notice: Notice | None = None,
    ) -> None:
        self._teachers, self._texts, self._role = teachers, texts, role
        self.dims = sum(teacher.dims for teacher in teachers)
        moments = np.zeros((self.dims, self.dims))
        for start in range(0, len(texts), BLOCK_TEXTS):
            if notice is not None:
                notice("embedding the texts with the teacher", start / len(texts))
            block = self._embed(texts[start : start + BLOCK_TEXTS]).astype(np.float64)
            moments += block.T @ block
        self._axes = principal_axes(moments).astype(np.float32) if principal else None

    @property
    def identity(self) -> str:
        """What tells these vectors from those of other teachers or prompts."""
        return f"{self._role}, {self._axes is not None}: {', '.join(teacher.identity for teacher in self._teachers)}"

    def rows(self, numbers: NDArray[np.int64]) -> Tensor:
        """Give the vectors of some texts.

        Args:
            numbers: B numbers of texts.

        Returns:
            [B, E] unit vectors.
        """
        found = self._embed([self._texts[number] for number in numbers.tolist()])
        return torch.from_numpy(found if self._axes is None else found @ self._axes)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        """Ask all teachers: [B, E]."""
        parts = [teacher(texts, self._role, None) for teacher in self._teachers]
        units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
        found: Vectors = (np.concatenate(units, axis=1) / len(parts) ** 0.5).astype(np.float32)
        return found


def principal_axes(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the axes along which vectors vary most, about the origin: cosines are about it too.

    Args:
        moments: [E, E], sum of the vectors' outer products.

    Returns:
        [E, E] orthogonal, columns by falling variance, the largest number of each positive, so that they are the same
        in every run.
    """
    _, axes = np.linalg.eigh(moments)
    axes = axes[:, ::-1]
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0))
    return np.ascontiguousarray(axes * np.where(signs == 0, 1.0, signs))
