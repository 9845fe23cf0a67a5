"""Scores as tables and as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.cli.tables import table

if TYPE_CHECKING:
    from rich.table import Table

    from slimvec.cli.terminal import Result
    from slimvec.evaluation.comparing import ComparisonReport
    from slimvec.evaluation.results import EvaluationResult, Score, TaskResult

_HEADINGS = {"ndcg_at_10": "nDCG@10", "mrr_at_10": "MRR@10", "recall_at_1": "recall@1", "recall_at_10": "recall@10"}
_DETAILS = (
    "kind", "protocol", "measure", "unit", "method", "num_samples", "num_documents", "num_unjudged", "own_left_out",
    "truncated_share", "seconds",
)  # fmt: skip


def interval(score: "Score") -> dict[str, float | None]:
    """Give a score as `value`, `low` and `high`; the ends are null where too few queries give no interval."""
    return {"value": score.value, "low": score.low, "high": score.high}


def summary_of(
    result: "EvaluationResult",
    *,
    baseline: "Sequence[TaskResult] | None" = None,
    comparison: "ComparisonReport | None" = None,
    output: Path | None,
) -> "Result":
    """Give what the JSON of `slimvec evaluate` holds.

    Args:
        result: Results of the model.
        baseline: Those of BM25 on the same sets, if it was scored.
        comparison: With the second model, if there is one.
        output: Where all of it was written.
    """
    return {
        "scores": {task.task: interval(task.score) for task in result.tasks},
        "bm25": None if baseline is None else {task.task: interval(task.score) for task in baseline},
        "tasks": {task.task: _details(task) for task in result.tasks},
        "model": result.model,
        "comparison": comparison,
        "output": output,
    }


def _details(task: "TaskResult") -> dict[str, Any]:
    """Give everything about a task but the values of its samples."""
    return {
        "metrics": {name: interval(score) for name, score in task.metrics.items()},
        "subsets": {subset.subset: interval(subset.score) for subset in task.subsets},
        "num_queries": task.num_samples if task.unit == "queries" else None,
        **{name: getattr(task, name) for name in _DETAILS},
    }


def scores_table(rows: Sequence[tuple[str, "TaskResult"]], *, first_column: str) -> "Table":
    """Lay out results, a row each: nDCG@10 with its interval, then the other measures.

    Args:
        rows: Label and result.
        first_column: Heading of the labels.
    """
    from slimvec.statistics.intervals import shown_interval

    first, *others = _HEADINGS.values()
    cells = []
    for label, result in rows:
        main, *further = (f"{result.metrics[name].value:.3f}" for name in _HEADINGS)
        bounds = shown_interval(result.score.low, result.score.high, result.num_samples)
        cells.append((label, main, bounds, *further))
    return table((first_column, first, "95% interval", *others), cells, styles=("", "bold", "dim"))
