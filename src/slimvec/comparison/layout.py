"""A study's report as Markdown and as a page, with the same pictures in both."""

from pathlib import Path

from slimvec.comparison.forest import forest_plot
from slimvec.comparison.probe_layout import probe_blocks
from slimvec.comparison.study_report import Row, StudyReport
from slimvec.comparison.sweep_layout import sweep_blocks
from slimvec.evaluation.results import Score
from slimvec.files import atomic_folder, write_text
from slimvec.reports.blocks import (
    PLOTS,
    Block,
    Heading,
    Items,
    Paragraph,
    Picture,
    to_html,
    to_markdown,
    write_pictures,
)
from slimvec.reports.parts import Table
from slimvec.reports.shown import shown_p
from slimvec.statistics.intervals import MIN_UNITS
from slimvec.statistics.trainings import MIN_TRAININGS


def write_report(folder: Path, report: StudyReport) -> None:
    """Write `report.html`, `report.md` with its pictures in `plots`, and `report.json`, each whole or not at all.

    Raises:
        StorageError: one cannot be written.
    """
    blocks = report_blocks(report)
    texts = {
        "json": report.model_dump_json(indent=1) + "\n",
        "md": to_markdown(blocks),
        "html": to_html(report.study.name, blocks),
    }
    with atomic_folder(folder / PLOTS, force=True) as plots:
        write_pictures(plots, blocks)
    for suffix, text in texts.items():
        write_text(folder / f"report.{suffix}", text, force=True)


def markdown(report: StudyReport) -> str:
    """Lay the report out as Markdown without pictures, for a terminal."""
    return to_markdown([block for block in report_blocks(report) if not isinstance(block, Picture)])


def report_blocks(report: StudyReport) -> list[Block]:
    """Lay the report out."""
    study = report.study
    notes = tuple((row.variant, row.note) for row in report.rows if row.note)
    return [
        Heading(study.name, 1),
        Paragraph(study.question),
        Paragraph(_summary(report)),
        *(Paragraph(warning, "warning") for warning in (*_shared_text(report), *report.warnings)),
        *forest_plot(report),
        _scores(report),
        *_ordering(report),
        *([Table(title="Variants", header=("variant", "what it is"), rows=notes)] if notes else []),
        *sweep_blocks(report),
        *probe_blocks(report),
        Heading("Limits"),
        Items(tuple(_limits(report))),
    ]


def _shared_text(report: StudyReport) -> list[str]:
    """Say what training and evaluation share, where that is anything."""
    shared = report.shared_text
    return [f"{shared.describe()}."] if shared is not None and shared.share else []


def _scores(report: StudyReport) -> Table:
    """Give the table of all variants."""
    found = ("difference", "from", "finding", "p (Holm)", "would have seen")
    seeds = ("by seed",) if report.has_seeds else ()
    header = ("variant", "mean", *found, *seeds, "tokens", "steps", "seconds", *report.sets)
    return Table(title="", header=header, rows=tuple(_row_cells(report, row) for row in report.rows))


def _ordering(report: StudyReport) -> list[Paragraph]:
    """Say how many variants cannot be put in an order."""
    found = report.ordering
    if found is None:
        return []
    judged, close = (
        f"{count} {'is' if count == 1 else 'are'}" for count in (found.num_pairs - found.num_unjudged, found.num_close)
    )
    parts = [f"Of {found.num_pairs} pairs of variants {judged} judged, and {close} too close to order."]
    if found.groups:
        parts.append(f"Not distinguishable: {'; '.join(', '.join(group) for group in found.groups)}.")
    return [Paragraph(" ".join(parts), "note")]


def _row_cells(report: StudyReport, row: Row) -> tuple[str, ...]:
    effect = row.effect
    found = ("", "", row.verdict, "", "")
    if effect is not None:
        score = effect.difference
        found = (
            f"{score.value:+.3f}{_shown_ends(report, score)}",
            effect.against,
            row.verdict,
            "" if effect.p_holm is None else shown_p(effect.p_holm),
            "" if effect.detectable is None else f"{effect.detectable:.3f}",
        )
    seeds = (_by_seed(report, row),) if report.has_seeds else ()
    scores = (f"{row.by_set[name]:.3f}" for name in report.sets)
    return (row.variant, f"{row.mean:.3f}", *found, *seeds, _tokens(row), *_effort(row), *scores)


def _shown_ends(report: StudyReport, score: Score) -> str:
    """Write the interval of a difference, or that the queries are too few for one."""
    if score.low is None or score.high is None:
        return f" (too few queries, {report.num_queries})"
    return f" [{score.low:+.3f}, {score.high:+.3f}]"


def _by_seed(report: StudyReport, row: Row) -> str:
    """Write the score of each training; nothing where there was none."""
    if not report.study.cells[row.variant].trained:
        return ""
    return ", ".join(f"{seed}: {score:.3f}" for seed, score in zip(row.seeds, row.by_seed, strict=True))


def _tokens(row: Row) -> str:
    """Write what a variant was trained on, and its base before it."""
    return f"{row.base_tokens:,} + {row.tokens:,}" if row.base_tokens else f"{row.tokens:,}"


def _effort(row: Row) -> tuple[str, str]:
    """Write how many steps a training had, and its seconds where they are known."""
    return f"{row.steps:,}" if row.steps else "", f"{row.train_seconds:,.0f}" if row.train_seconds else ""


def _summary(report: StudyReport) -> str:
    """Say what was run."""
    study = report.study
    sets = ", ".join(
        f"{name} ({queries:,} queries, {docs:,} documents)" for name, (queries, docs) in report.sets.items()
    )
    seeds = sorted({seed for row in report.trained for seed in row.seeds})
    missing = f" {report.num_missing} runs are still missing." if report.num_missing else ""
    return (
        f"{len(report.rows)} variants, seeds {', '.join(map(str, seeds))}; {report.metric} on {sets}. "
        f"Differences are from {study.reference} where no other variant is named, paired by query and seed. "
        f"{_judgement(report)}{missing}"
    )


def _judgement(report: StudyReport) -> str:
    """Say what the intervals hold and what a verdict rests on."""
    if all(row.effect is None or row.effect.p_holm is None for row in report.rows):
        return "Intervals are over queries alone."
    spread = report.study.training_spread
    given = "" if spread is None else f" (spread {spread.deviation:g} by {spread.seeds} seeds of {spread.source})"
    return (
        f"Intervals of trained variants that are judged are over queries and trainings{given}, the others over "
        f"queries; p is corrected by Holm, and so is what would have been seen."
    )


def _limits(report: StudyReport) -> list[str]:
    """List the study's own limits, then those every study of this kind has."""
    num_runs = min(len(row.seeds) for row in report.trained)
    own = list(report.study.limits)
    if len({row.seeds for row in report.trained}) > 1:
        own.append("Seeds differ between variants: a mean is over a variant's own, a difference over those of both.")
    if report.num_queries < MIN_UNITS:
        own.append(f"{report.num_queries} queries give no interval, and so no verdict; {MIN_UNITS} are the least.")
    if num_runs < MIN_TRAININGS and report.study.training_spread is None:
        own.append(
            f"{num_runs} training(s) of a variant: another seed moves a score, by .002 to .014 in trainings of 24 to "
            f"96 steps, and intervals over queries do not hold that. So there are differences and no verdict."
        )
    return own
