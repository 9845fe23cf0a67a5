"""Texts that nearly repeat another: MinHash with banding (Broder 1997) finds candidates, exact Jaccard decides.

Two texts are compared by their sets of three successive words, marks, digits and capitals aside.
"""

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Signature = NDArray[np.uint64]

_NUM_BANDS, _BAND_ROWS = 16, 4
"""A pair with Jaccard .8 is found with probability 1 - (1 - .8^4)^16 = .9998, one with .3 with .12."""
_SHINGLE_WORDS = 3


def near_duplicates(texts: Sequence[str], *, threshold: float = 0.8) -> dict[int, int]:
    """Find texts that nearly repeat an earlier one.

    The first of a group is kept and the later ones point to it, so texts to be preferred come first.

    Args:
        texts: In the order of preference.
        threshold: Smallest Jaccard similarity of two texts that count as the same.

    Returns:
        Number of the earlier text, by number of the text that repeats it.
    """
    multipliers, offsets = _hash_functions()
    shingles: list[frozenset[int]] = []
    buckets: dict[tuple[int, bytes], list[int]] = {}
    repeats: dict[int, int] = {}
    for number, text in enumerate(texts):
        own = _shingles(text)
        shingles.append(own)
        keys = _band_keys(own, multipliers, offsets)
        candidates = sorted({other for key in keys for other in buckets.get(key, ())})
        match = next((other for other in candidates if _jaccard(own, shingles[other]) >= threshold), None)
        if match is not None:
            repeats[number] = match
            continue
        for key in keys:
            buckets.setdefault(key, []).append(number)
    return repeats


def text_words(text: str) -> list[str]:
    """Words of a text, lower-cased, without digits and marks."""
    return re.findall(r"[^\W\d_]+", text.lower())


def _shingles(text: str) -> frozenset[int]:
    words = text_words(text)
    runs = (words[start : start + _SHINGLE_WORDS] for start in range(max(1, len(words) - _SHINGLE_WORDS + 1)))
    return frozenset(crc32(" ".join(run).encode()) for run in runs)


def _hash_functions() -> tuple[Signature, Signature]:
    """Multipliers and offsets of the hash functions, fixed for good: the same texts repeat each other everywhere."""
    generator = np.random.default_rng(0)
    shape = (_NUM_BANDS * _BAND_ROWS, 1)
    multipliers = generator.integers(1, 2**63, size=shape, dtype=np.uint64) | np.uint64(1)
    return multipliers, generator.integers(2**63, size=shape, dtype=np.uint64)


def _band_keys(shingles: frozenset[int], multipliers: Signature, offsets: Signature) -> list[tuple[int, bytes]]:
    """The bands of a text's MinHash signature, as keys under which its near repeats are found."""
    values = np.fromiter(shingles, dtype=np.uint64, count=len(shingles))
    smallest = ((multipliers * values + offsets) >> np.uint64(32)).min(axis=1)
    return [(band, row.tobytes()) for band, row in enumerate(smallest.reshape(_NUM_BANDS, _BAND_ROWS))]


def _jaccard(first: frozenset[int], second: frozenset[int]) -> float:
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)
