"""What the probes of a study read, summed up: every measure of every variant, with its difference from another's."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from slimvec.comparison.runs import RunResult
from slimvec.comparison.sections import Probing
from slimvec.comparison.study import Study
from slimvec.errors import InputError
from slimvec.frozen import Frozen
from slimvec.probes.results import Metric, difference
from slimvec.statistics.intervals import Interval
from slimvec.statistics.trainings import MIN_TRAININGS, with_training_luck

Finding = Literal["higher", "lower", "not distinguishable", "no verdict"]


class ProbedValue(Frozen):
    """A variant's measure, mean of its runs.

    Attributes:
        measure: With the mean of the runs' intervals: the items are the same in all, so runs do not narrow it.
        by_seed: Value of each run.
        against: The variant it is compared with; None for the study's reference.
        difference: From that, with an interval that takes the two for independent; it is wider than it need be. The
            luck of training is in it where there are three trainings or more.
        finding: What that difference is worth: `higher`, `lower` or `not distinguishable` by its interval, `no verdict`
            for trained variants of under three seeds; None without an interval.
    """

    measure: Metric
    by_seed: tuple[float, ...]
    against: str | None = None
    difference: Interval | None = None
    finding: Finding | None = None


class ProbedMeasure(Frozen):
    """A measure of all variants.

    Attributes:
        name: `PROBE:MEASURE`.
        values: By variant.
        skipped: Why a variant has none, by variant.
    """

    name: str
    values: Mapping[str, ProbedValue]
    skipped: Mapping[str, str] = {}


def probed_measures(study: Study, results: Sequence[RunResult]) -> tuple[ProbedMeasure, ...]:
    """Sum up what the probes read, measure by measure.

    Raises:
        InputError: a measure that the study names is in no result.
    """
    if study.probes is None:
        return ()
    runs = {name: [run for run in results if run.variant == name and run.readings] for name in study.plain}
    found = {name: group for name, group in runs.items() if group}
    if not found:
        return ()
    return tuple(_probed(name, study, found) for name in _names(study.probes, found))


def _names(probing: Probing, runs: Mapping[str, Sequence[RunResult]]) -> list[str]:
    """List the measures to show: those that are named, or the first of each probe."""
    readings = [result for group in runs.values() for run in group for result in run.readings]
    known = dict.fromkeys(f"{result.probe}:{measure.name}" for result in readings for measure in result.measures)
    unknown = [name for name in probing.measures if name not in known]
    if unknown:
        raise InputError(f"no probe of the study reads {unknown[0]!r}", expected=f"one of {', '.join(known)}")
    firsts = dict.fromkeys(f"{result.probe}:{result.measures[0].name}" for result in readings if result.measures)
    return list(probing.measures or firsts)


def _probed(name: str, study: Study, runs: Mapping[str, Sequence[RunResult]]) -> ProbedMeasure:
    probe, _, measure = name.partition(":")
    found: dict[str, dict[int, Metric]] = {}
    skipped = {}
    for variant, group in runs.items():
        readings = [(run.seed, result) for run in group for result in run.readings if result.probe == probe]
        by_seed = {seed: m for seed, result in readings for m in result.measures if m.name == measure}
        if by_seed:
            found[variant] = by_seed
        else:
            skipped[variant] = readings[0][1].skipped if readings else ""
    return ProbedMeasure(name=name, values={v: _value(v, found, study) for v in found}, skipped=skipped)


def _mean(measures: Sequence[Metric]) -> Metric:
    """Give the mean of a measure over runs; without an interval where one of them has none."""
    ends: dict[str, float | None] = {"low": None, "high": None}
    if all(measure.low is not None for measure in measures):
        ends = {end: float(np.mean([getattr(measure, end) for measure in measures])) for end in ends}
    baselines = [measure.baseline for measure in measures if measure.baseline is not None]
    baseline = float(np.mean(baselines)) if len(baselines) == len(measures) else None
    return measures[0].model_copy(
        update={
            "value": float(np.mean([measure.value for measure in measures])),
            **ends,
            "baseline": baseline,
            "baseline_name": measures[0].baseline_name if baseline is not None else "",
        }
    )


def _value(variant: str, found: Mapping[str, Mapping[int, Metric]], study: Study) -> ProbedValue:
    """Sum up a variant, and compare it on the seeds that its reference has as well."""
    own = found[variant]
    value = ProbedValue(measure=_mean(list(own.values())), by_seed=tuple(m.value for m in own.values()))
    against = study.against(variant)
    other = found.get(against, {})
    seeds = [seed for seed in own if seed in other]
    if against == variant or not seeds:
        return value
    first, second = ([group[seed] for seed in seeds] for group in (own, other))
    _, interval = difference(_mean(first), _mean(second))
    if interval is None:
        return value.model_copy(update={"against": against})
    is_trained = any(study.cells[name].trained for name in (variant, against))
    is_judged = not is_trained or len(seeds) >= MIN_TRAININGS
    if is_trained and is_judged:
        apart = np.array([one.value - two.value for one, two in zip(first, second, strict=True)])
        interval = with_training_luck(interval, apart)
    finding = _finding(interval) if is_judged else "no verdict"
    return value.model_copy(update={"against": against, "difference": interval, "finding": finding})


def _finding(interval: Interval) -> Finding:
    if not interval.is_apart:
        return "not distinguishable"
    return "higher" if interval.value > 0 else "lower"
