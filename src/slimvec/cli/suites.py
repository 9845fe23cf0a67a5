"""The part of `slimvec evaluate` that runs suites of tasks, compares two models, and writes the report."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from slimvec.cli.failures import AGAIN
from slimvec.cli.options import Opening
from slimvec.cli.scores import summary_of
from slimvec.cli.tables import table
from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from slimvec.evaluation.comparing import ComparisonReport
    from slimvec.evaluation.models import EvaluatedModel
    from slimvec.evaluation.opening import EvaluatedSettings
    from slimvec.evaluation.results import EvaluationResult
    from slimvec.evaluation.suite import Suite, TaskEntry
    from slimvec.evaluation.vector_store import VectorStore


def choose_suite(suite: str | None, hub_tasks: Sequence[str], data: Path | None, *, only: Sequence[str]) -> "Suite":
    """Give the tasks asked for: of a suite, of the hub, or all retrieval sets of the data folder.

    Raises:
        InputError: there is no such suite or task.
    """
    from slimvec.evaluation.suite import folder_suite, hub_suite, read_suite

    if suite is not None and hub_tasks:
        raise InputError("--suite and --mteb-task", expected="one of them")
    if suite is not None:
        chosen = read_suite(suite)
    elif hub_tasks:
        chosen = hub_suite(hub_tasks)
    else:
        assert data is not None
        chosen = folder_suite(data)
    return chosen.only(only) if only else chosen


@dataclass(frozen=True)
class SuiteEvaluation:
    """Evaluates models on a suite: one, or two that are compared; one of them may be BM25.

    Attributes:
        terminal: Shows progress and scores.
        suite: The tasks.
        data: Folder of the local ones.
        opening: How a model is opened.
        echo: Read every text twice.
        strict: Refuse sets with empty documents or judgements of what is not there.
    """

    terminal: Terminal
    suite: "Suite"
    data: Path | None
    opening: Opening
    _: KW_ONLY
    echo: bool
    strict: bool

    def report(self, sources: Sequence[str], output: Path | None, *, force: bool) -> Result:
        """Evaluate the models, show their scores, and write them in full."""
        from slimvec.evaluation.comparing import compare_reports
        from slimvec.evaluation.lexical import LEXICAL_NAME
        from slimvec.evaluation.opening import check_extra

        check_extra()
        reports = [
            self._bm25(first=number == 0) if source == LEXICAL_NAME else self._model(source, first=number == 0)
            for number, source in enumerate(sources)
        ]
        comparison = compare_reports(*reports) if len(reports) > 1 else None
        for report in reports:  # before the files: a full disk shall not take the scores with it
            title = f"{report.model.name}: suite {report.suite}, mean {report.mean:.3f}"
            self.terminal.print(title, _scores(report))
        if comparison is not None:
            close = sum(task.verdict == "not distinguishable" for task in comparison.tasks)
            order = f"{close} of {len(comparison.tasks)} differences are too small to order the two"
            title = f"{comparison.first.name} against {comparison.second.name}"
            self.terminal.print(title, _comparison(comparison), order)
        if output is not None:
            from slimvec.evaluation.page import write_reports

            write_reports(output, reports, comparison, force=force)
            self.terminal.print(f"report: {output / 'report.html'}")
        return summary_of(reports[0], comparison=comparison, output=output)

    def _model(self, source: str, *, first: bool) -> "EvaluationResult":
        """Open a model and run the suite; what is left out of the sets is said with the first."""
        from slimvec.evaluation.scoring import evaluate_suite

        model = open_with_progress(self.terminal, source, self.opening, echo=self.echo)
        store, num_texts = vectors_kept(model, self.opening), 0
        if store is not None:
            self.terminal.kept = lambda: f"the vectors of what was embedded are kept; {AGAIN} to go on"
        with self.terminal.task("evaluating", total=len(self.suite.tasks), unit="tasks") as progress:

            def start(entry: "TaskEntry") -> None:
                progress.update(description=f"evaluating {model.card.name} on {entry.name}")

            def embedded(count: int) -> None:
                nonlocal num_texts
                num_texts += count
                progress.update(detail=f"{num_texts:,} texts")

            return evaluate_suite(
                model,
                self.suite,
                data=self.data,
                store=store,
                strict=self.strict,
                on_left_out=self.terminal.remark if first else None,
                on_task=start,
                on_progress=embedded,
                on_result=lambda _: progress.advance(),
            )

    def _bm25(self, *, first: bool) -> "EvaluationResult":
        """Score BM25 on the retrieval tasks of the suite; what is left out of the sets is said with the first."""
        from slimvec.evaluation.lexical import evaluate_bm25

        tasks = self.suite.tasks
        total = sum(entry.kind == "retrieval" for entry in tasks)
        if total < len(tasks):
            self.terminal.remark(f"bm25: on the {total} retrieval tasks of {len(tasks)}; it has no vectors")
        with self.terminal.task("scoring BM25", total=total, unit="tasks") as progress:
            return evaluate_bm25(
                self.suite,
                data=self.data,
                strict=self.strict,
                on_left_out=self.terminal.remark if first else None,
                on_result=lambda _: progress.advance(),
            )


def open_with_progress(
    terminal: Terminal, source: str, opening: Opening, **more: Unpack["EvaluatedSettings"]
) -> "EvaluatedModel":
    """Open a model, telling what is fetched or converted. Errors as for `open_evaluated`."""
    with terminal.task(f"loading {source}") as task:
        from slimvec.evaluation.opening import open_evaluated

        settings: EvaluatedSettings = {**opening.settings, **more, "progress": task.share}
        model = open_evaluated(source, backend=opening.backend, **settings)
    if model.card.remark:
        terminal.remark(f"{source}: {model.card.remark}")
    return model


def vectors_kept(model: "EvaluatedModel", opening: Opening) -> "VectorStore | None":
    """Give the store of a model's vectors, where they are kept for the next run."""
    from slimvec.evaluation.vector_store import VectorStore

    identity = model.card.identity
    return VectorStore(identity) if opening.cache and identity is not None else None


def _scores(report: "EvaluationResult") -> "Table":
    from slimvec.statistics.intervals import shown_interval

    rows = []
    for task in report.tasks:
        cut = "unknown" if task.truncated_share is None else f"{task.truncated_share:.1%}"
        bounds = shown_interval(task.score.low, task.score.high, task.num_samples)
        drawn = f"{task.num_samples:,} {task.unit}"
        rows.append((task.task, task.measure, f"{task.score.value:.3f}", bounds, drawn, cut))
    return table(("task", "measure", "score", "95% interval", "from", "truncated"), rows)


def _comparison(comparison: "ComparisonReport") -> "Table":
    from slimvec.reports.shown import shown_p
    from slimvec.statistics.intervals import shown_interval

    rows = []
    for task in comparison.tasks:
        scores = [f"{task.first:.3f}", f"{task.second:.3f}", f"{task.difference:+.3f}"]
        bounds = shown_interval(task.low, task.high, task.num_samples, form="+.3f")
        rows.append((task.task, *scores, bounds, shown_p(task.p_corrected), f"{task.smallest_seen:.3f}", task.verdict))
    return table(("task", "first", "second", "difference", "95% interval", "p (Holm)", "could be seen", "better"), rows)
