"""Reports of evaluations as pages: scores with their intervals, two models side by side."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from slimvec.evaluation.comparing import ComparisonReport
from slimvec.evaluation.results import EvaluationResult, Score, TaskResult, line_of
from slimvec.files import atomic_folder
from slimvec.reports.blocks import Block, Heading, Paragraph, Picture, write_pages
from slimvec.reports.intervals import Row, draw_intervals
from slimvec.reports.parts import Table, pairs_table
from slimvec.reports.shown import shown_p
from slimvec.statistics.intervals import shown_interval


def write_reports(
    folder: str | Path, reports: Sequence[EvaluationResult], comparison: ComparisonReport | None, *, force: bool = False
) -> None:
    """Write reports as a folder: `report.html`, `report.md` with its pictures in `plots`, and as JSON all behind them.

    The JSON files are `report.json`, and for a second model `against.json` and `comparison.json`.

    Args:
        folder: Must not exist, or `force`.
        reports: Reports of one model, or of two.
        comparison: Comparison of the two.
        force: Replace what is there.

    Raises:
        InputError: the folder exists, and not `force`.
        StorageError: it cannot be written.
    """
    with atomic_folder(folder, force=force) as staged:
        for name, report in zip(("report", "against"), reports, strict=False):
            report.write(staged / f"{name}.json")
        if comparison is not None:
            text = comparison.model_dump_json(indent=1) + "\n"
            (staged / "comparison.json").write_text(text, encoding="utf-8")
        write_pages(staged, _title(reports), report_blocks(reports, comparison))


def report_blocks(reports: Sequence[EvaluationResult], comparison: ComparisonReport | None = None) -> list[Block]:
    """Lay out one report, or those of two models with what tells them apart."""
    blocks: list[Block] = [Heading(_title(reports), 1), _scores_picture(reports)]
    if comparison is not None:
        note = Paragraph(_comparison_note(comparison), "note")
        blocks += [Heading("Comparison"), _differences_picture(comparison), note, _comparison_table(comparison)]
    for report in reports:
        blocks += _report_blocks(report)
    first = reports[0]
    settings = {
        "seed of the bootstrap": str(first.seed),
        "resamples": f"{first.num_resamples:,}",
        "seed of mteb's sampling": str(first.task_seed),
        **first.versions,
    }
    return [*blocks, Heading("Settings and versions"), pairs_table(settings)]


def _title(reports: Sequence[EvaluationResult]) -> str:
    return f"{' against '.join(report.model.name for report in reports)}: suite {reports[0].suite}"


def _report_blocks(report: EvaluationResult) -> Iterator[Block]:
    """Lay out the scores, prompts and model of a report."""
    name = report.model.name
    yield Heading(f"Scores of {name}")
    yield Paragraph(_scores_note(report), "note")
    yield _score_table(report)
    several = [task for task in report.tasks if len(task.subsets) > 1]
    if several:
        yield Heading(f"Subsets of {name}")
        yield _subset_table(several)
    yield Heading(f"Prompts of {name}")
    yield Paragraph("As written in front of the texts.", "note")
    yield _prompt_table(report)
    yield Heading(f"Model {name}")
    known = report.model.model_dump(exclude={"prompts"})
    yield pairs_table({key.replace("_", " "): str(value) for key, value in known.items() if value not in (None, "")})


def _scores_note(report: EvaluationResult) -> str:
    kinds = ", ".join(f"{kind} {value:.3f}" for kind, value in report.mean_by_kind.items())
    return (
        f"Mean over tasks {report.mean:.3f} ({kinds}). Intervals of 95%, by bootstrap over the units named; "
        "pseudo-values are the jackknife's, for measures that are not plain means; an interval over experiments says "
        "how much the score depends on mteb's random choices, not on the texts."
    )


def _score_table(report: EvaluationResult) -> Table:
    header = ("task", "type", "protocol", "measure", "score", "95% interval", "units", "method", "truncated", "seconds")
    rows = []
    for task in report.tasks:
        drawn = f"{task.num_samples:,} {task.unit}"
        cells = [task.task, task.kind, task.protocol or "mteb's defaults", task.measure, f"{task.score.value:.4f}"]
        interval = shown_interval(task.score.low, task.score.high, task.num_samples, form=".4f")
        rows.append((*cells, interval, drawn, task.method, _share(task.truncated_share), f"{task.seconds:.0f}"))
    return Table(title="", header=header, rows=tuple(rows))


def _subset_table(tasks: Sequence[TaskResult]) -> Table:
    header = ("task", "subset", "score", "95% interval", "units", "texts", "tokens", "truncated")
    rows = []
    for task in tasks:
        for part in task.subsets:
            interval = shown_interval(part.score.low, part.score.high, len(part.values), form=".4f")
            counts = [f"{len(part.values):,}", f"{part.num_texts:,}", f"{part.num_tokens:,}"]
            score = f"{part.score.value:.4f}"
            rows.append((task.task, part.subset, score, interval, *counts, _share(part.truncated_share)))
    return Table(title="", header=header, rows=tuple(rows))


def _prompt_table(report: EvaluationResult) -> Table:
    rows = []
    for task in report.tasks:
        prompts = {role: prompt for subset in task.subsets for role, prompt in subset.prompts.items()}
        rows.append(
            (task.task, *(_quoted(prompts[role]) if role in prompts else "" for role in ("query", "document", "both")))
        )
    return Table(title="", header=("task", "query", "document", "both sides"), rows=tuple(rows))


def _comparison_note(comparison: ComparisonReport) -> str:
    return (
        f"First is {comparison.first.name}, second {comparison.second.name}; paired by sample. p is that of a "
        "sign-flip test, then after Holm's correction over the tasks. What could be seen is the smallest difference "
        "that this many samples would have shown in four of five repetitions, at the strictest step of the correction: "
        "a smaller one may well exist. Where the units are experiments, all of this speaks of mteb's random choices on "
        "these texts, not of other texts."
    )


def _comparison_table(comparison: ComparisonReport) -> Table:
    header = (
        "task",
        "first",
        "second",
        "difference",
        "95% interval",
        "pairs",
        "p",
        "p (Holm)",
        "could be seen",
        "better",
    )
    names = {"first": comparison.first.name, "second": comparison.second.name}
    rows = []
    for task in comparison.tasks:
        scores = [f"{task.first:.4f}", f"{task.second:.4f}", f"{task.difference:+.4f}"]
        interval = shown_interval(task.low, task.high, task.num_samples, form="+.4f")
        tests = [f"{task.num_samples:,}", shown_p(task.p_value), shown_p(task.p_corrected), f"{task.smallest_seen:.4f}"]
        rows.append((task.task, *scores, interval, *tests, names.get(task.verdict, task.verdict)))
    return Table(title="", header=header, rows=tuple(rows))


def _scores_picture(reports: Sequence[EvaluationResult]) -> Picture:
    """Scores with their intervals, a row a task, a colour a model."""
    scores = {
        name: [task.score for report in reports for task in report.tasks if task.task == name]
        for name in (task.task for task in reports[0].tasks)
    }
    rows = [Row(name, [line_of(score) for score in own]) for name, own in scores.items()]
    title = "Scores with 95% intervals"
    legend = [report.model.name for report in reports]
    return Picture(title, draw_intervals(title, rows, 0.0, 1.0, legend=legend), "scores")


def _differences_picture(comparison: ComparisonReport) -> Picture:
    """Differences with their intervals, a row a task."""
    scores = [Score(value=task.difference, low=task.low, high=task.high) for task in comparison.tasks]
    rows = [Row(task.task, [line_of(score)]) for task, score in zip(comparison.tasks, scores, strict=True)]
    reach = max(0.001, *(1.1 * abs(end) for score in scores for end in line_of(score)))
    title = f"{comparison.first.name} minus {comparison.second.name}, with 95% intervals"
    return Picture(title, draw_intervals(title, rows, -reach, reach), "differences")


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else "none"
