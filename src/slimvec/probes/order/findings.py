"""What the word order probe finds, as a table of metrics: a row a statistic and group of items.

Items with what models say of them: three cosines each, and the statistics of those that belong together.

    triplet accuracy   share of items with cos(anchor, paraphrase) > cos(anchor, negative); ties count half
    choice accuracy    share with cos(paraphrase, anchor) > cos(paraphrase, negative): which of two sentences of the
                       same words does the paraphrase say? A bag of words has one half exactly.
    margin             mean of cos(anchor, paraphrase) - cos(anchor, negative)
    AUC                chance that cos(anchor, paraphrase) of one item is above cos(anchor, negative) of another
    kept               of the way from an unrelated sentence of the same length to the same sentence, the share that is
                       left after its words were put in another order; a bag of words has 1

Letters: N items, R resamples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.data.templates import KINDS
from slimvec.probes.order.bags import bag_cosines, pair_cosines
from slimvec.probes.order.items import SHUFFLES, Item
from slimvec.probes.results import Figure, Metric
from slimvec.statistics.estimates import Estimate, average, estimate_auc, estimate_mean, win_shares
from slimvec.statistics.resampling import Values, draw_clusters

Compare = Callable[[Sequence[str], Sequence[str]], Values]
"""Gives the cosines of N texts with N others: [N]."""
BAG = "bag of words"
SYMMETRIC = "symmetric"
ALL_KINDS = (*KINDS, *SHUFFLES)
EXPLAINED = Figure("explained", "share", None, BAG)


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
        key: Group, kind and language.
        items: N of them.
        model: Its cosines.
        bag: The same for bags of words.
        pairs: The same for bags of words and neighbouring pairs.
        counts: [R, N], how often each item comes in each resample.
    """

    key: tuple[str, str, str]
    items: tuple[Item, ...]
    model: Cosines
    bag: Cosines
    pairs: Cosines
    counts: Values


def make_cells(items: Iterable[Item], compare: Compare, *, seed: int) -> list[Cell]:
    """Put items together that belong together, and compare their texts; the seed is that of the resamples."""
    together: dict[tuple[str, str, str], list[Item]] = {}
    for item in items:
        together.setdefault((item.group, item.kind, item.language), []).append(item)
    return [
        Cell(
            key=key,
            items=tuple(own),
            model=Cosines.of(own, compare),
            bag=Cosines.of(own, bag_cosines),
            pairs=Cosines.of(own, pair_cosines),
            counts=draw_clusters([item.cluster for item in own], np.random.default_rng(seed + number)),
        )
        for number, (key, own) in enumerate(together.items())
    ]


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


@dataclass(frozen=True)
class Separation:
    """How well cosines tell pairs that say the same from others.

    Attributes:
        group: The set.
        language: Code.
        auc: AUC of the model.
        bag: The same for bags of words.
    """

    group: str
    language: str
    auc: Estimate
    bag: float


@dataclass(frozen=True)
class Findings:
    """Everything that came out.

    Attributes:
        cells: Items with a paraphrase, by group, kind and language.
        plain: Items without.
        separations: Separations of pairs.
        explained: Shares of variance.
        missing: Outside sets that were not at hand.
    """

    cells: tuple[Cell, ...]
    plain: tuple[Cell, ...]
    separations: tuple[Separation, ...]
    explained: Mapping[str, Estimate]
    missing: tuple[str, ...]

    @property
    def templates(self) -> list[Cell]:
        """The cells of templates, without shuffles."""
        return [cell for cell in self.cells if cell.key[0] == "templates" and cell.key[1] in KINDS]

    @property
    def by_kind(self) -> dict[str, list[Cell]]:
        """The cells of templates by kind, shuffles included; in each kind one of each language."""
        found = {kind: [cell for cell in self.cells if cell.key[:2] == ("templates", kind)] for kind in ALL_KINDS}
        return {kind: cells for kind, cells in found.items() if cells}

    @property
    def by_language(self) -> dict[str, list[Cell]]:
        """The cells of templates, without shuffles, by language."""
        languages = dict.fromkeys(cell.key[2] for cell in self.templates)
        return {code: [cell for cell in self.templates if cell.key[2] == code] for code in languages}

    @property
    def outside(self) -> list[Cell]:
        """The cells of outside sets."""
        return [cell for cell in self.cells if cell.key[0] != "templates"]

    @property
    def shuffled(self) -> dict[str, list[Cell]]:
        """The cells without a paraphrase, by kind of shuffle."""
        return {kind: [cell for cell in self.plain if cell.key[1] == kind] for kind in SHUFFLES}


