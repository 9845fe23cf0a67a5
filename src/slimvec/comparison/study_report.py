"""The report of a study: means, differences from the reference, and what they are worth; typed, before any layout."""

import platform
from collections.abc import Mapping, Sequence

import numpy as np

from slimvec.comparison.judging import (
    Effect,
    Ordering,
    Verdict,
    compare_variants,
    order_variants,
    values_by_set,
    verdict_of,
)
from slimvec.comparison.probed import ProbedMeasure, probed_measures
from slimvec.comparison.runs import RunResult
from slimvec.comparison.study import Study
from slimvec.comparison.sweeps import CheckResult, Sweeps, SweptModel
from slimvec.data.contamination import TrainingOverlap
from slimvec.evaluation.results import package_versions
from slimvec.frozen import Frozen
from slimvec.ranking.metrics import MAIN_METRIC

TOKENS_APART = 0.02
"""Share by which trainings may differ in tokens and still count as equal: a last step may go a little beyond."""


class Row(Frozen):
    """A variant's results.

    Attributes:
        variant: Name.
        note: What it is.
        seeds: Seeds of its runs.
        by_set: Mean of the main metric by set, over runs and queries.
        by_seed: Mean over sets of each run.
        mean: Over all sets and runs.
        steps: Steps of each training.
        tokens: Trained on, mean of the runs; without those of a base that the study trained.
        base_tokens: Those of such a base.
        train_seconds: Median time of the trainings; a machine that does other things too makes it longer.
        loss: At the end, mean of the runs; None untrained.
        effect: Against its reference; None for the study's reference, and where no seed is shared.
        verdict: In a word.
    """

    variant: str
    note: str
    seeds: tuple[int, ...]
    by_set: Mapping[str, float]
    by_seed: tuple[float, ...]
    mean: float
    steps: int
    tokens: int
    base_tokens: int = 0
    train_seconds: float = 0.0
    loss: float | None
    effect: Effect | None
    verdict: Verdict


class StudyReport(Frozen):
    """A study's findings.

    Attributes:
        study: As its file states it.
        metric: The main metric.
        rows: In the study's order, without those of the sweep.
        swept: Models read with several poolings.
        checks: Predictions about them.
        ordering: How far the rows can be put in an order; None in reports of before it was asked.
        probed: What the probes read.
        shared_text: What training and evaluation share; None where nothing is trained, or in reports of before it was
            looked for.
        warnings: What makes the comparison less than it says.
        sets: Number of queries and documents by set.
        versions: Versions of packages, and the machine's kind.
        num_missing: Runs that are not done yet.
    """

    study: Study
    metric: str
    rows: tuple[Row, ...]
    swept: tuple[SweptModel, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    ordering: Ordering | None = None
    probed: tuple[ProbedMeasure, ...] = ()
    shared_text: TrainingOverlap | None = None
    warnings: tuple[str, ...] = ()
    sets: Mapping[str, tuple[int, int]]
    versions: Mapping[str, str]
    num_missing: int

    @property
    def num_queries(self) -> int:
        """Queries of all sets together."""
        return sum(queries for queries, _ in self.sets.values())

    @property
    def trained(self) -> list[Row]:
        """Rows that a seed makes a difference to; all where none is trained."""
        cells = self.study.cells
        return [row for row in self.rows if cells[row.variant].trained] or list(self.rows)

    @property
    def has_seeds(self) -> bool:
        """Whether a variant was trained more than once."""
        return any(len(row.seeds) > 1 for row in self.trained)


def make_report(
    study: Study, results: Sequence[RunResult], *, shared_text: TrainingOverlap | None = None
) -> StudyReport:
    """Sum up the results there are. Two variants are compared on the seeds that both have, if there are any.

    Args:
        study: The study.
        results: Results of its runs.
        shared_text: What its training data shares with what it scores.

    Raises:
        ValueError: no results of the reference.
        InputError: the study shows a measure that no probe has read.
    """
    runs = {name: {r.seed: r for r in results if r.variant == name} for name in study.cells}
    if not runs[study.reference]:
        raise ValueError(f"no results of the reference {study.reference}")
    names = [name for name in study.plain if runs[name]]
    effects = compare_variants(study, runs, names)
    first = next(iter(runs[study.reference].values()))
    rows = tuple(_row(study, name, list(runs[name].values()), effects.get(name)) for name in names)
    sweeps = Sweeps(study, results)
    return StudyReport(
        study=study,
        metric=MAIN_METRIC,
        rows=rows,
        swept=sweeps.models(),
        checks=sweeps.checks(),
        ordering=order_variants(study, runs, [row.variant for row in sorted(rows, key=lambda row: -row.mean)]),
        probed=probed_measures(study, results),
        shared_text=shared_text,
        warnings=_warnings(study, rows),
        sets={task.task: (task.num_samples, task.num_documents or 0) for task in first.tasks},
        versions=package_versions() | {"machine": f"{platform.machine()}, {platform.system()}"},
        num_missing=len(study.cells) * len(study.seeds) - len(results),
    )


def _row(study: Study, name: str, runs: Sequence[RunResult], effect: Effect | None) -> Row:
    by_set = {task: float(values.mean()) for task, values in values_by_set(runs).items()}
    losses = [run.loss for run in runs if run.loss is not None]
    return Row(
        variant=name,
        note=study.cells[name].note,
        seeds=tuple(run.seed for run in runs),
        by_set=by_set,
        by_seed=tuple(float(np.mean([task.score.value for task in run.tasks])) for run in runs),
        mean=float(np.mean(list(by_set.values()))),
        steps=runs[0].steps,
        tokens=round(float(np.mean([run.tokens for run in runs]))),
        base_tokens=round(float(np.mean([run.base_tokens for run in runs]))),
        train_seconds=float(np.median([run.train_seconds for run in runs])),
        loss=float(np.mean(losses)) if losses else None,
        effect=effect,
        verdict=verdict_of(effect, is_reference=name == study.reference),
    )


def _warnings(study: Study, rows: Sequence[Row]) -> tuple[str, ...]:
    """Tell where a study of equal tokens was not one."""
    if study.equal != "tokens":
        return ()
    found = []
    for what, tokens in (
        ("trained", {row.variant: row.tokens for row in rows if row.tokens}),
        ("pre-trained", {row.variant: row.base_tokens for row in rows if row.base_tokens}),
    ):
        if tokens and max(tokens.values()) > (1 + TOKENS_APART) * min(tokens.values()):
            least, most = (choose(tokens, key=tokens.__getitem__) for choose in (min, max))
            found.append(
                f"Tokens are not equal: {most} was {what} on {tokens[most]:,}, {least} on {tokens[least]:,}, more than "
                f"{TOKENS_APART:.0%} apart."
            )
    return tuple(found)
