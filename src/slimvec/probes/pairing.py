"""Two models side by side: their readings, plots and measures put together by name."""

from collections.abc import Sequence

from slimvec.probes.figures import difference, show, show_measure
from slimvec.probes.results import ProbeReport, ProbeResult
from slimvec.reports.parts import Curve, Plot, Table


def pair_results(reports: Sequence[ProbeReport]) -> list[tuple[ProbeResult, ...]]:
    """Give the readings of each probe, one of each report.

    Raises:
        ValueError: the reports are not of the same probes.
    """
    return list(zip(*(report.readings for report in reports), strict=True))


def pair_plots(readings: Sequence[ProbeResult], names: Sequence[str]) -> list[tuple[Plot, Plot | None]]:
    """Give the plots to be drawn: those of one title and form in one frame, the others by themselves.

    Args:
        readings: Results of one model, or of two.
        names: Names of the models; a plot that only one of two has is called after it.
    """
    if len(readings) == 1:
        return [(plot, None) for plot in readings[0].plots]
    others = {_form(plot): plot for plot in readings[1].plots}
    pairs: list[tuple[Plot, Plot | None]] = []
    for plot in readings[0].plots:
        other = others.pop(_form(plot), None)
        pairs.append((_called(plot, names[0]), None) if other is None else _aligned(plot, other))
    return [*pairs, *((_called(plot, names[1]), None) for plot in others.values())]


def difference_table(first: ProbeResult, second: ProbeResult, names: Sequence[str]) -> Table:
    """Lay out the measures that two readings share, with their differences.

    Args:
        first: Result of the first model.
        second: Result of the second.
        names: Names of the two.
    """
    others = {measure.name: measure for measure in second.measures}
    rows = []
    for measure in first.measures:
        other = others.get(measure.name)
        if other is None or other.unit != measure.unit:
            continue
        value, interval = difference(measure, other)
        shown, apart = show(value, measure.unit, signed=True), ""
        if interval is not None:
            ends = ", ".join(show(end, measure.unit, signed=True) for end in (interval.low, interval.high))
            shown = f"{shown} [{ends}]"
            apart = "yes" if interval.low > 0 or interval.high < 0 else "not distinguishable"
        rows.append((measure.name, show_measure(measure), show_measure(other), shown, apart))
    return Table(
        title=f"{names[0]} and {names[1]}",
        header=("measure", names[0], names[1], "difference", "apart"),
        rows=tuple(rows),
        note="Differences of shares are in points of a hundred. Their intervals are made of the two intervals as if "
        "these rested on different items (Zou and Donner 2008); the true ones are narrower.",
    )


def _called(plot: Plot, name: str) -> Plot:
    return plot.model_copy(update={"title": f"{plot.title}, {name}"})


def _form(plot: Plot) -> tuple[object, ...]:
    """What two plots must share to be drawn in one frame."""
    return plot.title, plot.kind, plot.x_label, plot.y_label, plot.x_log


def _aligned(first: Plot, second: Plot) -> tuple[Plot, Plot]:
    """Give both plots the same categories: the first one's, then what only the second has."""
    if first.categories == second.categories:
        return first, second
    names = tuple(dict.fromkeys([*first.categories, *second.categories]))
    places = {name: number for number, name in enumerate(names)}

    def moved(curve: Curve, own: Sequence[str]) -> Curve:
        return curve.model_copy(update={"xs": tuple(float(places[own[round(x)]]) for x in curve.xs)})

    return (
        first.model_copy(update={"categories": names}),
        second.model_copy(
            update={"categories": names, "curves": tuple(moved(curve, second.categories) for curve in second.curves)}
        ),
    )
