"""The n-grams of a corpus: which tokens may follow one, how often it occurs, and where.

A suffix array over the tokens answers all three by binary search; it is what an FM-index holds, uncompressed (SEAL,
arXiv 2204.10628). Suffixes are sorted by their first 16 tokens, longer than any n-gram asked for, so that numpy's sort,
run four times over ranks that double in reach, takes a second for a million tokens; libraries for suffix arrays sort
whole suffixes of bytes, and would be a dependency for no gain. Documents come in segments, each with an array of its
own: one that is added is sorted alone.

Letters: T tokens of a segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from slimvec.errors import InputError
from slimvec.files import atomic_file

Tokens = NDArray[np.int32]
Numbers = NDArray[np.int64]

MAX_LENGTH = 16
"""Longest n-gram that can be asked for."""
_END = -1
"""Stands behind every document, so that no n-gram reaches from one into the next."""
_MAX_SEGMENTS = 8


@dataclass(frozen=True, eq=False)
class Segment:
    """Documents that were added together.

    Attributes:
        tokens: [T] int32, the documents one behind the other, each with an end.
        starts: Where each document begins.
        order: [T] places in `tokens`, by what stands there.
        first: Number of the first document.
    """

    tokens: Tokens
    starts: Numbers
    order: Numbers
    first: int

    @classmethod
    def build(cls, documents: Sequence[Sequence[int] | Tokens], *, first: int) -> Self:
        """Sort the suffixes of documents; none of them empty."""
        starts = np.cumsum([0, *(len(document) + 1 for document in documents)])[:-1]
        flat = np.concatenate([np.append(np.asarray(document, dtype=np.int32), _END) for document in documents])
        return cls(flat.astype(np.int32), starts.astype(np.int64), _sorted_suffixes(flat), first)

    def narrow(self, low: int, high: int, depth: int, token: int) -> tuple[int, int]:
        """Narrow a range of suffixes that agree in their first `depth` tokens to those that go on with a token."""
        column = self._column(low, high, depth)
        first, last = np.searchsorted(column, token, "left"), np.searchsorted(column, token, "right")
        return low + int(first), low + int(last)

    def following(self, low: int, high: int, depth: int) -> Tokens:
        """Give the tokens that follow in a range of suffixes: ascending, each once."""
        column = self._column(low, high, depth)
        found = column[np.append(True, np.diff(column) != 0)]  # sorted, as the suffixes are
        kept: Tokens = found[found != _END]
        return kept

    def _column(self, low: int, high: int, depth: int) -> Tokens:
        """Give what stands `depth` tokens behind the beginning of a range of suffixes; past the last token an end."""
        return self.tokens.take(np.minimum(self.order[low:high] + depth, len(self.tokens) - 1))


@dataclass(frozen=True, slots=True)
class NGram:
    """An n-gram that occurs in the corpus.

    Attributes:
        tokens: At most `MAX_LENGTH`; empty is what every text begins with.
        ranges: By segment, the range of suffixes that begin with it.
    """

    tokens: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """Occurrences."""
        return sum(high - low for low, high in self.ranges)


class NGramIndex:
    """The n-grams of documents, which can be added to.

    Args:
        segments: Documents in the order of their numbers; default none.
    """

    def __init__(self, segments: Sequence[Segment] = ()) -> None:
        self._segments = list(segments)

    @property
    def num_documents(self) -> int:
        """Documents."""
        return sum(len(segment.starts) for segment in self._segments)

    @property
    def num_tokens(self) -> int:
        """Tokens of all documents."""
        return sum(len(segment.tokens) - len(segment.starts) for segment in self._segments)

    def add(self, documents: Sequence[Sequence[int] | Tokens]) -> None:
        """Add documents, numbered on from those that are there.

        Args:
            documents: Token ids, 0 or above.

        Raises:
            InputError: a document without tokens.
        """
        for number, document in enumerate(documents):
            if not len(document):
                raise InputError(f"document {number} has no tokens", expected="some text", do="leave it out")
        if not documents:
            return
        self._segments.append(Segment.build(documents, first=self.num_documents))
        if len(self._segments) > _MAX_SEGMENTS:
            self._segments = [Segment.build([d for s in self._segments for d in _documents(s)], first=0)]

    def everything(self) -> NGram:
        """Give the empty n-gram, which everything begins with."""
        return NGram((), tuple((0, len(segment.tokens)) for segment in self._segments))

    def extend(self, ngram: NGram, token: int) -> NGram:
        """Make an n-gram longer by a token; its count is 0 where that does not occur.

        Raises:
            ValueError: it is as long as can be asked for.
        """
        if len(ngram.tokens) >= MAX_LENGTH:
            raise ValueError(f"n-grams of over {MAX_LENGTH} tokens")
        ranges = tuple(
            segment.narrow(low, high, len(ngram.tokens), token) if low < high else (low, high)
            for segment, (low, high) in zip(self._segments, ngram.ranges, strict=True)
        )
        return NGram((*ngram.tokens, token), ranges)

    def find(self, tokens: Sequence[int]) -> NGram:
        """Look an n-gram up; its count is 0 where it does not occur."""
        found = self.everything()
        for token in tokens:
            found = self.extend(found, token)
        return found

    def following(self, ngram: NGram) -> Tokens:
        """Give the tokens that follow an n-gram somewhere: ascending, each once."""
        parts = [
            segment.following(low, high, len(ngram.tokens))
            for segment, (low, high) in zip(self._segments, ngram.ranges, strict=True)
            if low < high
        ]
        if len(parts) == 1:
            return parts[0]
        return np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int32)

    def documents(self, ngram: NGram) -> Numbers:
        """Give the numbers of the documents that hold an n-gram: ascending, each once."""
        parts = [
            segment.first + np.searchsorted(segment.starts, segment.order[low:high], "right") - 1
            for segment, (low, high) in zip(self._segments, ngram.ranges, strict=True)
        ]
        return np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)

    def save(self, path: Path, *, force: bool = False) -> None:
        """Write the index to a file.

        Raises:
            InputError: the path exists.
            StorageError: it cannot be written.
        """
        arrays = {
            f"{name}_{number}": getattr(segment, name)
            for number, segment in enumerate(self._segments)
            for name in ("tokens", "starts", "order")
        }
        with atomic_file(path, force=force) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an index back.

        Raises:
            InputError: the file is none.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                segments, first = [], 0
                for number in range(len(arrays.files) // 3):
                    tokens, starts, order = (arrays[f"{name}_{number}"] for name in ("tokens", "starts", "order"))
                    segments.append(Segment(tokens, starts, order, first))
                    first += len(segments[-1].starts)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} cannot be read: {error}", expected="an index of n-grams") from error
        return cls(segments)


def _documents(segment: Segment) -> list[Tokens]:
    """Give the tokens of a segment's documents."""
    ends = np.append(segment.starts[1:], len(segment.tokens)) - 1
    return [segment.tokens[start:end] for start, end in zip(segment.starts, ends, strict=True)]


def _sorted_suffixes(tokens: NDArray[np.int32]) -> Numbers:
    """Sort suffixes by their first `MAX_LENGTH` tokens (prefix doubling, Manber and Myers 1990)."""
    ranks = np.unique(tokens, return_inverse=True)[1].astype(np.int64)
    reach, count = 1, len(tokens)
    while True:
        further = np.zeros(count, dtype=np.int64)  # past the end comes before everything
        further[: max(0, count - reach)] = ranks[reach:] + 1
        keys = ranks * (count + 1) + further
        order = np.argsort(keys, kind="stable")
        reach *= 2
        if reach >= MAX_LENGTH:
            return order
        ordered = keys[order]
        ranks[order] = np.concatenate([[0], np.cumsum(np.diff(ordered) != 0)])
