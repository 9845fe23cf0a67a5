"""Values with intervals, as measures, curves and cells of tables."""

from collections.abc import Sequence
from typing import Protocol

from slimvec.probes.results import Metric, Unit
from slimvec.reports.parts import Curve
from slimvec.statistics.intervals import Interval


class Estimated(Protocol):
    """A number with its 95% interval, as `Interval` is one."""

    @property
    def value(self) -> float:
        """The number."""
        ...

    @property
    def low(self) -> float:
        """Lower end."""
        ...

    @property
    def high(self) -> float:
        """Upper end."""
        ...


def estimated(
    name: str,
    found: Estimated,
    unit: Unit,
    *,
    baseline: float | None = None,
    baseline_name: str = "",
    num_items: int,
    higher_is_better: bool | None = None,
) -> Metric:
    """Give an estimate as a measure; arguments as the fields of `Metric`."""
    return Metric(
        name=name,
        value=found.value,
        low=found.low,
        high=found.high,
        unit=unit,
        baseline=baseline,
        baseline_name=baseline_name,
        num_items=num_items,
        higher_is_better=higher_is_better,
    )


def estimated_curve(label: str, xs: Sequence[float], found: Sequence[Interval], *, baseline: bool = False) -> Curve:
    """Give estimates over an axis as a curve; `baseline` as in `Curve`."""
    return Curve(
        label=label,
        xs=tuple(xs),
        ys=tuple(interval.value for interval in found),
        lows=tuple(interval.low for interval in found),
        highs=tuple(interval.high for interval in found),
        baseline=baseline,
    )


def estimated_cell(found: Interval) -> str:
    """Write an estimate for a table."""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
