"""Texts that have no vector: what is wrong with each, and the error that carries the vectors of the others."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slimvec.errors import InputError, ModelError
from slimvec.text.embeddings import BadText, Embeddings
from slimvec.text.tokenizer import Tokenizer

OnBad = Literal["refuse", "mark"]
_SHOWN = 40
_ZERO, _NOT_FINITE = "has a vector of zeros, which has no direction", "has a vector with NaN or infinity"


class VectorsError(ModelError):
    """Some texts have no vector. Those of the others are here.

    Args:
        embeddings: Embeddings of all texts; the rows of the bad ones are NaN.
        offset: Number of its first text, for the message.

    Attributes:
        embeddings: As given.
        bad: The texts without a vector, numbered as in `embeddings`.
    """

    def __init__(self, embeddings: Embeddings, *, offset: int = 0) -> None:
        self.embeddings, self.bad = embeddings, embeddings.bad
        first = self.bad[0]
        more = f" (and {len(self.bad) - 1:,} more texts)" if len(self.bad) > 1 else ""
        super().__init__(
            f"text {first.number + offset} ({first.start!r}) {first.reason}{more}",
            expected="numbers",
            do="load the model with dtype='float32'; the other texts' vectors are in this error's `embeddings`",
        )


def bad_rows(vectors: NDArray[np.float32], texts: Sequence[str]) -> tuple[BadText, ...]:
    """Find the vectors [N, D] that are none: with NaN or infinity, or all 0, which has no direction."""
    finite, directed = (np.asarray(rows) for rows in (np.isfinite(vectors).all(axis=1), vectors.any(axis=1)))
    numbers: list[int] = np.flatnonzero(~(finite & directed)).tolist()
    return tuple(BadText(n, texts[n][:_SHOWN], _ZERO if finite[n] else _NOT_FINITE) for n in numbers)


def refuse_not_finite(vectors: NDArray[np.float32], texts: Sequence[str], source: str) -> None:
    """Refuse vectors [N, D] of another engine that are NaN or infinite; all 0 is what some peers give unknown words.

    Raises:
        ModelError: there is one; its text is named.
    """
    for text in bad_rows(vectors, texts):
        if text.reason == _NOT_FINITE:
            raise ModelError(f"{source}: text {text.number} ({text.start!r}) {text.reason}", expected="numbers")


def unreadable(tokenizer: Tokenizer, texts: Sequence[str], prompt: str) -> tuple[BadText, ...]:
    """Find the texts that cannot be tokenised, one at a time: slow, for when all together could not."""
    found = []
    for number, text in enumerate(texts):
        try:
            tokenizer.tokenize([text], prompt=prompt)
        except InputError as error:
            start = text[:_SHOWN] if isinstance(text, str) else repr(text)[:_SHOWN]
            reason = error.found.removeprefix("text 0 ").removeprefix(f"({start!r}) ")
            found.append(BadText(number, start, reason))
    return tuple(found)


def refusing(blocks: Iterator[Embeddings]) -> Iterator[Embeddings]:
    """Stop at the first block with a text that has no vector."""
    done = 0
    for block in blocks:
        if block.bad:
            raise VectorsError(block, offset=done)
        yield block
        done += len(block.vectors)
