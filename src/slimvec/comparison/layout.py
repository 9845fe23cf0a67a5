"""A study's report as Markdown, and as a page with a plot that needs nothing but a browser."""

from html import escape

from slimvec.comparison.probe_layout import probe_markdown, probe_page
from slimvec.comparison.report import Effect, Row, StudyReport
from slimvec.comparison.sweep_layout import sweep_markdown, sweep_page
from slimvec.comparison.tables import html_table, markdown_table

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
table { display: block; overflow-x: auto }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
td { white-space: nowrap }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left }
.better { color: #0a6b2d } .worse { color: #a11 } .muted { color: #666 }
svg { max-width: 100%; height: auto }
"""
_COLOURS = {"better": "#0a6b2d", "worse": "#aa1111", "not distinguishable": "#777777"}
_LINE, _WIDTH, _LABEL = 26, 1040, 420


def markdown(report: StudyReport) -> str:
    """Lay the report out as Markdown."""
    study = report.study
    parts = [f"# {study.name}", study.question, _summary(report)]
    parts += [f"**{warning}**" for warning in report.warnings]
    parts.append(markdown_table(_cells(report)))
    notes = [f"- **{row.variant}**: {row.note}" for row in report.rows if row.note]
    if notes:
        parts += ["What the variants are:", "\n".join(notes)]
    parts += sweep_markdown(report)
    parts += probe_markdown(report)
    parts += ["Limits:", "\n".join(f"- {limit}" for limit in _limits(report))]
    return "\n\n".join(parts) + "\n"


def page(report: StudyReport) -> str:
    """Lay the report out as an HTML page."""
    study = report.study
    table = html_table(_cells(report), classes=[row.verdict.split()[0] for row in report.rows])
    notes = "".join(f"<li><b>{escape(row.variant)}</b>: {escape(row.note)}</li>" for row in report.rows if row.note)
    limits = "".join(f"<li>{escape(limit)}</li>" for limit in _limits(report))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(study.name)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(study.name)}</h1><p>{escape(study.question)}</p>"
        f"<p>{escape(_summary(report))}</p>"
        + "".join(f'<p class="worse"><b>{escape(warning)}</b></p>' for warning in report.warnings)
        + forest_plot(report)
        + table
        + (f"<h2>Variants</h2><ul>{notes}</ul>" if notes else "")
        + sweep_page(report)
        + probe_page(report)
        + f"<h2>Limits</h2><ul>{limits}</ul></body></html>\n"
    )


def forest_plot(report: StudyReport) -> str:
    """Draw each variant's difference with its interval, as SVG.

    The scale is that of the differences that are small or uncertain; larger ones end in an arrow at the edge.
    """
    effects = [(row, row.effect) for row in report.rows if row.effect is not None]
    bounds = sorted(max(abs(e.difference.low), abs(e.difference.high)) for _, e in effects)
    most = 1.2 * max(0.001, bounds[(3 * len(bounds) - 1) // 4] if bounds else 0.0)
    height = _LINE * (len(effects) + 2)
    centre = _position(0.0, most)
    parts = [f'<line x1="{centre}" y1="0" x2="{centre}" y2="{height - _LINE}" stroke="#999" stroke-dasharray="3 3"/>']
    for number, (row, effect) in enumerate(effects):
        parts += _line(row, effect, _LINE * number + _LINE / 2, most)
    parts += [
        f'<text x="{_position(mark, most):.1f}" y="{height - _LINE / 2}" text-anchor="middle" fill="#666">{mark:+.3f}'
        "</text>"
        for mark in (-most / 1.2, 0.0, most / 1.2)
    ]
    caption = f"difference in {report.metric}, with 95% intervals"
    parts.append(f'<text x="{centre}" y="{height + 8}" text-anchor="middle" fill="#666">{escape(caption)}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height + 16}" width="{_WIDTH}" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'font-family="system-ui, sans-serif" font-size="14" aria-label="{escape(caption)}">{"".join(parts)}</svg>'
    )


def _line(row: Row, effect: Effect, y: float, most: float) -> list[str]:
    """Draw one variant."""
    score, colour = effect.difference, _COLOURS[row.verdict]
    low, value, high = (_position(x, most) for x in (score.low, score.value, score.high))
    if abs(score.value) > most:
        tip = 6 if score.value > 0 else -6
        mark = f'<path d="M{value + tip} {y} l{-2 * tip} -5 v10 z" fill="{colour}"/>'
    else:
        mark = f'<circle cx="{value:.1f}" cy="{y}" r="5" fill="{colour}"/>'
    name = escape(f"{row.variant} against {effect.against}")
    return [
        f'<text x="{_LABEL - 14}" y="{y + 5}" text-anchor="end">{name}</text>',
        f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}" stroke="{colour}" stroke-width="2"/>',
        mark,
        f'<text x="{_WIDTH - 55}" y="{y + 5}" fill="{colour}">{score.value:+.3f}</text>',
    ]


def _position(value: float, most: float) -> float:
    """Place a difference along the line, at the edge where it is beyond it."""
    half = (_WIDTH - _LABEL - 75) / 2
    return _LABEL + half + half * max(-1.0, min(1.0, value / most))


def _summary(report: StudyReport) -> str:
    """Say what was run."""
    study = report.study
    sets = ", ".join(
        f"{name} ({queries:,} queries, {docs:,} documents)" for name, (queries, docs) in report.sets.items()
    )
    seeds = sorted({seed for row in _trained(report) for seed in row.seeds})
    missing = f" {report.num_missing} runs are still missing." if report.num_missing else ""
    return (
        f"{len(report.rows)} variants, seeds {', '.join(map(str, seeds))}; {report.metric} on {sets}. "
        f"Differences are from {study.reference} where no other variant is named, paired by query and seed; p is a "
        f"sign-flip test, corrected by Holm."
        f"{missing}"
    )


def _trained(report: StudyReport) -> list[Row]:
    """Give the rows that a seed makes a difference to; all where none is trained."""
    cells = report.study.cells
    return [row for row in report.rows if cells[row.variant].trained] or list(report.rows)


def _cells(report: StudyReport) -> list[list[str]]:
    header = ["variant", "tokens", *report.sets, "mean", "difference", "from", "p (Holm)", "would have seen", "finding"]
    return [header, *(_row_cells(report, row) for row in report.rows)]


def _row_cells(report: StudyReport, row: Row) -> list[str]:
    effect = row.effect
    found = ["", "", "", ""]
    if effect is not None:
        score = effect.difference
        found = [
            f"{score.value:+.3f} [{score.low:+.3f}, {score.high:+.3f}]",
            effect.against,
            f"{effect.p_holm:.3f}",
            f"{effect.detectable:.3f}",
        ]
    scores = [*(f"{row.by_set[name]:.3f}" for name in report.sets), f"{row.mean:.3f}"]
    return [row.variant, _tokens(row), *scores, *found, row.verdict]


def _tokens(row: Row) -> str:
    """Write what a variant was trained on, and its base before it."""
    own = f"{row.tokens:,}" if row.tokens else "none"
    return f"{row.base_tokens:,} + {own}" if row.base_tokens else own


def _limits(report: StudyReport) -> list[str]:
    """List the study's own limits, then those every study of this kind has."""
    num_runs = min(len(row.seeds) for row in _trained(report))
    own = list(report.study.limits)
    if num_runs < 3:
        own.append(f"{num_runs} run(s) of a variant say little about how much trainings differ by chance.")
    return own
