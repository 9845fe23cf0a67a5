"""What a report shows: tables, and plots of curves; typed, frozen, part of what is written as JSON."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from slimvec.frozen import Frozen


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


def pairs_table(values: Mapping[str, str], *, title: str = "") -> Table:
    """Give a table of settings: what, and its value."""
    return Table(title=title, header=("what", "value"), rows=tuple(values.items()))


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
