"""What differences between variants are worth: each against its reference, and which of all are not distinguishable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from slimvec.comparison.runs import RunResult
from slimvec.comparison.study import Study
from slimvec.evaluation.results import Score
from slimvec.frozen import Frozen
from slimvec.statistics.intervals import MIN_UNITS
from slimvec.statistics.resampling import Values
from slimvec.statistics.significance import Difference, compare_runs, holm
from slimvec.statistics.trainings import MIN_TRAININGS, TrainingSpread, compare_trainings

Verdict = Literal["reference", "better", "worse", "not distinguishable", "no verdict", "not compared"]
SIGNIFICANT = 0.05
Runs = Mapping[str, Mapping[int, RunResult]]
"""Results by variant and seed."""


class Effect(Frozen):
    """A variant against another, over all sets.

    Attributes:
        against: The other.
        difference: Mean difference of the main metric with its 95% interval: over queries and trainings where it is
            judged, over queries alone where the trainings are too few for a verdict, and without one where the queries
            are.
        p: p-value of the test over queries and trainings, or over queries where neither is trained; None without a
            verdict.
        p_holm: Corrected for the number of variants that are judged.
        detectable: Smallest true difference that would have been found with a chance of 80%, after correction.
    """

    against: str
    difference: Score
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None


def compare_variants(study: Study, runs: Runs, names: Sequence[str]) -> dict[str, Effect]:
    """Compare each variant with its own reference, corrected for the number of comparisons that are judged."""
    found = {name: _pair(study, runs, name, study.against(name)) for name in names if name != study.against(name)}
    pairs = {name: pair for name, pair in found.items() if pair is not None}
    judged = [name for name, pair in pairs.items() if pair.judged]
    differences = {name: pair.difference(num_tests=len(judged)) for name, pair in pairs.items()}
    corrected = dict(zip(judged, holm([differences[name].p for name in judged]), strict=True))
    return {
        name: _effect(study.against(name), found, corrected.get(name), pairs[name].num_queries)
        for name, found in differences.items()
    }


def _effect(against: str, found: Difference, corrected: float | None, num_queries: int) -> Effect:
    score = Score.of(found.interval, num_queries)
    if corrected is None:
        return Effect(against=against, difference=score)
    return Effect(against=against, difference=score, p=found.p, p_holm=corrected, detectable=found.detectable)


@dataclass(frozen=True)
class _Pair:
    """Two variants, on the seeds that both have."""

    study: Study
    num_trained: int
    runs: Sequence[RunResult]
    others: Sequence[RunResult]

    @property
    def judged(self) -> bool:
        """Whether there is enough for a verdict.

        That is queries enough for an interval, and three trainings, a measured spread, or nothing that is trained.
        """
        trainings = not self.num_trained or len(self.runs) >= MIN_TRAININGS or self.study.training_spread is not None
        return trainings and self.num_queries >= MIN_UNITS

    @property
    def num_queries(self) -> int:
        """Queries of all sets together."""
        return sum(task.num_samples for task in self.runs[0].tasks)

    def difference(self, *, num_tests: int) -> Difference:
        given, seed = self.study.training_spread, self.study.evaluation.seed
        if not self.num_trained:  # the same model for every seed
            first, second = (values_by_set(found[:1]) for found in (self.runs, self.others))
            return compare_runs(first, second, seed=seed, num_tests=num_tests)
        first, second = values_by_set(self.runs), values_by_set(self.others)
        if not self.judged:
            return compare_runs(first, second, seed=seed)
        spread = None if given is None else TrainingSpread(given.deviation, given.seeds)
        return compare_trainings(first, second, spread=spread, num_trained=self.num_trained, num_tests=num_tests)


def _pair(study: Study, runs: Runs, name: str, other: str) -> _Pair | None:
    """Pair two variants; None where they share no seed."""
    seeds = [seed for seed in study.seeds if seed in runs[name] and seed in runs[other]]
    if not seeds:
        return None
    num_trained = sum(study.cells[one].trained for one in (name, other))
    return _Pair(study, num_trained, *([runs[one][seed] for seed in seeds] for one in (name, other)))


def values_by_set(runs: Sequence[RunResult]) -> dict[str, Values]:
    """By set, the main metric of every query: [S, Q]."""
    return {
        tasks[0].task: np.array([task.values for task in tasks])
        for tasks in zip(*(run.tasks for run in runs), strict=True)
    }


class Ordering(Frozen):
    """How far the variants can be put in an order.

    Attributes:
        num_pairs: Number of pairs of variants, each with each.
        num_close: Pairs that are judged and too close to order, corrected by Holm for all that are judged.
        num_unjudged: Pairs without a verdict, for too few trainings or queries or no seed in common.
        groups: The largest sets of neighbours by score, best first, of which no two are distinguishable; of one group
            and more than one variant. A variant can be in two. Only where every pair is judged.
    """

    num_pairs: int
    num_close: int
    num_unjudged: int
    groups: tuple[tuple[str, ...], ...]


def order_variants(study: Study, runs: Runs, names: Sequence[str]) -> Ordering:
    """Compare every variant with every other.

    Args:
        study: The study.
        runs: Its results.
        names: Variants that have some, by falling score.
    """
    pairs = {(one, other): _pair(study, runs, one, other) for one, other in combinations(names, 2)}
    judged = {names: pair for names, pair in pairs.items() if pair is not None and pair.judged}
    found = {names: pair.difference(num_tests=len(judged)) for names, pair in judged.items()}
    corrected = dict(zip(found, holm([difference.p for difference in found.values()]), strict=True))
    close = {names for names, p in corrected.items() if not is_told(found[names], p)}
    unjudged = len(pairs) - len(judged)
    groups = () if unjudged else _groups(names, close)
    return Ordering(num_pairs=len(pairs), num_close=len(close), num_unjudged=unjudged, groups=groups)


def _groups(names: Sequence[str], close: set[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Give the largest runs of neighbours in which no two are distinguishable."""
    ends = []
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and all((one, names[end]) in close for one in names[start:end]):
            end += 1
        ends.append(end)
    largest = [
        (start, end) for start, end in enumerate(ends) if end - start > 1 and (not start or ends[start - 1] < end)
    ]
    return tuple(tuple(names[start:end]) for start, end in largest)


def is_told(found: Difference, corrected: float) -> bool:
    """Call a difference one where the corrected test and the interval both do."""
    return corrected <= SIGNIFICANT and found.interval.is_apart


def verdict_of(effect: Effect | None, *, is_reference: bool) -> Verdict:
    """Call a difference one where the corrected test and the interval both do."""
    if effect is None:
        return "reference" if is_reference else "not compared"
    low, high = effect.difference.low, effect.difference.high
    if effect.p_holm is None or low is None or high is None:
        return "no verdict"
    if effect.p_holm > SIGNIFICANT or low <= 0 <= high:
        return "not distinguishable"
    return "better" if effect.difference.value > 0 else "worse"
