"""What the word order probe finds, as a table of metrics: a row a statistic and group of items."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.data.templates import KINDS
from slimvec.probes.figures import Figure
from slimvec.probes.order.cells import Cell, Cosines, choice_wins, estimate_kept, triplet_wins
from slimvec.probes.order.items import SHUFFLES
from slimvec.probes.results import Metric
from slimvec.statistics.estimates import Estimate, average, estimate_auc, estimate_mean
from slimvec.statistics.resampling import Values

BAG = "bag of words"
SYMMETRIC = "symmetric"
ALL_KINDS = (*KINDS, *SHUFFLES)


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

    def over(self, cells: Sequence[Cell], *parts: str) -> Metric:
        """Average it over cells, all of the same weight."""
        found = average([self.estimate(cell.model, cell.counts) for cell in cells])
        return self.metric(found, found.num_items, *parts, baseline=self.without([cell.bag for cell in cells]))

    def without(self, several: Sequence[Cosines]) -> float:
        """Average it over the cosines of what has no order, which need no interval."""
        return float(np.mean([self.estimate(own, np.ones((1, len(own.negative)))).value for own in several]))


ACCURACY = Statistic("accuracy", "share", estimate=lambda own, counts: estimate_mean(triplet_wins(own), counts))
CHOICE = Statistic("choice", "share", estimate=lambda own, counts: estimate_mean(choice_wins(own), counts))
MARGIN = Statistic("margin", "cosine", estimate=lambda own, at: estimate_mean(own.paraphrase - own.negative, at))
AUC = Statistic("auc", "score", estimate=lambda own, at: estimate_auc(own.paraphrase, own.negative, at))
KEPT = Figure("kept", "ratio", False, BAG)
EXPLAINED = Figure("explained", "share", None, BAG)


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
        kept = [estimate_kept(cell.model.negative, cell.model.paraphrase, cell.counts) for cell in cells]
        if kept:
            whole = average(kept)
            rows.append(KEPT.metric(whole, whole.num_items, kind, baseline=1.0))
        for (group, _, language), one in zip((cell.key for cell in cells), kept, strict=True):
            rows.append(KEPT.metric(one, one.num_items, kind, group, language, baseline=1.0))
    return [*rows, *(EXPLAINED.metric(one, one.num_items, name, baseline=1.0) for name, one in found.explained.items())]
