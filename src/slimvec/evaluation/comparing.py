"""Which of two systems is better, if that is decidable: paired differences, sign flips, Holm, and what could be seen.

Both systems answered the same queries, so that each query gives a difference d. If the systems do not differ, its sign
is a matter of chance, and flipping signs at random gives all means that chance would have given (Fisher 1935; for
retrieval Smucker, Allan and Carterette 2007). The interval of the mean is a percentile bootstrap over the queries. Over
several tasks the p-values are corrected by Holm's step-down method (1979), which holds under any dependence.

Letters: N samples, R flips or resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from slimvec.errors import InputError
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import EvaluationResult, SubsetResult, TaskResult
from slimvec.evaluation.task_values import task_values
from slimvec.statistics.intervals import Interval, bootstrap_intervals, ends_of
from slimvec.statistics.resampling import LEVEL, NUM_RESAMPLES, Values
from slimvec.statistics.significance import holm, sign_flip_p_value, smallest_visible

Verdict = Literal["first", "second", "not distinguishable"]


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """How two systems compare on the same samples.

    Attributes:
        difference: Mean of first minus second.
        low: Lower end of its interval.
        high: Upper end.
        p_value: p-value of the sign-flip test, two-sided, of no difference.
        smallest_seen: The smallest difference that such a test would have found in four of five repetitions.
        num_samples: N.
    """

    difference: float
    low: float
    high: float
    p_value: float
    smallest_seen: float
    num_samples: int


class TaskComparison(BaseModel):
    """How two models compare on a task.

    Attributes:
        task: Its name.
        measure: mteb's name of the measure.
        first: Score of the first model.
        second: Score of the second.
        difference: First minus second.
        low: Lower end of its interval; None where there are too few samples for one.
        high: Upper end; likewise.
        p_value: p-value of the sign-flip test.
        p_corrected: The same after Holm's correction over the tasks.
        smallest_seen: The smallest difference that would have been found in four of five repetitions, at the strictest
            step of the correction.
        num_samples: Different samples that were paired.
        unit: What they are.
        verdict: Which model is better, or that they are not distinguishable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    task: str
    measure: str
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p_value: float
    p_corrected: float
    smallest_seen: float
    num_samples: int
    unit: str
    verdict: Verdict


class ComparisonReport(BaseModel):
    """How two models compare on a suite.

    Attributes:
        first: One model.
        second: The other.
        level: Level of tests and intervals.
        seed: Random seed for flips and resamples.
        tasks: By task.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: ModelCard
    second: ModelCard
    level: float
    seed: int
    tasks: tuple[TaskComparison, ...]


def compare_reports(
    first: EvaluationResult,
    second: EvaluationResult,
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    level: float = LEVEL,
) -> ComparisonReport:
    """Compare two models on the tasks that both were evaluated on.

    Raises:
        InputError: they share no task, or a task of the same name with other data or another measure.
    """
    others = {task.task: task for task in second.tasks}
    pairs = [(task, others[task.task]) for task in first.tasks if task.task in others]
    if not pairs:
        raise InputError("the two evaluations share no task", expected="evaluations of the same suite")
    found = [
        _compare_task(one, other, seed=seed, num_resamples=num_resamples, level=level, num_tests=len(pairs))
        for one, other in pairs
    ]
    corrected = holm([comparison.p_value for comparison in found])
    tasks = [_verdict(*pair, result, p, level) for pair, result, p in zip(pairs, found, corrected, strict=True)]
    return ComparisonReport(first=first.model, second=second.model, level=level, seed=seed, tasks=tuple(tasks))


def _compare_task(
    first: TaskResult, second: TaskResult, *, seed: int, num_resamples: int, level: float, num_tests: int
) -> PairedComparison:
    if (first.dataset_hash, first.measure) != (second.dataset_hash, second.measure):
        raise InputError(
            f"task {first.task} was not the same in both evaluations",
            expected="the same data and measure",
            do="run both again",
        )
    differences = {
        one.subset: {
            name: a - b for name, a, b in zip(one.sample_ids, one.values, _in_order(one.sample_ids, other), strict=True)
        }
        for one, other in zip(first.subsets, second.subsets, strict=True)
    }
    return _comparison(
        task_values(differences, centred=False),
        task_values(differences),
        seed=seed,
        num_resamples=num_resamples,
        level=level,
        num_tests=num_tests,
    )


def _in_order(names: Sequence[str], subset: SubsetResult) -> list[float]:
    values = dict(zip(subset.sample_ids, subset.values, strict=True))
    return [values[name] for name in names]


def _comparison(
    flipped: Values, drawn: Values, *, seed: int, num_resamples: int, level: float, num_tests: int
) -> PairedComparison:
    """Flip signs of one form of the differences, draw from the other; both have the same mean."""
    interval = bootstrap_intervals(drawn[:, None], seed=seed, num_resamples=num_resamples, level=level)[0]
    return PairedComparison(
        difference=interval.value,
        low=interval.low,
        high=interval.high,
        p_value=sign_flip_p_value(flipped, seed=seed, num_flips=num_resamples),
        smallest_seen=smallest_visible(drawn, level=level, num_tests=num_tests),
        num_samples=len(drawn),
    )


def _verdict(
    first: TaskResult, second: TaskResult, found: PairedComparison, corrected: float, level: float
) -> TaskComparison:
    better: Verdict = "first" if found.difference > 0 else "second"
    return TaskComparison(
        task=first.task,
        measure=first.measure,
        first=first.score.value,
        second=second.score.value,
        difference=found.difference,
        **ends_of(Interval(found.difference, found.low, found.high), found.num_samples),
        p_value=found.p_value,
        p_corrected=corrected,
        smallest_seen=found.smallest_seen,
        num_samples=found.num_samples,
        unit=first.unit,
        verdict=better if corrected <= 1 - level else "not distinguishable",
    )
