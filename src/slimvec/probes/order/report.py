"""What the word order probe found, as a reading: measures, tables, pictures and a sentence."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.data.templates import KINDS
from slimvec.probes.order.cells import Cell, Cosines, choice_wins, estimate_kept, triplet_wins
from slimvec.probes.order.estimates import Estimate, average, estimate_auc
from slimvec.probes.order.items import SHUFFLES
from slimvec.probes.readings import Curve, Measure, Plot, Reading, Table, Unit

BAG = "bag of words"
PAIRS = "words and pairs"
ALL_KINDS = (*KINDS, *SHUFFLES)

DEFINITION = (
    "Items are an anchor, a paraphrase of it and a negative: the anchor's words in another order (numbers, persons, "
    "places, events or sides exchanged; denied; all words shuffled; neighbours swapped). Triplet accuracy is the share "
    "of items with cos(anchor, paraphrase) > cos(anchor, negative); choice accuracy that with cos(paraphrase, anchor) "
    "> cos(paraphrase, negative), one half for a bag of words where both have the same words. Cosines closer than 1e-6 "
    "are ties and count half. Margin is the mean of the first difference, AUC the chance that the first cosine of one "
    "item is above the second of another. `kept` is (cosine of a sentence and its shuffle - that with an unrelated "
    "sentence of its length) / (1 - the latter). `explained` are squared correlations: over pairs of sentences, of the "
    "model's cosine with that of word counts (counts) and with that of the means of the words' own vectors (words); "
    "over sentences, of the vectors with those means, with one scale and one offset (vectors). Means are over kinds "
    "and languages alike. Intervals: bootstrap over templates, then over items within them; outside sets over anchors."
)

SOURCES = (
    "arXiv 2306.14610 (SugarCrepe)",
    "arXiv 1908.11828 (PAWS-X)",
    "Marelli et al., LREC 2014 (SICK)",
    "arXiv 1708.00055 (STS benchmark), translated in stsb_multi_mt and KorSTS",
    "arXiv 2309.07445 (SIB-200)",
    "Davison and Hinkley 1997, section 3.8 (bootstrap of clusters)",
)

REMEDIES = (
    "data[].order_negatives in a recipe: hard negatives of reordered words, made as records are drawn",
    "slimvec triplets: anchor, paraphrase and reordered anchor to train with, of templates that are not asked here",
)


@dataclass(frozen=True)
class Separation:
    """How well cosines tell pairs that say the same from others.

    Attributes:
        group: The set.
        language: Code.
        auc: Of the model.
        bag: Of bags of words.
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
        separations: Of pairs.
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

    def of_kind(self, kind: str) -> list[Cell]:
        """The cells of templates of one kind or shuffle, by language."""
        return [cell for cell in self.cells if cell.key[:2] == ("templates", kind)]

    @property
    def outside(self) -> list[Cell]:
        """The cells of outside sets."""
        return [cell for cell in self.cells if cell.key[0] != "templates"]


@dataclass(frozen=True)
class _Statistic:
    """A statistic of cells, and what has no order of it."""

    name: str
    unit: Unit
    of: Callable[[Cell], Estimate]
    plainly: Callable[[Cosines], float]

    def measure(self, cells: Sequence[Cell], *parts: str) -> Measure:
        """Average it over cells, all of the same weight."""
        baseline = float(np.mean([self.plainly(cell.bag) for cell in cells]))
        return _measure("/".join([self.name, *parts]), average([self.of(c) for c in cells]), self.unit, baseline)


ACCURACY = _Statistic("accuracy", "share", lambda cell: cell.triplets, lambda own: float(triplet_wins(own).mean()))
CHOICE = _Statistic("choice", "share", lambda cell: cell.choices, lambda own: float(choice_wins(own).mean()))
MARGIN = _Statistic(
    "margin", "cosine", lambda cell: cell.margin, lambda own: float((own.paraphrase - own.negative).mean())
)
AUC = _Statistic("auc", "score", lambda cell: cell.auc, lambda own: _plain_auc(own))


def make_reading(name: str, question: str, found: Findings) -> Reading:
    """Write down what was found."""
    missing = f"not at hand: {', '.join(found.missing)}" if found.missing else ""
    return Reading(
        probe=name,
        question=question,
        definition=DEFINITION,
        sources=SOURCES,
        answer=_answer(found),
        measures=tuple(_measures(found)),
        tables=tuple(_tables(found)),
        plots=tuple(_plots(found)),
        remedies=REMEDIES,
        skipped=missing,
        details={
            "items": sum(len(cell.items) for cell in found.cells),
            "templates": len({item.cluster for cell in found.templates for item in cell.items}),
        },
    )


