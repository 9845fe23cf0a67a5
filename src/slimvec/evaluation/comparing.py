"""Which of two systems is better, if that is decidable: paired differences, sign flips, Holm, and what could be seen.

Both systems answered the same queries, so that each query gives a difference d. If the systems do not differ, its sign
is a matter of chance, and flipping signs at random gives all means that chance would have given (Fisher 1935; for
retrieval Smucker, Allan and Carterette 2007). The interval of the mean is a percentile bootstrap over the queries. Over
several tasks the p-values are corrected by Holm's step-down method (1979), which holds under any dependence.

Letters: N samples, R flips or resamples.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from slimvec.errors import InputError
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import EvaluationResult, TaskResult, task_values
from slimvec.frozen import Frozen
from slimvec.statistics.intervals import bootstrap_intervals, ends_of
from slimvec.statistics.resampling import LEVEL, NUM_RESAMPLES
from slimvec.statistics.significance import holm, sign_flip_p_value, smallest_visible

Verdict = Literal["first", "second", "not distinguishable"]


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


class ComparisonReport(Frozen):
    """How two models compare on a suite.

    Attributes:
        first: One model.
        second: The other.
        level: Level of tests and intervals.
        seed: Random seed for flips and resamples.
        tasks: By task.
    """

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
    parts = [_differences(*pair) for pair in pairs]
    flipped = [task_values(part, centred=False) for part in parts]
    p_values = [sign_flip_p_value(values, seed=seed, num_flips=num_resamples) for values in flipped]
    tasks = []
    for pair, part, p_value, corrected in zip(pairs, parts, p_values, holm(p_values), strict=True):
        drawn = task_values(part)  # the mean of those whose signs are flipped, and the spread of samples alone
        interval = bootstrap_intervals(drawn[:, None], seed=seed, num_resamples=num_resamples, level=level)[0]
        one, other = pair
        tasks.append(
            TaskComparison(
                task=one.task,
                measure=one.measure,
                first=one.score.value,
                second=other.score.value,
                difference=interval.value,
                **ends_of(interval, len(drawn)),
                p_value=p_value,
                p_corrected=corrected,
                smallest_seen=smallest_visible(drawn, level=level, num_tests=len(pairs)),
                num_samples=len(drawn),
                unit=one.unit,
                verdict=_verdict(interval.value, corrected, level),
            )
        )
    return ComparisonReport(first=first.model, second=second.model, level=level, seed=seed, tasks=tuple(tasks))


def _differences(first: TaskResult, second: TaskResult) -> dict[str, dict[str, float]]:
    """Give first minus second of a task, by subset and sample."""
    if (first.dataset_hash, first.measure) != (second.dataset_hash, second.measure):
        raise InputError(
            f"task {first.task} was not the same in both evaluations",
            expected="the same data and measure",
            do="run both again",
        )
    found = {}
    for one, other in zip(first.subsets, second.subsets, strict=True):
        others = dict(zip(other.sample_ids, other.values, strict=True))
        found[one.subset] = {name: a - others[name] for name, a in zip(one.sample_ids, one.values, strict=True)}
    return found


def _verdict(difference: float, corrected: float, level: float) -> Verdict:
    if corrected > 1 - level:
        return "not distinguishable"
    return "first" if difference > 0 else "second"