@dataclass(frozen=True, kw_only=True)
class Statistic(Figure):
    """A figure of cells, which bags of words have too.

    Attributes:
        estimate: Gives it of N items' cosines on their resamples: [R, N].
    """

    higher_is_better: bool | None = True
    baseline_name: str = BAG
    estimate: Callable[[Cosines, Values], Estimate]

    def over(self, cells: Sequence[Cell], *parts: str, baseline: float | None = None) -> Metric:
        """Average it over cells, all of the same weight; without a baseline that is known, bags of words are it."""
        found = average([self.estimate(cell.model, cell.counts) for cell in cells])
        baseline = self.without([cell.bag for cell in cells]) if baseline is None else baseline
        return self.metric(found, found.num_items, *parts, baseline=baseline)

    def without(self, several: Sequence[Cosines]) -> float:
        """Average it over the cosines of what has no order, which need no interval."""
        return float(np.mean([self.estimate(own, np.ones((1, len(own.negative)))).value for own in several]))


def _wins(first: Values, second: Values, counts: Values) -> Estimate:
    return estimate_mean(win_shares(first, second), counts)


ACCURACY = Statistic("accuracy", "share", estimate=lambda own, at: _wins(own.paraphrase, own.negative, at))
CHOICE = Statistic("choice", "share", estimate=lambda own, at: _wins(own.paraphrase, own.crossed, at))
MARGIN = Statistic("margin", "cosine", estimate=lambda own, at: estimate_mean(own.paraphrase - own.negative, at))
AUC = Statistic("auc", "score", estimate=lambda own, at: estimate_auc(own.paraphrase, own.negative, at))
KEPT = Statistic(
    "kept", "ratio", higher_is_better=False, estimate=lambda own, at: estimate_kept(own.negative, own.paraphrase, at)
)


def all_metrics(found: Findings) -> list[Metric]:
    """Give the table of metrics, the main one first; the parts of a name are figure, group and language."""
    rows = []
    for statistic in (ACCURACY, CHOICE, MARGIN, AUC):
        rows.append(statistic.over(found.templates))
        rows += [statistic.over(cells, kind) for kind, cells in found.by_kind.items()]
    for statistic in (ACCURACY, CHOICE):
        rows += [statistic.over(cells, "language", language) for language, cells in found.by_language.items()]
        rows += [statistic.over([cell], *cell.key[1:]) for cells in found.by_kind.values() for cell in cells]
        for cell in found.outside:
            group, kind, language = cell.key
            rows.append(statistic.over([cell], f"{group} {kind}", language))
    exchanged = [pairs for pairs in found.separations if pairs.group == SYMMETRIC]
    if exchanged:
        auc, bag = average([pairs.auc for pairs in exchanged]), float(np.mean([pairs.bag for pairs in exchanged]))
        rows.append(AUC.metric(auc, auc.num_items, SYMMETRIC, baseline=bag))
    for pairs in found.separations:
        rows.append(AUC.metric(pairs.auc, pairs.auc.num_items, pairs.group, pairs.language, baseline=pairs.bag))
    for kind, cells in found.shuffled.items():
        rows += [KEPT.over(cells, kind, baseline=1.0)] if cells else []
        rows += [KEPT.over([cell], kind, cell.key[0], cell.key[2], baseline=1.0) for cell in cells]
    return [*rows, *(EXPLAINED.metric(one, one.num_items, name, baseline=1.0) for name, one in found.explained.items())]
