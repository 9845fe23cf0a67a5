"""Texts that nearly repeat another: MinHash with banding (Broder 1997) finds candidates, exact Jaccard decides.

Two texts are compared by their sets of three successive words. `near_duplicates` looks at whole lists and leaves
digits aside; a `NearDuplicateIndex` takes one text after the other and holds, for each text it keeps, four bytes a
different run of words and about two kilobytes for the bands.
"""

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Signature = NDArray[np.uint64]
Shingles = NDArray[np.uint32]

_NUM_BANDS, _BAND_ROWS = 16, 4
"""A pair with Jaccard .8 is found with probability 1 - (1 - .8^4)^16 = .9998, one with .3 with .12."""
_SHINGLE_WORDS = 3
_SHINGLES_AT_ONCE = 4096
"""Long texts are hashed in pieces: 64 functions x 4,096 shingles x 8 bytes is 2 MB."""


class NearDuplicateIndex:
    """The texts seen so far, for finding what a new one nearly repeats.

    Args:
        threshold: Smallest Jaccard similarity of two texts that count as the same.
    """

    def __init__(self, *, threshold: float = 0.8) -> None:
        self.threshold = threshold
        self._multipliers, self._offsets = _hash_functions()
        self._shingles: list[Shingles | None] = []
        self._buckets: list[dict[int, int | list[int]]] = [{} for _ in range(_NUM_BANDS)]

    def add(self, words: Sequence[str]) -> int | None:
        """Take in a text.

        Args:
            words: Words of the text. Texts without words all count as the same.

        Returns:
            Number, from 0 in the order of adding, of the earliest text that this one nearly repeats. Then it is not
            kept, and later ones are not compared with it. None when there is none.
        """
        own = _shingles(words)
        keys = self._band_keys(own)
        candidates: set[int] = set()
        for bucket, key in zip(self._buckets, keys, strict=True):
            there = bucket.get(key)
            if there is not None:
                candidates.update([there] if isinstance(there, int) else there)
        match = next((number for number in sorted(candidates) if self._is_near(own, number)), None)
        number = len(self._shingles)
        self._shingles.append(own if match is None else None)
        if match is None:
            self._put(number, keys)
        return match

    def _put(self, number: int, keys: Sequence[int]) -> None:
        for bucket, key in zip(self._buckets, keys, strict=True):
            there = bucket.get(key)
            if there is None:
                bucket[key] = number  # a list only where there are several: most buckets hold one text
            elif isinstance(there, int):
                bucket[key] = [there, number]
            else:
                there.append(number)

    def _is_near(self, own: Shingles, number: int) -> bool:
        other = self._shingles[number]
        return other is not None and _jaccard(own, other, self.threshold) >= self.threshold

    def _band_keys(self, shingles: Shingles) -> list[int]:
        """The bands of a text's MinHash signature, as keys under which its near repeats are found."""
        smallest = np.full(_NUM_BANDS * _BAND_ROWS, np.iinfo(np.uint64).max, dtype=np.uint64)
        for start in range(0, len(shingles), _SHINGLES_AT_ONCE):
            piece = shingles[start : start + _SHINGLES_AT_ONCE].astype(np.uint64)
            hashed = (self._multipliers * piece + self._offsets) >> np.uint64(32)
            np.minimum(smallest, hashed.min(axis=1), out=smallest)
        bands = smallest.reshape(_NUM_BANDS, _BAND_ROWS)
        return [hash(row) for row in map(tuple, bands.tolist())]  # hashes of whole numbers are the same in every run


def near_duplicates(texts: Sequence[str], *, threshold: float = 0.8) -> dict[int, int]:
    """Find texts that nearly repeat an earlier one, marks, digits and capitals aside.

    The first of a group is kept and the later ones point to it, so texts to be preferred come first.

    Args:
        texts: In the order of preference.
        threshold: Smallest Jaccard similarity of two texts that count as the same.

    Returns:
        Number of the earlier text, by number of the text that repeats it.
    """
    index = NearDuplicateIndex(threshold=threshold)
    matches = [index.add(text_words(text)) for text in texts]
    return {number: match for number, match in enumerate(matches) if match is not None}


def text_words(text: str) -> list[str]:
    """Words of a text, lower-cased, without digits and marks."""
    return re.findall(r"[^\W\d_]+", text.lower())


def _shingles(words: Sequence[str]) -> Shingles:
    """The set of runs of three words, as sorted hashes."""
    runs = (words[start : start + _SHINGLE_WORDS] for start in range(max(1, len(words) - _SHINGLE_WORDS + 1)))
    return np.unique(np.fromiter((crc32(" ".join(run).encode()) for run in runs), dtype=np.uint32))


def _hash_functions() -> tuple[Signature, Signature]:
    """Multipliers and offsets of the hash functions, fixed for good: the same texts repeat each other everywhere."""
    generator = np.random.default_rng(0)
    shape = (_NUM_BANDS * _BAND_ROWS, 1)
    multipliers = generator.integers(1, 2**63, size=shape, dtype=np.uint64) | np.uint64(1)
    return multipliers, generator.integers(2**63, size=shape, dtype=np.uint64)


def _jaccard(first: Shingles, second: Shingles, threshold: float) -> float:
    """Jaccard similarity of two sets; 0 when their sizes alone keep it below the threshold."""
    if min(len(first), len(second)) < threshold * max(len(first), len(second)):
        return 0.0
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)
