"""Reports as pages: Markdown for repositories, one HTML file without scripts or fetched parts for readers."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from slimvec.evaluation.comparing import ComparisonReport, TaskComparison
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.plots import interval_plot
from slimvec.evaluation.report import EvaluationReport, TaskReport
from slimvec.files import atomic_folder

Rows = list[list[str]]
_STEPS = tuple(digit * 10.0**power for power in range(-4, 1) for digit in (1, 2, 5))
"""Sizes of a scale's steps."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid #888; }
th:first-child, td:first-child { text-align: left; }
td.text { text-align: left; white-space: pre-wrap; max-width: 44rem; font: 13px ui-monospace, monospace; }
p.note { color: #555; max-width: 60rem; } svg { display: block; }
"""


def write_reports(
    folder: str | Path, reports: Sequence[EvaluationReport], comparison: ComparisonReport | None, *, force: bool = False
) -> None:
    """Write reports as a folder: `report.html`, `report.md`, and as JSON all that stands behind them.

    The JSON files are `report.json`, and for a second model `against.json` and `comparison.json`.

    Args:
        folder: Must not exist, or `force`.
        reports: Of one model, or of two.
        comparison: Of the two.
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
        (staged / "report.md").write_text(markdown(reports, comparison), encoding="utf-8")
        (staged / "report.html").write_text(html(reports, comparison), encoding="utf-8")


def markdown(reports: Sequence[EvaluationReport], comparison: ComparisonReport | None = None) -> str:
    """Lay out reports as Markdown."""
    parts = [f"# {_title(reports)}"]
    for title, note, rows in _sections(reports, comparison):
        parts.append(f"## {title}")
        parts += [note] if note else []
        cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
        lines = [cells[0], ["---", *["---:"] * (len(cells[0]) - 1)], *cells[1:]]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in lines))
    return "\n\n".join(parts) + "\n"


def html(reports: Sequence[EvaluationReport], comparison: ComparisonReport | None = None) -> str:
    """Lay out reports as one HTML page."""
    title = escape(_title(reports))
    parts = [f"<h1>{title}</h1>", _scores_plot(reports)]
    if comparison is not None:
        parts.append(_differences_plot(comparison))
    for heading, note, rows in _sections(reports, comparison):
        parts.append(f"<h2>{escape(heading)}</h2>")
        parts += [f'<p class="note">{escape(note)}</p>'] if note else []
        parts.append(_html_table(rows, text=heading.startswith(("Model", "Prompts"))))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    lines = ["<!doctype html>", f'<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>']
    return "\n".join([*lines, *parts, "</body></html>"]) + "\n"


def _title(reports: Sequence[EvaluationReport]) -> str:
    return f"{' against '.join(report.model.name for report in reports)}: suite {reports[0].suite}"


def _sections(reports: Sequence[EvaluationReport], comparison: ComparisonReport | None) -> list[tuple[str, str, Rows]]:
    """Headings, notes and tables, for both forms of page."""
    sections = []
    if comparison is not None:
        sections.append(("Comparison", _comparison_note(comparison), _comparison_rows(comparison)))
    for report in reports:
        sections.append((f"Scores of {report.model.name}", _scores_note(report), _score_rows(report)))
        several = [task for task in report.tasks if len(task.subsets) > 1]
        if several:
            sections.append((f"Subsets of {report.model.name}", "", _subset_rows(several)))
        sections.append((f"Prompts of {report.model.name}", "As written in front of the texts.", _prompt_rows(report)))
        sections.append((f"Model {report.model.name}", "", _model_rows(report.model)))
    first = reports[0]
    settings = {
        "seed of the bootstrap": str(first.seed),
        "resamples": f"{first.num_resamples:,}",
        "seed of mteb's sampling": str(first.task_seed),
        **first.versions,
    }
    sections.append(
        ("Settings and versions", "", [["what", "value"], *[[key, value] for key, value in settings.items()]])
    )
    return sections


def _scores_note(report: EvaluationReport) -> str:
    kinds = ", ".join(f"{kind} {value:.3f}" for kind, value in report.mean_by_kind.items())
    return (
        f"Mean over tasks {report.mean:.3f} ({kinds}). Intervals of 95%, by bootstrap over the units named; "
        "pseudo-values are the jackknife's, for measures that are no plain means; an interval over experiments says "
        "how much the score depends on mteb's random choices, not on the texts."
    )


