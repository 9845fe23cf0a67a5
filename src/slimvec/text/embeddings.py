"""What embedding gives, whoever embeds: vectors of texts, with what happened to each text on the way.

Letters: N texts, D dims.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from slimvec.text.prompts import Role

Vectors = NDArray[np.float32]
OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class BadText:
    """A text without a vector.

    Attributes:
        number: Its place among the texts, from 0.
        start: Its beginning.
        reason: Why it has none.
    """

    number: int
    start: str
    reason: str


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of texts, with what happened to each text on the way.

    Attributes:
        vectors: [N, D] float32, in the order of the texts.
        tokens: [N] tokens of each text, prompt included; -1 where nobody counts them.
        truncated: [N] 1 where a text was longer than the model's limit and was truncated, 0 where not, -1 where nobody
            knows.
        num_computed: Tokens that were run through the model: without those of repeated texts, and with those of a
            shared prompt once; 0 where nobody counts them.
        bad: Texts without a vector, whose rows are NaN.
    """

    vectors: Vectors
    tokens: NDArray[np.int32]
    truncated: NDArray[np.int8]
    num_computed: int = 0
    bad: tuple[BadText, ...] = ()

    @classmethod
    def uncounted(cls, vectors: Vectors) -> Self:
        """Vectors of texts whose tokens nobody counts."""
        unknown = np.full(len(vectors), -1)
        return cls(vectors, unknown.astype(np.int32), unknown.astype(np.int8))

    @classmethod
    def joined(cls, blocks: Sequence[Self], dims: int) -> Self:
        """Join the blocks of a stream; `dims` is the width when there is none."""
        if not blocks:
            return cls.uncounted(np.empty((0, dims), dtype=np.float32))
        if len(blocks) == 1:
            return blocks[0]
        starts = [0, *accumulate(len(block.vectors) for block in blocks)][: len(blocks)]
        return cls(
            np.concatenate([block.vectors for block in blocks]),
            np.concatenate([block.tokens for block in blocks]),
            np.concatenate([block.truncated for block in blocks]),
            sum(block.num_computed for block in blocks),
            tuple(text for block, by in zip(blocks, starts, strict=True) for text in shifted(block.bad, by)),
        )

    @property
    def num_tokens(self) -> int:
        """Tokens of all texts, prompts included, as far as somebody counts them."""
        return int(self.tokens.clip(min=0).sum(dtype=np.int64))

    @property
    def num_truncated(self) -> int:
        """Texts that were longer than the model's limit and were truncated, as far as somebody knows."""
        return int((self.truncated == 1).sum())


class TextEmbedder(Protocol):
    """What turns texts into vectors; `slimvec.engine.embedder.Embedder` is one."""

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role,
        task: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Embeddings:
        """Embed texts in a role, and tell how many more are done."""
        ...


def embed_by_task(
    embedder: TextEmbedder,
    texts: Sequence[str],
    tasks: Sequence[str | None],
    *,
    role: Role,
    on_progress: OnProgress | None = None,
) -> Embeddings:
    """Embed N texts, each for its own task: those of a task together, given back in the order of the texts."""
    by_task: dict[str | None, list[int]] = {}
    for number, task in enumerate(tasks):
        by_task.setdefault(task, []).append(number)
    found = Embeddings.joined(
        [
            embedder.embed([texts[number] for number in numbers], role=role, task=task, on_progress=on_progress)
            for task, numbers in by_task.items()
        ],
        dims=0,
    )
    places = [number for numbers in by_task.values() for number in numbers]
    order = np.argsort(places)
    bad = tuple(replace(text, number=places[text.number]) for text in found.bad)
    return Embeddings(found.vectors[order], found.tokens[order], found.truncated[order], found.num_computed, bad)


def shifted(bad: Sequence[BadText], by: int) -> tuple[BadText, ...]:
    """Number bad texts of a part as those of the whole, in which `by` texts stand before them."""
    return tuple(replace(text, number=text.number + by) for text in bad)
