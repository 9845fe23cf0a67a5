"""Long runs of tokens, by their hashes.

A run is thirteen words (GPT-3's decontamination, arXiv 2005.14165, appendix C) or forty characters of scripts without
spaces; in mixed texts a word counts for a thirteenth of a run and such a character for a fortieth. From each token
on, the shortest run that is long enough is hashed; two texts that share a long run share the hash of its first
shortest run, wherever it stands in them. Of a hundred million runs held against a million, one in two hundred
thousand such searches meets two runs with the same 64 bits.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from slimvec.ranking.words import is_character

_BASE = 0x9E3779B97F4A7C15  # odd, so that its powers have inverses modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)
_BLOCK = 1 << 17
"""Tokens that are worked on at once: their arrays stay within megabytes, and calls of NumPy cost next to nothing."""
Tokens = Sequence[str]


@dataclass(frozen=True, eq=False)
class Runs:
    """The long runs of some texts, in the order of texts and starts.

    Attributes:
        texts: [R], number of each run's text.
        hashes: [R].
        starts: [R], place of its first token in its text.
        ends: [R], place behind its last one.
    """

    texts: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def distinct(self) -> "Runs":
        """Keep the first of equal runs of a text; by text and hash."""
        order = np.lexsort((self.hashes, self.texts))  # stable: equal ones stay in the order of their starts
        texts, hashes = self.texts[order], self.hashes[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (texts[1:] != texts[:-1]) | (hashes[1:] != hashes[:-1])
        return self.where(order[first])

    def where(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Runs":
        """Take some of them."""
        return Runs(self.texts[chosen], self.hashes[chosen], self.starts[chosen], self.ends[chosen])

    def shifted(self, number: int) -> "Runs":
        """Number their texts from another number on."""
        return Runs(self.texts + number, self.hashes, self.starts, self.ends)

    @staticmethod
    def joined(parts: "Sequence[Runs]") -> "Runs":
        """Put runs one behind the other, those of at least one part."""
        texts, hashes = (np.concatenate([getattr(part, name) for part in parts]) for name in ("texts", "hashes"))
        starts, ends = (np.concatenate([getattr(part, name) for part in parts]) for name in ("starts", "ends"))
        return Runs(texts, hashes, starts, ends)


def long_runs(texts: Sequence[Tokens], *, words: int, characters: int) -> Runs:
    """Hash the shortest long run from each token that has one.

    The hash of a run is a polynomial modulo 2^64, taken from sums over all texts: with powers b^j,
    (S[end] - S[start]) b^(-start), where S[k] sums b^j times the hash of token j over j < k.

    Args:
        texts: Tokens of each text, numbered from 0.
        words: Words of a run.
        characters: Characters of a run in scripts without spaces.
    """
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    total = int(lengths.sum())
    numbers: defaultdict[str, int] = defaultdict(lambda: len(numbers))
    tokens = np.fromiter(map(numbers.__getitem__, chain.from_iterable(texts)), dtype=np.int64, count=total)
    hashes = np.fromiter(map(_token_hash, numbers), dtype=np.uint64, count=len(numbers))
    # A word weighs as many units as a run has characters, and a character as many as it has words.
    units = np.array([words if is_character(token) else characters for token in numbers], dtype=np.int64)
    weights = np.concatenate([[0], np.cumsum(units[tokens])])
    ends = np.searchsorted(weights, weights[:-1] + words * characters, side="left")
    bounds = np.cumsum(lengths)
    own = np.repeat(np.arange(len(texts)), lengths)
    starts = np.flatnonzero(ends <= bounds[own])
    ends, own = ends[starts], own[starts]
    powers, inverses = _powers(1 << max(total, 1).bit_length())
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes[tokens] * powers[:total], dtype=np.uint64)])
    first = (bounds - lengths)[own]
    return Runs(own, (sums[ends] - sums[starts]) * inverses[starts], starts - first, ends - first)


def in_blocks(texts: Iterable[Tokens]) -> Iterator[list[Tokens]]:
    """Take texts together, as many as are worked on at once; the last block may be empty."""
    block: list[Tokens] = []
    size = 0
    for tokens in texts:
        block.append(tokens)
        size += len(tokens)
        if size >= _BLOCK:
            yield block
            block, size = [], 0
    yield block


def whole_key(tokens: Tokens) -> bytes:
    """Hash a whole text."""
    return blake2b(" ".join(tokens).encode(), digest_size=16).digest()


@lru_cache(maxsize=4)
def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of the base and of its inverse, modulo 2^64."""
    powers, inverses = np.ones(count, np.uint64), np.ones(count, np.uint64)
    np.multiply.accumulate(np.full(count - 1, _BASE, np.uint64), out=powers[1:])
    np.multiply.accumulate(np.full(count - 1, _INVERSE, np.uint64), out=inverses[1:])
    return powers, inverses


@lru_cache(maxsize=1 << 18)
def _token_hash(token: str) -> int:
    return int.from_bytes(blake2b(token.encode(), digest_size=8).digest(), "little")