def _score_rows(report: EvaluationReport) -> Rows:
    header = ["task", "type", "protocol", "measure", "score", "95% interval", "units", "method", "cut off", "seconds"]
    rows = []
    for task in report.tasks:
        drawn = f"{task.num_samples:,} {task.unit}"
        cells = [task.task, task.kind, task.protocol or "mteb's defaults", task.measure, f"{task.score.value:.4f}"]
        interval = f"{task.score.low:.4f} to {task.score.high:.4f}"
        rows.append([*cells, interval, drawn, task.method, _share(task.truncated_share), f"{task.seconds:.0f}"])
    return [header, *rows]


def _subset_rows(tasks: Sequence[TaskReport]) -> Rows:
    header = ["task", "subset", "score", "95% interval", "units", "texts", "tokens", "cut off"]
    rows = []
    for task in tasks:
        for part in task.subsets:
            interval = f"{part.score.low:.4f} to {part.score.high:.4f}"
            counts = [f"{len(part.values):,}", f"{part.num_texts:,}", f"{part.num_tokens:,}"]
            cells = [task.task, part.subset, f"{part.score.value:.4f}", interval, *counts, _share(part.truncated_share)]
            rows.append(cells)
    return [header, *rows]


def _prompt_rows(report: EvaluationReport) -> Rows:
    rows = []
    for task in report.tasks:
        prompts = {role: prompt for subset in task.subsets for role, prompt in subset.prompts.items()}
        rows.append(
            [task.task, *(_quoted(prompts[role]) if role in prompts else "" for role in ("query", "document", "both"))]
        )
    return [["task", "query", "document", "both sides"], *rows]


def _model_rows(card: ModelCard) -> Rows:
    known = {key: value for key, value in card.model_dump().items() if key != "prompts" and value not in (None, "")}
    return [["what", "value"], *[[key.replace("_", " "), str(value)] for key, value in known.items()]]


def _comparison_note(comparison: ComparisonReport) -> str:
    return (
        f"First is {comparison.first.name}, second {comparison.second.name}; paired by sample. p is that of a "
        "sign-flip test, then after Holm's correction over the tasks. What could be seen is the smallest difference "
        "that this many samples would have shown in four of five repetitions, at the strictest step of the correction: "
        "a smaller one may well exist. Where the units are experiments, all of this speaks of mteb's random choices on "
        "these texts, not of other texts."
    )


def _comparison_rows(comparison: ComparisonReport) -> Rows:
    header = [
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
    ]
    names = {"first": comparison.first.name, "second": comparison.second.name}
    rows = []
    for task in comparison.tasks:
        scores = [f"{task.first:.4f}", f"{task.second:.4f}", f"{task.difference:+.4f}"]
        interval = f"{task.low:+.4f} to {task.high:+.4f}"
        tests = [f"{task.num_samples:,}", f"{task.p_value:.4f}", f"{task.p_corrected:.4f}", f"{task.smallest_seen:.4f}"]
        rows.append([task.task, *scores, interval, *tests, names.get(task.verdict, task.verdict)])
    return [header, *rows]


def _scores_plot(reports: Sequence[EvaluationReport]) -> str:
    """Scores with their intervals, a row a task, a colour a model."""
    rows = [
        (
            task.task,
            [
                (found.score.low, found.score.value, found.score.high)
                for report in reports
                for found in report.tasks
                if found.task == task.task
            ],
        )
        for task in reports[0].tasks
    ]
    legend = [report.model.name for report in reports]
    return interval_plot(rows, 0.0, 1.0, [0, 0.25, 0.5, 0.75, 1], legend)


def _differences_plot(comparison: ComparisonReport) -> str:
    """Differences with their intervals, a row a task."""
    reach = max(0.001, *(1.1 * max(abs(task.low), abs(task.high)) for task in comparison.tasks))
    rows = [(task.task, [_bar(task)]) for task in comparison.tasks]
    step = max(size for size in _STEPS if size <= reach / 2)
    ticks = [step * number for number in range(-int(reach / step), int(reach / step) + 1)]
    return interval_plot(rows, -reach, reach, ticks, [f"{comparison.first.name} minus {comparison.second.name}"])


def _bar(task: TaskComparison) -> tuple[float, float, float]:
    return task.low, task.difference, task.high


def _html_table(rows: Rows, *, text: bool) -> str:
    kind = ' class="text"' if text else ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    lines = []
    for row in rows[1:]:
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for cell in row[1:])
        lines.append(f"<tr><td>{escape(row[0])}</td>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else "none"
