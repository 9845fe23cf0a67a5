"""What surface alone gives: cosines of texts as bags of words, and as bags of words and of neighbouring pairs.

With c the counts of a text's words (letters and digits, capitals undone), the cosine of two bags is c.d / (|c||d|).
Texts of the same words have the cosine 1 exactly, in whatever order they stand, and are equally like every third text.

Letters: N texts, V different words in them.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from slimvec.ranking.words import split_tokens
from slimvec.statistics.resampling import Values

Bag = tuple[Counter[Hashable], float]


def bag_cosines(first: Sequence[str], second: Sequence[str]) -> Values:
    """Compare N texts with N others as bags of words: [N]."""
    found = [_cosine(_words(one), _words(two)) for one, two in zip(first, second, strict=True)]
    return np.array(found, dtype=np.float64)


def pair_cosines(first: Sequence[str], second: Sequence[str]) -> Values:
    """Compare N texts with N others by their words and, in equal parts, by which two stand side by side: [N]."""
    pairs = [_cosine(_pairs(one), _pairs(two)) for one, two in zip(first, second, strict=True)]
    return 0.5 * (bag_cosines(first, second) + np.array(pairs, dtype=np.float64))


@lru_cache(maxsize=1 << 15)
def _words(text: str) -> Bag:
    return _bag(split_tokens(text))


@lru_cache(maxsize=1 << 15)
def _pairs(text: str) -> Bag:
    words = ["", *split_tokens(text), ""]  # the beginning and the end are neighbours too
    return _bag(pairwise(words))


def _bag(parts: Iterable[Hashable]) -> Bag:
    counts = Counter(parts)
    return counts, float(sum(count * count for count in counts.values()))


def _cosine(first: Bag, second: Bag) -> float:
    (few, few_square), (many, many_square) = sorted((first, second), key=lambda bag: len(bag[0]))
    if not few_square or not many_square:
        return 0.0
    return float(sum(count * many[part] for part, count in few.items()) / (few_square * many_square) ** 0.5)


def word_counts(texts: Sequence[str]) -> Values:
    """Give bags as vectors of unit length, whose products are the cosines of N texts with each other: [N, V]."""
    counts = [Counter(split_tokens(text)) for text in texts]
    places = {word: number for number, word in enumerate(sorted({word for count in counts for word in count}))}
    found = np.zeros((len(texts), len(places)))
    for row, count in zip(found, counts, strict=True):
        row[[places[word] for word in count]] = list(count.values())
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-12))
