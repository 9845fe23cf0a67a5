"""Measures in words: a number as its unit wants it, with its interval; and the difference of two."""

from math import sqrt

from slimvec.probes.results import Metric, Unit
from slimvec.statistics.intervals import Interval

_WHOLE = ("tokens", "characters", "count")


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