def _measures(found: Findings) -> Iterable[Measure]:
    """All numbers, the main one first."""
    cells = found.templates
    for statistic in (ACCURACY, CHOICE, MARGIN, AUC):
        yield statistic.measure(cells)
        for kind in ALL_KINDS:
            if found.of_kind(kind):
                yield statistic.measure(found.of_kind(kind), kind)
    for statistic in (ACCURACY, CHOICE):
        for language in dict.fromkeys(cell.key[2] for cell in cells):
            yield statistic.measure([cell for cell in cells if cell.key[2] == language], "language", language)
        for cell in [cell for kind in ALL_KINDS for cell in found.of_kind(kind)]:
            yield statistic.measure([cell], *cell.key[1:])
        for cell in found.outside:
            group, kind, language = cell.key
            yield statistic.measure([cell], f"{group} {kind}", language)
    for pairs in found.separations:
        yield _measure(f"auc/{pairs.group}/{pairs.language}", pairs.auc, "score", pairs.bag)
    yield from (measure for _, measure in _kept(found))
    for name, share in found.explained.items():
        yield _measure(f"explained/{name}", share, "share", 1.0, better=None)


def _kept(found: Findings) -> list[tuple[Cell | None, Measure]]:
    """What is kept of the likeness of a text by its shuffles: over all languages, then in each."""
    rows: list[tuple[Cell | None, Measure]] = []
    for kind in SHUFFLES:
        cells = [cell for cell in found.plain if cell.key[1] == kind]
        if cells:
            kept = [estimate_kept(cell.model.negative, cell.model.paraphrase, cell.counts) for cell in cells]
            rows.append((None, _measure(f"kept/{kind}", average(kept), "ratio", 1.0, better=False)))
            for cell, own in zip(cells, kept, strict=True):
                group, _, language = cell.key
                rows.append((cell, _measure(f"kept/{kind}/{group}/{language}", own, "ratio", 1.0, better=False)))
    return rows


def _measure(name: str, estimate: Estimate, unit: Unit, baseline: float, *, better: bool | None = True) -> Measure:
    return Measure(
        name=name,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        unit=unit,
        baseline=baseline,
        baseline_name=BAG,
        num_items=estimate.num_items,
        higher_is_better=better,
    )


def _answer(found: Findings) -> str:
    """Put the main figures into sentences."""
    accuracy, choice = ACCURACY.measure(found.templates), CHOICE.measure(found.templates)
    words = found.explained["words"]
    return (
        f"A paraphrase is nearer to a sentence than that sentence's own words in another order in "
        f"{_percent(accuracy)} of {accuracy.num_items:,} items, {_verdict(accuracy)} a bag of words "
        f"({accuracy.baseline:.0%}). Asked which of two orders a paraphrase says, it is right in {_percent(choice)}, "
        f"{_verdict(choice)} a bag of words ({choice.baseline:.0%}). The mean of its words' own vectors explains "
        f"{words.value:.0%} [{words.low:.0%}, {words.high:.0%}] of the variance of its cosines."
    )


def _verdict(measure: Measure) -> str:
    assert measure.low is not None
    assert measure.high is not None
    assert measure.baseline is not None
    if measure.low <= measure.baseline <= measure.high:
        return "not distinguishable from"
    return "more often than" if measure.value > measure.baseline else "less often than"


def _tables(found: Findings) -> Iterable[Table]:
    """By kind, by language, outside sets, shuffles, and an example of each kind."""
    yield Table(
        title="By what is exchanged",
        header=(
            "exchange",
            "triplet accuracy",
            BAG,
            "with pairs",
            "choice",
            BAG,
            "with pairs",
            "margin",
            "AUC",
            "items",
        ),
        rows=tuple(_kind_row(found.of_kind(kind), kind) for kind in ALL_KINDS if found.of_kind(kind)),
        note=f"Templates, all languages alike. `{PAIRS}`: a bag of words and of neighbouring pairs, which shows how "
        "much of the order is on the surface.",
    )
    languages = dict.fromkeys(cell.key[2] for cell in found.templates)
    by_language = {code: [cell for cell in found.templates if cell.key[2] == code] for code in languages}
    yield Table(
        title="By language",
        header=("language", "triplet accuracy", BAG, "choice", BAG, "items"),
        rows=tuple((code, *_accuracies(cells)) for code, cells in by_language.items()),
    )
    if found.outside:
        yield Table(
            title="Outside sets",
            header=("set", "exchange", "language", "triplet accuracy", BAG, "choice", BAG, "items"),
            rows=tuple((*cell.key, *_accuracies([cell])) for cell in found.outside),
            note="In sugarcrepe the paraphrase is another caption of the same picture.",
        )
    if found.separations:
        yield Table(
            title="Pairs that say the same, told from pairs of the same words that do not",
            header=("set", "language", "AUC", BAG, "pairs"),
            rows=tuple(
                (pairs.group, pairs.language, _interval(pairs.auc), f"{pairs.bag:.2f}", f"{pairs.auc.num_items:,}")
                for pairs in found.separations
            ),
        )
    kept = [(cell, measure) for cell, measure in _kept(found) if cell is not None]
    if kept:
        yield Table(
            title="What is left of the likeness after the words are moved",
            header=("set", "language", "moved", "kept", "sentences"),
            rows=tuple(
                (cell.key[0], cell.key[2], cell.key[1], f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]", f"{m.num_items}")
                for cell, m in kept
            ),
            note="1: the vector does not change at all, as a bag of words has it; 0: as far as an unrelated sentence.",
        )
    yield Table(
        title="An item of each kind",
        header=("exchange", "anchor", "paraphrase", "negative"),
        rows=tuple((kind, *cells[0].items[0].texts) for kind in ALL_KINDS if (cells := found.of_kind(kind))),
    )


