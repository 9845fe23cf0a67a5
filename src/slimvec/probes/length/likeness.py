"""Likeness of unrelated texts by length: vectors of long texts that lie together cannot tell them apart.

Long texts of one language share more words than short ones, so some of the growth is honest: how alike the same texts
are as bags of words, by cosine of their word counts, is the floor to hold it against.

Legend: N texts.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slimvec.ranking.words import split_tokens
from slimvec.statistics.intervals import Interval
from slimvec.statistics.pairs import pair_interval

Values = NDArray[np.float64]


def mean_cosine(vectors: Values, *, seed: int) -> Interval:
    """Give the mean cosine of two different texts, with its interval over texts.

    Args:
        vectors: [N, D] of unit length.
        seed: Random seed for the draws.
    """
    return pair_interval([vectors @ vectors.T], lambda mean: mean, seed=seed)


def word_counts(texts: Sequence[str]) -> Values:
    """Give the counts of the words of texts as vectors of unit length: [N, V], V the different words."""
    counts = [Counter(split_tokens(text)) for text in texts]
    places = {word: number for number, word in enumerate(sorted({word for count in counts for word in count}))}
    found = np.zeros((len(texts), len(places)))
    for row, count in zip(found, counts, strict=True):
        row[[places[word] for word in count]] = list(count.values())
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-12))
