"""What probes read: measures with intervals and baselines, tables and plots; typed, frozen, written as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from slimvec.errors import InputError, validation_summary
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import Frozen, Stored

Unit = Literal["share", "cosine", "score", "ratio", "tokens", "characters", "count"]
Amount = Literal["tiny", "quick", "full"]


class Measure(Frozen):
    """A number with its 95% interval, and what makes it meaningful.

    Attributes:
        name: Unique in its reading; parts from the general to the particular, with `/` between:
            `accuracy/role swap/en`.
        value: The number.
        low: Lower end of its interval; None where it is counted over everything there is, so nothing is estimated.
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


class Table(Frozen):
    """A table as it is shown.

    Attributes:
        title: Above it.
        header: Names of the columns.
        rows: Cells as text, as many in a row as the header has.
        note: Under it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        wrong = next((row for row in self.rows if len(row) != len(self.header)), None)
        if wrong is not None:
            raise ValueError(f"table {self.title!r} has {len(self.header)} columns and a row of {len(wrong)}")
        return self


class Curve(Frozen):
    """Values over an axis, with their intervals where they are estimates.

    Attributes:
        label: In the legend.
        xs: Places on the horizontal axis, or numbers of the plot's categories.
        ys: Values there.
        lows: Lower ends of the 95% intervals; empty without.
        highs: Upper ends.
        baseline: Whether it is what a model without the property would have; drawn pale.
    """

    label: str
    xs: tuple[FiniteFloat, ...]
    ys: tuple[FiniteFloat, ...]
    lows: tuple[FiniteFloat, ...] = ()
    highs: tuple[FiniteFloat, ...] = ()
    baseline: bool = False

    @model_validator(mode="after")
    def _even(self) -> Self:
        if len(self.xs) != len(self.ys) or not len(self.lows) == len(self.highs) in (0, len(self.xs)):
            raise ValueError(f"curve {self.label!r} has lists of different lengths")
        return self


class Plot(Frozen):
    """A picture of some curves.

    Attributes:
        title: Above it; says what is seen, in a few words.
        x_label: Name of the horizontal axis with its unit.
        y_label: Name of the vertical axis with its unit.
        curves: What is drawn.
        kind: `lines` over numbers, `dots` for values by category with intervals, `points` for a scatter.
        categories: Names on the horizontal axis, for `dots`; `xs` are their numbers from 0 on.
        x_log: Horizontal axis in powers.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...] = Field(min_length=1)
    kind: Literal["lines", "dots", "points"] = "lines"
    categories: tuple[str, ...] = ()
    x_log: bool = False

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        xs = [x for curve in self.curves for x in curve.xs]
        if self.kind == "dots" and not all(x in range(len(self.categories)) for x in xs):
            raise ValueError(f"plot {self.title!r} has dots outside its {len(self.categories)} categories")
        if self.x_log and min(xs, default=1.0) <= 0:
            raise ValueError(f"plot {self.title!r} has a place of {min(xs):g} on an axis in powers")
        return self


class Reading(Frozen):
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
        seed: Of everything drawn.
        seconds: Wall time.
        num_texts: Texts embedded.
        details: Settings and counts worth keeping.
    """

    probe: str
    question: str
    definition: str = ""
    sources: tuple[str, ...] = ()
    answer: str = ""
    measures: tuple[Measure, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    remedies: tuple[str, ...] = ()
    skipped: str = ""
    seed: int = 0
    seconds: float = 0.0
    num_texts: int = 0
    details: Mapping[str, str | int | float] = {}

    @property
    def main(self) -> Measure | None:
        """The main measure; None where nothing was measured."""
        return self.measures[0] if self.measures else None

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [measure.name for measure in self.measures]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"probe {self.probe} has measure {twice!r} twice")
        return self

    def measure(self, name: str) -> Measure:
        """Give a measure by its name.

        Raises:
            KeyError: there is none of that name.
        """
        found = next((measure for measure in self.measures if measure.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


class StoredReport(Stored):
    """A report that is read again.

    Attributes:
        what: What its file is called in errors.
    """

    what: ClassVar[str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            InputError: the file is missing or holds something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}", expected=cls.what) from error
        except ValidationError as error:
            raise InputError(f"{path}: {validation_summary(error)}", expected=cls.what) from None


class ProbeReport(StoredReport):
    """Readings of one model.

    Attributes:
        model: What was probed.
        readings: By probe, in the order they were run.
        amount: How much was drawn.
        seed: Of everything drawn.
        created: Day and time, UTC, ISO 8601.
        versions: Package versions.
    """

    what: ClassVar[str] = "a report of probes"

    model: ModelCard
    readings: tuple[Reading, ...]
    amount: Amount
    seed: int
    created: str
    versions: Mapping[str, str]
