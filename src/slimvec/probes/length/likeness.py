"""Likeness of unrelated texts by length: vectors of long texts that lie together cannot tell them apart.

Long texts of one language share more words than short ones, so some of the growth is honest: how alike the same texts
are as bags of words, by cosine of their word counts, is the floor to hold it against.

Legend: N texts, R draws.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slimvec.ranking.words import split_tokens
from slimvec.statistics.intervals import Interval

Values = NDArray[np.float64]

NUM_DRAWS = 2000


def mean_cosine(vectors: Values, *, seed: int) -> Interval:
    """Give the mean cosine of two different texts, with its interval over texts.

    Pairs share texts, so it is texts that are drawn; a text that is drawn twice makes no pair with itself.

    Args:
        vectors: [N, D] of unit length.
        seed: Random seed for the draws.
    """
    drawn = drawn_cosines(vectors, seed=seed)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(_cosine_of(vectors @ vectors.T, np.ones((1, len(vectors))))[0]), float(low), float(high))


def drawn_cosines(vectors: Values, *, seed: int) -> Values:
    """Give the mean cosine of two different texts in each of R draws of N texts: [R]."""
    num = len(vectors)
    draws = np.random.default_rng(seed).multinomial(num, np.full(num, 1 / num), size=NUM_DRAWS).astype(np.float64)
    return _cosine_of(vectors @ vectors.T, draws)


def word_counts(texts: Sequence[str]) -> Values:
    """Give the counts of the words of texts as vectors of unit length: [N, V], V the different words."""
    counts = [Counter(split_tokens(text)) for text in texts]
    places = {word: number for number, word in enumerate(sorted({word for count in counts for word in count}))}
    found = np.zeros((len(texts), len(places)))
    for row, count in zip(found, counts, strict=True):
        row[[places[word] for word in count]] = list(count.values())
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-12))


def _cosine_of(cosines: Values, draws: Values) -> Values:
    """Mean over pairs of different texts, each as often as the draws have it: [R].

    The sum over all pairs of drawn places less those of a text with itself, over the number of the others.
    """
    own = draws**2 @ np.diag(cosines)
    pairs = draws.sum(axis=1) ** 2 - (draws**2).sum(axis=1)
    sums = ((draws @ cosines) * draws).sum(axis=1) - own
    return np.asarray(sums / np.maximum(pairs, 1))
