"""What probes read: measures with intervals and baselines, tables and plots; typed, frozen, written as JSON."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from slimvec.evaluation.models import ModelCard
from slimvec.frozen import Frozen, Stored
from slimvec.reports.parts import Plot, Table
from slimvec.statistics.intervals import shown_ends

Unit = Literal["share", "cosine", "score", "ratio", "tokens", "characters", "count"]
Amount = Literal["tiny", "quick", "full"]


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
