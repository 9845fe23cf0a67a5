"""Figures: what is measured, and the one way from a metric to a cell, a curve and words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from slimvec.probes.results import Metric, Unit
from slimvec.reports.parts import Curve, Table
from slimvec.statistics.intervals import Ends, Estimated, Interval, ends_of

_WHOLE = ("tokens", "characters", "count")


@dataclass(frozen=True)
class Figure:
    """What is measured: what all metrics of one name have in common.

    Attributes:
        name: First part of their names.
        unit: What they count.
        higher_is_better: None where neither direction is good.
        baseline_name: The model without the property that is read from it.
    """

    name: str
    unit: Unit
    higher_is_better: bool | None = None
    baseline_name: str = ""

    def metric(self, found: Estimated | float, num_items: int, *parts: str, baseline: float | None = None) -> Metric:
        """Give a row of the table of metrics, without the ends of its interval where the items are too few.

        Args:
            found: The estimate, or a number that is none.
            num_items: Items it rests on.
            parts: Condition: the parts of the metric's name behind the figure's.
            baseline: What the model without the property has.
        """
        if isinstance(found, float):
            value, ends = found, Ends(low=None, high=None)
        else:
            value, ends = found.value, ends_of(found, num_items)
        return Metric(
            name="/".join([self.name, *parts]),
            value=value,
            **ends,
            unit=self.unit,
            baseline=baseline,
            baseline_name="" if baseline is None else self.baseline_name,
            num_items=num_items,
            higher_is_better=self.higher_is_better,
        )


def lay_out(title: str, header: str, cells: str, rows: Iterable[Sequence[object]], note: str = "") -> Table:
    """Lay metrics out as a table.

    Args:
        title: Above the table.
        header: Names of the columns, with ` | ` between.
        cells: Formats of the columns, likewise: `{1:.0%}` writes a row's second part, a metric with its interval, and
            `{1.baseline:.0%}` that metric's baseline.
        rows: What the formats write: names, metrics, intervals, numbers.
        note: Under the table.
    """
    forms = cells.split(" | ")
    lines = tuple(tuple(form.format(*row) for form in forms) for row in rows)
    return Table(title=title, header=tuple(header.split(" | ")), rows=lines, note=note)


def curve(
    label: str,
    found: Sequence[Metric | Interval | float],
    xs: Iterable[float] | None = None,
    *,
    baseline: bool = False,
) -> Curve:
    """Draw metrics, intervals or plain numbers.

    Args:
        label: In the legend.
        found: From left to right; plain numbers have no intervals, a metric without one has its value for both ends.
        xs: Places on the axis; None numbers them, as categories are.
        baseline: Whether it is what a model without the property has.
    """
    estimates = [one for one in found if not isinstance(one, float)]
    return Curve(
        label=label,
        xs=tuple(map(float, range(len(found)) if xs is None else xs)),
        ys=tuple(one if isinstance(one, float) else one.value for one in found),
        lows=tuple(one.value if one.low is None else one.low for one in estimates),
        highs=tuple(one.value if one.high is None else one.high for one in estimates),
        baseline=baseline,
    )


def show(value: float, unit: Unit, *, signed: bool = False) -> str:
    """Write a number of a unit.

    Args:
        value: The number.
        unit: Its unit.
        signed: With its sign, as differences are; those of shares are in points of a hundred.
    """
    sign = "+" if signed else ""
    if unit == "share":
        return f"{100 * value:{sign}.1f}" if signed else f"{value:.1%}"
    if unit in _WHOLE:
        return f"{value:{sign},.0f}" if abs(value) >= 100 or value == round(value) else f"{value:{sign},.1f}"
    return f"{value:{sign}.3f}"


def show_measure(measure: Metric) -> str:
    """Write a measure with its interval."""
    value = show(measure.value, measure.unit)
    if measure.low is None or measure.high is None:
        return value
    return f"{value} [{show(measure.low, measure.unit)}, {show(measure.high, measure.unit)}]"


def show_baseline(measure: Metric) -> str:
    """Write a measure's baseline with its name; empty where there is none."""
    if measure.baseline is None:
        return ""
    return f"{show(measure.baseline, measure.unit)} ({measure.baseline_name})"


def difference(first: Metric, second: Metric) -> tuple[float, Interval | None]:
    """Subtract the second measure from the first, with an interval made of theirs.

    The interval is that of Zou and Donner (2008, Statistics in Medicine 27, "MOVER"): the distances of the two
    intervals' ends from their values, added as squares. It takes the two for independent; as both rest on the same
    items, the true interval is narrower.

    Returns:
        The difference, and its interval; None where one has none.
    """
    value = first.value - second.value
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return value, None
    low = value - sqrt((first.value - first.low) ** 2 + (second.high - second.value) ** 2)
    high = value + sqrt((first.high - first.value) ** 2 + (second.value - second.low) ** 2)
    return value, Interval(value, low, high)
