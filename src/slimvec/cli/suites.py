"""The part of `slimvec evaluate` that runs suites of tasks, compares two models, and writes the report."""

from collections.abc import Callable, Sequence
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


def choose_suite(
    suite: str | None,
    hub_tasks: Sequence[str],
    data: Path | None,
    *,
    only: Sequence[str] = (),
    instruction: str | None = None,
) -> "Suite":
    """Give the tasks asked for: of a suite, of the hub, or all retrieval sets of the data folder.

    An instruction is given to the tasks that have none of their own.

    Raises:
        InputError: none is asked for, or there is no such suite or task.
    """
    from slimvec.evaluation.suite import Suite, TaskEntry, hub_suite, read_suite

    if suite is not None and hub_tasks:
        raise InputError("--suite and --mteb-task", expected="one of them")
    if suite is not None:
        chosen = read_suite(suite)
    elif hub_tasks:
        chosen = hub_suite(hub_tasks)
    elif data is not None:
        from slimvec.data.retrieval_files import find_retrieval_sets

        folders = find_retrieval_sets(data)
        entries = [
            TaskEntry(name=path.absolute().name, folder=str(path.absolute()), kind="retrieval") for path in folders
        ]
        chosen = Suite(name="folder", tasks=tuple(entries))
    else:
        raise InputError("nothing to evaluate on", expected="--data FOLDER, --suite NAME or --mteb-task NAME")
    chosen = chosen.only(only) if only else chosen
    told = [task.model_copy(update={"instruction": task.instruction or instruction}) for task in chosen.tasks]
    return chosen.model_copy(update={"tasks": tuple(told)})


def evaluate_models(
    terminal: Terminal,
    suite: "Suite",
    *,
    sources: Sequence[str],
    data: Path | None,
    opening: Opening,
    echo: bool,
    strict: bool,
    output: Path | None,
    force: bool,
) -> Result:
    """Evaluate one model on a suite, or two and compare them; one of them may be BM25."""
    from slimvec.evaluation.comparing import compare_reports
    from slimvec.evaluation.lexical import LEXICAL_NAME
    from slimvec.evaluation.opening import check_extra

    check_extra()
    reports = []
    for number, source in enumerate(sources):
        on_left_out = terminal.remark if number == 0 else None
        if source == LEXICAL_NAME:
            reports.append(_evaluate_bm25(terminal, suite, data, strict=strict, on_left_out=on_left_out))
            continue
        reports.append(
            _evaluate(
                terminal,
                open_with_progress(terminal, source, opening, echo=echo),
                suite,
                data,
                cache=opening.cache,
                strict=strict,
                on_left_out=on_left_out,
            )
        )
    comparison = compare_reports(*reports) if len(reports) > 1 else None
    for report in reports:  # before the files: a full disk shall not take the scores with it
        terminal.print(f"{report.model.name}: suite {report.suite}, mean {report.mean:.3f}", _scores(report))
    if comparison is not None:
        close = sum(task.verdict == "not distinguishable" for task in comparison.tasks)
        order = f"{close} of {len(comparison.tasks)} differences are too small to order the two"
        terminal.print(f"{comparison.first.name} against {comparison.second.name}", _comparison(comparison), order)
    if output is not None:
        from slimvec.evaluation.page import write_reports

        write_reports(output, reports, comparison, force=force)
        terminal.print(f"report: {output / 'report.html'}")
    return summary_of(reports[0], comparison=comparison, output=output)


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


def _evaluate(
    terminal: Terminal,
    model: "EvaluatedModel",
    suite: "Suite",
    data: Path | None,
    *,
    cache: bool,
    strict: bool,
    on_left_out: Callable[[str], None] | None,
) -> "EvaluationResult":
    """Run a suite with a progress bar over its tasks."""
    from slimvec.evaluation.scoring import evaluate_suite
    from slimvec.evaluation.vector_store import VectorStore

    identity = model.card.identity
    store = VectorStore(identity) if cache and identity is not None else None
    num_texts = 0
    if store is not None:
        terminal.kept = lambda: f"the vectors of what was embedded are kept; {AGAIN} to go on"
    with terminal.task("evaluating", total=len(suite.tasks), unit="tasks") as progress:

        def start(entry: "TaskEntry") -> None:
            progress.update(description=f"evaluating {model.card.name} on {entry.name}")

        def embedded(count: int) -> None:
            nonlocal num_texts
            num_texts += count
            progress.update(detail=f"{num_texts:,} texts")

        return evaluate_suite(
            model,
            suite,
            data=data,
            store=store,
            strict=strict,
            on_left_out=on_left_out,
            on_task=start,
            on_progress=embedded,
            on_result=lambda _: progress.advance(),
        )


def _evaluate_bm25(
    terminal: Terminal, suite: "Suite", data: Path | None, *, strict: bool, on_left_out: Callable[[str], None] | None
) -> "EvaluationResult":
    """Score BM25 on the retrieval tasks of a suite."""
    from slimvec.evaluation.lexical import evaluate_bm25

    num_retrieval = sum(entry.kind == "retrieval" for entry in suite.tasks)
    if num_retrieval < len(suite.tasks):
        terminal.remark(f"bm25: on the {num_retrieval} retrieval tasks of {len(suite.tasks)}; it has no vectors")
    with terminal.task("scoring BM25", total=num_retrieval, unit="tasks") as progress:
        return evaluate_bm25(
            suite, data=data, strict=strict, on_left_out=on_left_out, on_result=lambda _: progress.advance()
        )


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
    from slimvec.statistics.intervals import shown_interval

    rows = []
    for task in comparison.tasks:
        scores = [f"{task.first:.3f}", f"{task.second:.3f}", f"{task.difference:+.3f}"]
        bounds = shown_interval(task.low, task.high, task.num_samples, form="+.3f")
        rows.append((task.task, *scores, bounds, f"{task.p_corrected:.4f}", f"{task.smallest_seen:.3f}", task.verdict))
    return table(("task", "first", "second", "difference", "95% interval", "p (Holm)", "could be seen", "better"), rows)
