"""Everything the word order probe found, and its numbers as measures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.data.templates import KINDS
from slimvec.probes.estimates import estimated
from slimvec.probes.order.cells import Cell, Cosines, choice_wins, estimate_kept, triplet_wins
from slimvec.probes.order.items import SHUFFLES
from slimvec.probes.results import Metric, Unit
from slimvec.statistics.estimates import Estimate, average, estimate_auc

BAG = "bag of words"
PAIRS = "words and pairs"
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
    def symmetric(self) -> list[Separation]:
        """How well exchanged names are distinguished by whether the verb is symmetric, by language."""
        return [pairs for pairs in self.separations if pairs.group == SYMMETRIC]

    @property
    def outside(self) -> list[Cell]:
        """The cells of outside sets."""
        return [cell for cell in self.cells if cell.key[0] != "templates"]


@dataclass(frozen=True)
class Statistic:
    """A statistic of cells, and what has no order of it.

    Attributes:
        name: First part of its measures' names.
        unit: What it counts.
        estimate: Gives it of a cell's model.
        compute: Gives it of plain cosines.
    """

    name: str
    unit: Unit
    estimate: Callable[[Cell], Estimate]
    compute: Callable[[Cosines], float]

    def measure(self, cells: Sequence[Cell], *parts: str) -> Metric:
        """Average it over cells, all of the same weight, beside bags of words."""
        baseline = float(np.mean([self.compute(cell.bag) for cell in cells]))
        estimate = average([self.estimate(cell) for cell in cells])
        return make_measure("/".join([self.name, *parts]), estimate, self.unit, baseline)

    def of_pairs(self, cells: Sequence[Cell]) -> float:
        """Average it over cells for bags of words and of neighbouring pairs."""
        return float(np.mean([self.compute(cell.pairs) for cell in cells]))


ACCURACY = Statistic("accuracy", "share", lambda cell: cell.triplets, lambda own: float(triplet_wins(own).mean()))
CHOICE = Statistic("choice", "share", lambda cell: cell.choices, lambda own: float(choice_wins(own).mean()))
MARGIN = Statistic(
    "margin", "cosine", lambda cell: cell.margin, lambda own: float((own.paraphrase - own.negative).mean())
)
AUC = Statistic(
    "auc",
    "score",
    lambda cell: cell.auc,
    lambda own: estimate_auc(own.paraphrase, own.negative, np.ones((1, len(own.negative)))).value,
)


def all_measures(found: Findings) -> Iterable[Metric]:
    """Give all numbers, the main one first."""
    for statistic in (ACCURACY, CHOICE, MARGIN, AUC):
        yield statistic.measure(found.templates)
        for kind, cells in found.by_kind.items():
            yield statistic.measure(cells, kind)
    for statistic in (ACCURACY, CHOICE):
        for language, cells in found.by_language.items():
            yield statistic.measure(cells, "language", language)
        for cell in [cell for cells in found.by_kind.values() for cell in cells]:
            yield statistic.measure([cell], *cell.key[1:])
        for cell in found.outside:
            group, kind, language = cell.key
            yield statistic.measure([cell], f"{group} {kind}", language)
    if found.symmetric:
        yield symmetric_measure(found)
    for pairs in found.separations:
        yield make_measure(f"auc/{pairs.group}/{pairs.language}", pairs.auc, "score", pairs.bag)
    for kind in SHUFFLES:
        measures = kept_measures(found, kind)
        if measures:
            yield make_measure(f"kept/{kind}", average([_kept(cell) for cell in measures]), "ratio", 1.0, better=False)
            yield from measures.values()
    for name, share in found.explained.items():
        yield make_measure(f"explained/{name}", share, "share", 1.0, better=None)


def symmetric_measure(found: Findings) -> Metric:
    """Give how well exchanges that change nothing are distinguished from those that do, averaged over languages."""
    estimate = average([pairs.auc for pairs in found.symmetric])
    return make_measure("auc/symmetric", estimate, "score", float(np.mean([pairs.bag for pairs in found.symmetric])))


def kept_measures(found: Findings, kind: str) -> dict[Cell, Metric]:
    """Give what is kept of the likeness of texts by a kind of shuffle, in each set and language."""
    measures = {}
    for cell in found.plain:
        group, own, language = cell.key
        if own == kind:
            name = f"kept/{kind}/{group}/{language}"
            measures[cell] = make_measure(name, _kept(cell), "ratio", 1.0, better=False)
    return measures


def make_measure(name: str, estimate: Estimate, unit: Unit, baseline: float, *, better: bool | None = True) -> Metric:
    """Put an estimate beside what a bag of words has; `better` is `higher_is_better`."""
    return estimated(
        name,
        estimate,
        unit,
        baseline=baseline,
        baseline_name=BAG,
        num_items=estimate.num_items,
        higher_is_better=better,
    )


def _kept(cell: Cell) -> Estimate:
    return estimate_kept(cell.model.negative, cell.model.paraphrase, cell.counts)
