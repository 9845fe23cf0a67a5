"""What a run asks of a teacher. Training knows no engine: whoever starts a run hands the teacher in."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slimvec.text.prompts import Role


class TeacherVectors(Protocol):
    """A model whose vectors, or their cosines, are learnt. It is asked for the texts of a step, step by step."""

    @property
    def identity(self) -> str:
        """What tells it from every other teacher; a run goes on with the same one only."""
        ...

    @property
    def dims(self) -> int:
        """E, the width of its vectors."""
        ...

    def __call__(self, texts: Sequence[str], role: Role, task: str | None) -> NDArray[np.float32]:
        """Embed texts, or look them up where they have been embedded before.

        Args:
            texts: N texts.
            role: `query` or `document`.
            task: As the records name it.

        Returns:
            [N, E] unit vectors.
        """
        ...

    def likelihoods(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Give log p(query | document) a token of the query, or look it up where it has been computed before.

        Args:
            pairs: P queries with a document each.

        Returns:
            [P].

        Raises:
            ModelError: the teacher has no language model.
        """
        ...


OpenTeacher = Callable[[str], TeacherVectors]
"""Gives a teacher by its name in the recipe."""
