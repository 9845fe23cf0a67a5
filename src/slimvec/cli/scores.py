"""Scores as tables and as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from slimvec.evaluation.results import Score, TaskResult

_HEADINGS = {"ndcg_at_10": "nDCG@10", "mrr_at_10": "MRR@10", "recall_at_1": "recall@1", "recall_at_10": "recall@10"}


def interval(score: "Score") -> dict[str, float | None]:
    """Give a score as `value`, `low` and `high`; the ends are null where too few queries give no interval."""
    return {"value": score.value, "low": score.low, "high": score.high}


def scores_table(rows: Sequence[tuple[str, "TaskResult"]], *, first_column: str) -> "Table":
    """Lay out results, a row each: nDCG@10 with its interval, then the other measures.

    Args:
        rows: Label and result.
        first_column: Heading of the labels.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from slimvec.statistics.intervals import shown_interval

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first_column, no_wrap=True)
    for number, heading in enumerate(_HEADINGS.values()):
        table.add_column(heading, justify="right", style="bold" if number == 0 else "", no_wrap=True)
        if number == 0:
            table.add_column("95% interval", justify="right", style="dim", no_wrap=True)
    for label, result in rows:
        cells = [f"{result.metrics[name].value:.3f}" for name in _HEADINGS]
        bounds = shown_interval(result.main.low, result.main.high, result.num_queries)
        table.add_row(label, cells[0], bounds, *cells[1:])
    return table
