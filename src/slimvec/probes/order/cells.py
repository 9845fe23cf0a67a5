"""Items with what models say of them: three cosines each, and the statistics of those that belong together.

    triplet accuracy   share of items with cos(anchor, paraphrase) > cos(anchor, negative); ties count half
    choice accuracy    share with cos(paraphrase, anchor) > cos(paraphrase, negative): which of two sentences of the
                       same words does the paraphrase say? A bag of words has one half exactly.
    margin             mean of cos(anchor, paraphrase) - cos(anchor, negative)
    AUC                chance that cos(anchor, paraphrase) of one item is above cos(anchor, negative) of another
    kept               of the way from an unrelated sentence of the same length to the same sentence, the share that is
                       left after its words were put in another order; a bag of words has 1

Letters: N items, R resamples.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.probes.order.bags import bag_cosines, pair_cosines
from slimvec.probes.order.items import Item
from slimvec.statistics.estimates import Estimate, win_shares
from slimvec.statistics.resampling import Values, draw_clusters

Compare = Callable[[Sequence[str], Sequence[str]], Values]
"""Gives the cosines of N texts with N others: [N]."""


@dataclass(frozen=True, eq=False)
class Cosines:
    """Cosines of each item, [N] each.

    Attributes:
        paraphrase: Anchor and paraphrase.
        negative: Anchor and negative.
        crossed: Paraphrase and negative.
    """

    paraphrase: Values
    negative: Values
    crossed: Values

    @classmethod
    def of(cls, items: Sequence[Item], compare: Compare) -> "Cosines":
        """Compare the texts of items."""
        anchors, paraphrases, negatives = zip(*(item.texts for item in items), strict=True)
        return cls(compare(anchors, paraphrases), compare(anchors, negatives), compare(paraphrases, negatives))


@dataclass(frozen=True, eq=False)
class Cell:
    """Items of one group, kind and language, with the cosines of the model and of what has no order.

    Attributes:
        items: N of them.
        model: Its cosines.
        bag: The same for bags of words.
        pairs: The same for bags of words and neighbouring pairs.
        counts: [R, N], how often each item comes in each resample.
    """

    items: tuple[Item, ...]
    model: Cosines
    bag: Cosines
    pairs: Cosines
    counts: Values

    @property
    def key(self) -> tuple[str, str, str]:
        """Group, kind and language."""
        first = self.items[0]
        return first.group, first.kind, first.language


def make_cells(items: Iterable[Item], compare: Compare, *, seed: int) -> list[Cell]:
    """Put items together that belong together, and compare their texts.

    Args:
        items: Items of any groups.
        compare: The model's cosines.
        seed: Random seed for the resamples.
    """
    together: dict[tuple[str, str, str], list[Item]] = {}
    for item in items:
        together.setdefault((item.group, item.kind, item.language), []).append(item)
    return [
        Cell(
            items=tuple(own),
            model=Cosines.of(own, compare),
            bag=Cosines.of(own, bag_cosines),
            pairs=Cosines.of(own, pair_cosines),
            counts=draw_clusters([item.cluster for item in own], np.random.default_rng(seed + number)),
        )
        for number, own in enumerate(together.values())
    ]


def triplet_wins(cosines: Cosines) -> Values:
    """Give 1 for each item whose paraphrase is nearer to the anchor than the negative, a half for ties: [N]."""
    return win_shares(cosines.paraphrase, cosines.negative)


def choice_wins(cosines: Cosines) -> Values:
    """Give 1 for each item whose paraphrase is nearer to the anchor than to the negative, a half for ties: [N]."""
    return win_shares(cosines.paraphrase, cosines.crossed)


def estimate_kept(shuffled: Values, unrelated: Values, counts: Values) -> Estimate:
    """Estimate the share of likeness that is kept.

    Args:
        shuffled: [N], cosines of sentences with themselves in another order.
        unrelated: [N], with other sentences of about their length.
        counts: [R, N].
    """

    def ratio(weights: Values) -> Values:
        kept, other = weights @ shuffled, weights @ unrelated
        room = weights.sum(axis=1) - other
        return np.where(room > 0, (kept - other) / np.where(room > 0, room, 1.0), 1.0)

    return Estimate(float(ratio(np.ones((1, len(shuffled))))[0]), ratio(counts), len(shuffled))
