"""Values with intervals, as measures, curves and cells of tables."""

from collections.abc import Sequence

from slimvec.probes.results import Metric, Unit
from slimvec.reports.parts import Curve
from slimvec.statistics.intervals import Estimated, Interval, ends_of


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
    """Give an estimate as a measure, without ends where its items are too few; arguments as the fields of `Metric`."""
    return Metric(
        name=name,
        value=found.value,
        **ends_of(found, num_items),
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
