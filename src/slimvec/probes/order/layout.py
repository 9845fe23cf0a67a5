"""What the word order probe found, as tables and pictures."""

from collections.abc import Iterable, Sequence

from slimvec.probes.order.cells import Cell
from slimvec.probes.order.findings import ACCURACY, AUC, BAG, CHOICE, MARGIN, PAIRS, Findings, Statistic, kept_measures
from slimvec.probes.order.items import SHUFFLES
from slimvec.probes.results import Metric
from slimvec.reports.parts import Curve, Plot, Table
from slimvec.statistics.estimates import Estimate
from slimvec.statistics.intervals import ends_of, shown_ends


def all_tables(found: Findings) -> Iterable[Table]:
    """Give the tables: by kind, by language, outside sets, pairs, shuffles, and an example of each kind."""
    yield _kinds(found)
    yield Table(
        title="By language",
        header=("language", "triplet accuracy", BAG, "choice", BAG, "items"),
        rows=tuple((code, *_accuracies(cells)) for code, cells in found.by_language.items()),
    )
    if found.outside:
        yield Table(
            title="Outside sets",
            header=("set", "exchange", "language", "triplet accuracy", BAG, "choice", BAG, "items"),
            rows=tuple((*cell.key, *_accuracies([cell])) for cell in found.outside),
            note="In sugarcrepe the paraphrase is another caption of the same picture.",
        )
    if found.separations:
        yield _separations(found)
    if found.plain:
        yield _kept(found)
    yield Table(
        title="An item of each kind",
        header=("exchange", "anchor", "paraphrase", "negative"),
        rows=tuple((kind, *cells[0].items[0].texts) for kind, cells in found.by_kind.items()),
    )


def all_plots(found: Findings) -> Iterable[Plot]:
    """Give the pictures: both accuracies by kind, and what is kept by language."""
    yield _by_kind(found, ACCURACY, "The paraphrase is nearer to the anchor than its own words in another order")
    yield _by_kind(found, CHOICE, "The paraphrase is nearer to what it says than to the same words in another order")
    kept = {kind: kept_measures(found, kind) for kind in SHUFFLES}
    languages = [tuple(cell.key[2] for cell in measures) for measures in kept.values()]
    if languages[0] and len(set(languages)) == 1:
        yield Plot(
            title="Likeness that is left after the words are moved",
            x_label="language",
            y_label="kept (bag of words: 1)",
            kind="dots",
            categories=languages[0],
            curves=(
                *(_dots(kind, list(measures.values())) for kind, measures in kept.items()),
                _pale(BAG, [1.0] * len(languages[0])),
            ),
        )


def percent(measure: Metric) -> str:
    """Write a share with its interval."""
    return f"{measure.value:.0%}{shown_ends(measure.low, measure.high, form='.0%')}"


def _kinds(found: Findings) -> Table:
    return Table(
        title="By what is exchanged",
        header=("exchange", "triplet accuracy", BAG, PAIRS, "choice", BAG, PAIRS, "margin", "AUC", "items"),
        rows=tuple(_kind_row(kind, cells) for kind, cells in found.by_kind.items()),
        note=f"Templates, all languages alike. `{PAIRS}`: a bag of words and of neighbouring pairs, which shows how "
        "much of the order is on the surface.",
    )


def _kind_row(kind: str, cells: Sequence[Cell]) -> tuple[str, ...]:
    accuracy, choice, margin, auc = (statistic.measure(cells) for statistic in (ACCURACY, CHOICE, MARGIN, AUC))
    return (
        kind,
        *(percent(accuracy), f"{accuracy.baseline:.0%}", f"{ACCURACY.of_pairs(cells):.0%}"),
        *(percent(choice), f"{choice.baseline:.0%}", f"{CHOICE.of_pairs(cells):.0%}"),
        *(f"{margin.value:+.3f}", f"{auc.value:.2f}", f"{accuracy.num_items:,}"),
    )


def _accuracies(cells: Sequence[Cell]) -> tuple[str, ...]:
    accuracy, choice = ACCURACY.measure(cells), CHOICE.measure(cells)
    shares = (percent(accuracy), f"{accuracy.baseline:.0%}", percent(choice), f"{choice.baseline:.0%}")
    return (*shares, f"{accuracy.num_items:,}")


def _separations(found: Findings) -> Table:
    def row(group: str, language: str, auc: Estimate, bag: float) -> tuple[str, ...]:
        ends = shown_ends(**ends_of(auc, auc.num_items), form=".2f")
        return group, language, f"{auc.value:.2f}{ends}", f"{bag:.2f}", f"{auc.num_items:,}"

    return Table(
        title="Pairs that say the same, against pairs of the same words that do not",
        header=("set", "language", "AUC", BAG, "pairs"),
        rows=tuple(row(pairs.group, pairs.language, pairs.auc, pairs.bag) for pairs in found.separations),
    )


def _kept(found: Findings) -> Table:
    measured = [pair for kind in SHUFFLES for pair in kept_measures(found, kind).items()]
    return Table(
        title="What is left of the likeness after the words are moved",
        header=("set", "language", "moved", "kept", "sentences"),
        rows=tuple(
            (cell.key[0], cell.key[2], cell.key[1], f"{m.value:.3f}{shown_ends(m.low, m.high)}", f"{m.num_items}")
            for cell, m in measured
        ),
        note="1: the vector does not change at all, as a bag of words has it; 0: as far as an unrelated sentence.",
    )


def _by_kind(found: Findings, statistic: Statistic, title: str) -> Plot:
    measures = [statistic.measure(cells) for cells in found.by_kind.values()]
    return Plot(
        title=title,
        x_label="what is exchanged",
        y_label="share of items",
        kind="dots",
        categories=tuple(found.by_kind),
        curves=(
            _dots("model", measures),
            _pale(BAG, [float(measure.baseline or 0.0) for measure in measures]),
            _pale("words and neighbouring pairs", [statistic.of_pairs(cells) for cells in found.by_kind.values()]),
        ),
    )


def _dots(label: str, measures: Sequence[Metric]) -> Curve:
    return Curve(
        label=label,
        xs=tuple(float(place) for place in range(len(measures))),
        ys=tuple(measure.value for measure in measures),
        lows=tuple(measure.value if measure.low is None else measure.low for measure in measures),
        highs=tuple(measure.value if measure.high is None else measure.high for measure in measures),
    )


def _pale(label: str, values: Sequence[float]) -> Curve:
    return Curve(label=label, xs=tuple(float(place) for place in range(len(values))), ys=tuple(values), baseline=True)
