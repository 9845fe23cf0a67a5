"""What probes read: measures with intervals and baselines, tables and plots; typed, frozen, written as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from slimvec.evaluation.models import ModelCard
from slimvec.frozen import Frozen, Stored
from slimvec.reports.parts import Curve, Plot, Table
from slimvec.statistics.intervals import Ends, Estimated, Interval, ends_of, shown_ends

Unit = Literal["share", "cosine", "score", "ratio", "tokens", "characters", "count"]
Amount = Literal["tiny", "quick", "full"]
_WHOLE = ("tokens", "characters", "count")


class Metric(Frozen):
    """A number with its 95% interval, and what makes it meaningful.

    Attributes:
        name: Unique in its result; parts from the general to the particular, with `/` between:
            `accuracy/role swap/en`.
        value: The number.
        low: Lower end of its interval; None where it is counted over everything there is, so nothing is estimated, and
            where it rests on too few items for an interval.
        high: Upper end; None with `low`.
        unit: What it counts.
        baseline: The number a model without the property would have, on the same items.
        baseline_name: What that model is: `chance`, `bag of words`, `shuffled positions`.
        num_items: Items it rests on.
        higher_is_better: None where neither direction is good.
    """

    name: str = Field(min_length=1)
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    unit: Unit
    baseline: FiniteFloat | None = None
    baseline_name: str = ""
    num_items: int = Field(ge=1)
    higher_is_better: bool | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"measure {self.name} has one end of an interval")
        if (self.baseline is None) != (not self.baseline_name):
            raise ValueError(f"measure {self.name} has a baseline without a name, or a name without one")
        return self

    def __format__(self, form: str) -> str:
        """Write the number and the ends of its interval, each with a number's format."""
        return f"{self.value:{form}}{shown_ends(self.low, self.high, form=form)}"

    @property
    def is_apart(self) -> bool:
        """Whether there is an interval, and the baseline is outside it."""
        if self.low is None or self.high is None or self.baseline is None:
            return False
        return not self.low <= self.baseline <= self.high


class ProbeResult(Frozen):
    """What a probe says of a model.

    Attributes:
        probe: Its name.
        question: What it asks, in a sentence.
        definition: How it is measured, exactly enough to do it again.
        sources: Papers and data behind it.
        answer: What came out, in a sentence or two with the main figures.
        measures: The numbers; the first is the main one.
        tables: More of them, laid out.
        plots: Pictures.
        remedies: What helps where the answer is bad, with the option's name.
        skipped: Why it was not run, or what part was not; empty when all was.
        seed: Random seed for everything drawn.
        seconds: Wall time.
        num_texts: Texts embedded.
        details: Settings and counts worth keeping.
    """

    probe: str
    question: str
    definition: str = ""
    sources: tuple[str, ...] = ()
    answer: str = ""
    measures: tuple[Metric, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    remedies: tuple[str, ...] = ()
    skipped: str = ""
    seed: int = 0
    seconds: float = 0.0
    num_texts: int = 0
    details: Mapping[str, str | int | float] = {}

    @property
    def main(self) -> Metric | None:
        """The main measure; None where nothing was measured."""
        return self.measures[0] if self.measures else None

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [measure.name for measure in self.measures]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"probe {self.probe} has measure {twice!r} twice")
        return self

    def measure(self, name: str) -> Metric:
        """Give a measure by its name.

        Raises:
            KeyError: there is none of that name.
        """
        found = next((measure for measure in self.measures if measure.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


class ProbeReport(Stored):
    """Readings of one model.

    Attributes:
        model: What was probed.
        readings: By probe, in the order they were run.
        amount: How much was drawn.
        seed: Random seed for everything drawn.
        created: Day and time, UTC, ISO 8601.
        versions: Package versions.
    """

    what: ClassVar[str] = "a report of probes"

    model: ModelCard
    readings: tuple[ProbeResult, ...]
    amount: Amount
    seed: int
    created: str
    versions: Mapping[str, str]


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
