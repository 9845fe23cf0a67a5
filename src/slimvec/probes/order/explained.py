"""How much of a model is its words: three shares of variance, each a squared correlation.

With v a sentence's unit vector, and m the mean of the unit vectors of its words, each embedded alone, scaled to 1:

    counts    r^2 of cos(v, v') and the cosine of the word counts of the two texts. It knows nothing of what words mean:
              an upper bound is not to be read from it, as a model that knows synonyms has less.
    words     r^2 of cos(v, v') and cos(m, m'): the model's own words, without their order or their context.
    vectors   (sum of <v - mean v, m - mean m>)^2 / (sum of |v - mean v|^2 * sum of |m - mean m|^2): the share of the
              variance of the vectors themselves that a m + c explains, with one number a and one vector c for all.

The pairs of texts are those of each item (anchor, paraphrase, negative), the anchor with that of the next item, which
is mostly of the same template, and with one drawn from all. A bag of words with words of equal weight has 1 in the
second and the third, and nearly so in the first, where different words would have to be exactly orthogonal.

Letters: N items, D dims, R resamples.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from slimvec.probes.order.bags import bag_cosines
from slimvec.probes.order.items import Item
from slimvec.statistics.estimates import Estimate, estimate_sums, squared_correlation
from slimvec.statistics.resampling import Values

_WORD = re.compile(r"\w+")


def words_of(texts: Sequence[str]) -> list[str]:
    """Give the different words of texts as they are written, in the order in which they come."""
    return list(dict.fromkeys(word for text in texts for word in _WORD.findall(text)))


def explain(items: Sequence[Item], vectors: Mapping[str, Values], counts: Values, *, seed: int) -> dict[str, Estimate]:
    """Compute the shares of the module's formulas: `counts`, `words` and `vectors`.

    Args:
        items: N of them.
        vectors: Unit vectors [D] of their texts, and of all words in those.
        counts: [R, N], how often each item comes in each resample.
        seed: Random seed for the pairs.
    """
    means = {text: _mean_of_words(text, vectors) for item in items for text in item.texts}
    pairs = _pairs(items, seed=seed)
    cosines = _by_item(pairs, lambda first, second: _cosines(first, second, vectors))
    own = _by_item(pairs, lambda first, second: _cosines(first, second, means))
    counted = _by_item(pairs, bag_cosines)
    return {
        "counts": estimate_sums(_correlation_sums(counted, cosines), counts, squared_correlation),
        "words": estimate_sums(_correlation_sums(own, cosines), counts, squared_correlation),
        "vectors": _vector_share(items, vectors, means, counts),
    }


def _pairs(items: Sequence[Item], *, seed: int) -> list[list[tuple[str, str]]]:
    """Pairs of texts by item, as many for each."""
    drawn = np.random.default_rng(seed).integers(1, max(2, len(items)), size=len(items))
    found = []
    for number, item in enumerate(items):
        neighbour = items[(number + 1) % len(items)]
        other = items[(number + int(drawn[number])) % len(items)]
        own = [(item.anchor, item.paraphrase), (item.anchor, item.negative), (item.paraphrase, item.negative)]
        found.append([*own, (item.anchor, neighbour.anchor), (item.anchor, other.anchor)])
    return found


def _by_item(
    pairs: Sequence[Sequence[tuple[str, str]]], compare: Callable[[Sequence[str], Sequence[str]], Values]
) -> Values:
    """Compare the pairs of each item: [N, P]."""
    first, second = zip(*(pair for own in pairs for pair in own), strict=True)
    return compare(first, second).reshape(len(pairs), -1)


def _cosines(first: Sequence[str], second: Sequence[str], vectors: Mapping[str, Values]) -> Values:
    return np.array([vectors[one] @ vectors[two] for one, two in zip(first, second, strict=True)], dtype=np.float64)


def _mean_of_words(text: str, vectors: Mapping[str, Values]) -> Values:
    """m: [D]; zero for a text without words, or whose words cancel out."""
    total = np.zeros(len(vectors[text]))
    for word in _WORD.findall(text):
        total += vectors[word]
    length = float(np.linalg.norm(total))
    return total / length if length else total


def _correlation_sums(x: Values, y: Values) -> Values:
    """What each item adds to the sums of `squared_correlation`: [N, P] twice to [N, 6]."""
    parts = (np.ones_like(x), x, y, x * x, y * y, x * y)
    return np.stack([part.sum(axis=1) for part in parts], axis=1)


def _vector_share(
    items: Sequence[Item], vectors: Mapping[str, Values], means: Mapping[str, Values], counts: Values
) -> Estimate:
    """Compute the third formula; an opposite direction explains nothing."""
    v = np.array([[vectors[text] for text in item.texts] for item in items], dtype=np.float64)
    m = np.array([[means[text] for text in item.texts] for item in items])
    dims, num = v.shape[2], np.full((len(items), 1), 3.0)
    products = [np.einsum("ntd,ntd->n", *pair)[:, None] for pair in ((v, m), (v, v), (m, m))]
    sums = np.concatenate([num, *products, v.sum(axis=1), m.sum(axis=1)], axis=1)

    def share(totals: Values) -> Values:
        count, vm, vv, mm = totals[:, :4].T
        v_sum, m_sum = totals[:, 4 : 4 + dims], totals[:, 4 + dims :]
        shared = vm - (v_sum * m_sum).sum(axis=1) / count
        spread = (vv - (v_sum**2).sum(axis=1) / count) * (mm - (m_sum**2).sum(axis=1) / count)
        return np.where(spread > 1e-12, np.maximum(shared, 0) ** 2 / np.maximum(spread, 1e-12), 0.0)

    return estimate_sums(sums, counts, share)