def _kind_row(cells: Sequence[Cell], kind: str) -> tuple[str, ...]:
    accuracy, choice, margin, auc = (s.measure(cells) for s in (ACCURACY, CHOICE, MARGIN, AUC))
    surface = [float(np.mean([s.plainly(cell.pairs) for cell in cells])) for s in (ACCURACY, CHOICE)]
    return (
        kind,
        *(_percent(accuracy), f"{accuracy.baseline:.0%}", f"{surface[0]:.0%}"),
        *(_percent(choice), f"{choice.baseline:.0%}", f"{surface[1]:.0%}"),
        *(f"{margin.value:+.3f}", f"{auc.value:.2f}", f"{accuracy.num_items:,}"),
    )


def _accuracies(cells: Sequence[Cell]) -> tuple[str, ...]:
    accuracy, choice = ACCURACY.measure(cells), CHOICE.measure(cells)
    return (
        *(_percent(accuracy), f"{accuracy.baseline:.0%}", _percent(choice), f"{choice.baseline:.0%}"),
        f"{accuracy.num_items:,}",
    )


def _plots(found: Findings) -> Iterable[Plot]:
    """Both accuracies by kind, and what is kept by language."""
    kinds = [kind for kind in ALL_KINDS if found.of_kind(kind)]
    for statistic, title in (
        (ACCURACY, "The paraphrase is nearer to the anchor than its own words in another order"),
        (CHOICE, "The paraphrase is nearer to what it says than to the same words in another order"),
    ):
        measures = [statistic.measure(found.of_kind(kind)) for kind in kinds]
        surface = [float(np.mean([statistic.plainly(cell.pairs) for cell in found.of_kind(kind)])) for kind in kinds]
        yield Plot(
            title=title,
            x_label="what is exchanged",
            y_label="share of items",
            kind="dots",
            categories=tuple(kinds),
            curves=(
                _dots("model", measures),
                _pale(BAG, [float(measure.baseline or 0.0) for measure in measures]),
                _pale("words and neighbouring pairs", surface),
            ),
        )
    plain = {kind: [m for cell, m in _kept(found) if cell is not None and cell.key[1] == kind] for kind in SHUFFLES}
    languages = tuple(dict.fromkeys(cell.key[2] for cell, _ in _kept(found) if cell is not None))
    if languages and all(len(measures) == len(languages) for measures in plain.values()):
        yield Plot(
            title="Likeness that is left after the words are moved",
            x_label="language",
            y_label="kept (bag of words: 1)",
            kind="dots",
            categories=languages,
            curves=(
                *(_dots(kind, measures) for kind, measures in plain.items()),
                _pale(BAG, [1.0] * len(languages)),
            ),
        )


def _dots(label: str, measures: Sequence[Measure]) -> Curve:
    return Curve(
        label=label,
        xs=tuple(float(place) for place in range(len(measures))),
        ys=tuple(measure.value for measure in measures),
        lows=tuple(float(measure.low or 0.0) for measure in measures),
        highs=tuple(float(measure.high or 0.0) for measure in measures),
    )


def _pale(label: str, values: Sequence[float]) -> Curve:
    return Curve(label=label, xs=tuple(float(place) for place in range(len(values))), ys=tuple(values), baseline=True)


def _percent(measure: Measure) -> str:
    return f"{measure.value:.0%} [{measure.low:.0%}, {measure.high:.0%}]"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _plain_auc(own: Cosines) -> float:
    return estimate_auc(own.paraphrase, own.negative, np.ones((1, len(own.negative)))).value
