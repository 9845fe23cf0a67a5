"""Retrieval sets, read and scored for a command: what is left out of one is said; scores as tables and as JSON."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.cli.tables import table
from slimvec.cli.terminal import Result, Terminal, named

if TYPE_CHECKING:
    from rich.table import Table

    from slimvec.data.retrieval import RetrievalSet
    from slimvec.evaluation.comparing import ComparisonReport
    from slimvec.evaluation.models import ModelCard
    from slimvec.evaluation.results import EvaluationResult, TaskResult
    from slimvec.text.embeddings import TextEmbedder

_HEADINGS = {"ndcg_at_10": "nDCG@10", "mrr_at_10": "MRR@10", "recall_at_1": "recall@1", "recall_at_10": "recall@10"}
_DETAILS = (
    "kind", "protocol", "measure", "unit", "method", "num_samples", "num_documents", "num_unjudged", "own_left_out",
    "truncated_share", "seconds",
)  # fmt: skip


def read_set(terminal: Terminal, folder: Path, *, strict: bool = False) -> "RetrievalSet":
    """Read a set, and say what is left out of it. Arguments and errors as for `read_retrieval_set`."""
    from slimvec.data.retrieval_files import read_retrieval_set

    found = read_retrieval_set(folder, strict=strict)
    say_left_out(terminal, [found])
    return found


def say_left_out(terminal: Terminal, sets: "Iterable[RetrievalSet]") -> None:
    """Say what the files of sets hold and the sets do not."""
    for found in sets:
        if found.left_out:
            terminal.remark(found.left_out)


def score_sets(
    terminal: Terminal,
    embedder: "TextEmbedder",
    datasets: "Sequence[RetrievalSet]",
    card: "ModelCard",
    *,
    task: str | None = None,
    seed: int = 0,
    doing: str = "embedding {}",
    expected: float | None = None,
) -> "EvaluationResult":
    """Score a model on sets, with progress.

    Args:
        terminal: Shows it.
        embedder: The model.
        datasets: One or more.
        card: What the result says of the model.
        task: Task or instruction the texts are embedded for; None for the model's own.
        seed: Random seed for the bootstrap.
        doing: What is shown; the name of the set stands in the place of `{}`.
        expected: Seconds it is expected to take; default unknown.
    """
    from slimvec.evaluation.results import EvaluationResult, package_versions
    from slimvec.evaluation.retrieval import num_texts, score_retrieval

    results, total = [], sum(map(num_texts, datasets))
    with terminal.task(doing.format(datasets[0].name), total=total, unit="texts", expected=expected) as progress:
        for dataset in datasets:
            progress.update(description=doing.format(dataset.name))
            found = score_retrieval(
                embedder, dataset, prompts=card.prompts, task=task, seed=seed, on_progress=progress.advance
            )
            results.append(found)
    return EvaluationResult(model=card, tasks=tuple(results), seed=seed, versions=package_versions())


def interval(found: object, *more: str) -> Result:
    """Give a number as `value`, `low` and `high` (null where too few queries give no interval), and more of it."""
    return named(found, ("value", "low", "high", *more))


def summary_of(
    result: "EvaluationResult",
    *,
    baseline: "Sequence[TaskResult] | None" = None,
    comparison: "ComparisonReport | None" = None,
    output: Path | None,
) -> Result:
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
        **named(task, _DETAILS),
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
