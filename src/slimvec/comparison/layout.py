"""A study's report as Markdown, and as a page with a plot that needs nothing but a browser."""

from html import escape

from slimvec.comparison.report import Row, StudyReport

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left }
.better { color: #0a6b2d } .worse { color: #a11 } .muted { color: #666 }
svg { max-width: 100%; height: auto }
"""
_COLOURS = {"better": "#0a6b2d", "worse": "#aa1111", "not distinguishable": "#777777", "reference": "#777777"}
_LINE, _WIDTH, _LABEL = 26, 860, 250


def markdown(report: StudyReport) -> str:
    """Lay the report out as Markdown."""
    study = report.study
    parts = [f"# {study.name}", study.question, _summary(report), _table(report)]
    notes = [f"- **{row.variant}**: {row.note}" for row in report.rows if row.note]
    if notes:
        parts += ["What the variants are:", "\n".join(notes)]
    parts += ["Limits:", "\n".join(f"- {limit}" for limit in _limits(report))]
    return "\n\n".join(parts) + "\n"


def page(report: StudyReport) -> str:
    """Lay the report out as an HTML page."""
    study = report.study
    header, *rows = _cells(report)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f'<tr class="{row.verdict.split()[0]}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for row, cells in zip(report.rows, rows, strict=True)
    )
    notes = "".join(f"<li><b>{escape(row.variant)}</b>: {escape(row.note)}</li>" for row in report.rows if row.note)
    limits = "".join(f"<li>{escape(limit)}</li>" for limit in _limits(report))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(study.name)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(study.name)}</h1><p>{escape(study.question)}</p>"
        f"<p>{escape(_summary(report))}</p>{forest_plot(report)}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        + (f"<h2>Variants</h2><ul>{notes}</ul>" if notes else "")
        + f"<h2>Limits</h2><ul>{limits}</ul></body></html>\n"
    )


def forest_plot(report: StudyReport) -> str:
    """Draw each variant's difference from the reference with its interval, as SVG."""
    rows = [(row, row.effect.difference) for row in report.rows if row.effect is not None]
    most = max([0.001, *(max(abs(score.low), abs(score.high)) for _, score in rows)]) * 1.1
    middle, half = _LABEL + (_WIDTH - _LABEL - 70) / 2, (_WIDTH - _LABEL - 70) / 2
    height = _LINE * (len(rows) + 2)
    parts = [f'<line x1="{middle}" y1="0" x2="{middle}" y2="{height - _LINE}" stroke="#999" stroke-dasharray="3 3"/>']
    for number, (row, score) in enumerate(rows):
        y = _LINE * number + _LINE / 2
        low, value, high = (middle + half * x / most for x in (score.low, score.value, score.high))
        colour = _COLOURS[row.verdict]
        parts += [
            f'<text x="{_LABEL - 10}" y="{y + 5}" text-anchor="end">{escape(row.variant)}</text>',
            f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}" stroke="{colour}" stroke-width="2"/>',
            f'<circle cx="{value:.1f}" cy="{y}" r="5" fill="{colour}"/>',
            f'<text x="{_WIDTH - 60}" y="{y + 5}" fill="{colour}">{score.value:+.3f}</text>',
        ]
    for mark in (-most / 1.1, 0.0, most / 1.1):
        x, y = middle + half * mark / most, height - _LINE / 2
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle" fill="#666">{mark:+.3f}</text>')
    caption = f"difference in {report.metric} from {report.study.reference}, with 95% intervals"
    parts.append(f'<text x="{middle}" y="{height + 8}" text-anchor="middle" fill="#666">{escape(caption)}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height + 16}" width="{_WIDTH}" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'font-family="system-ui, sans-serif" font-size="14" aria-label="{escape(caption)}">{"".join(parts)}</svg>'
    )


def _summary(report: StudyReport) -> str:
    """Say what was run."""
    study = report.study
    sets = ", ".join(
        f"{name} ({queries:,} queries, {docs:,} documents)" for name, (queries, docs) in report.sets.items()
    )
    missing = f" {report.num_missing} runs are still missing." if report.num_missing else ""
    return (
        f"{len(report.rows)} variants, seeds {', '.join(map(str, study.seeds))}; {report.metric} on {sets}. "
        f"Differences are from {study.reference}, paired by query and seed; p is a sign-flip test, corrected by Holm."
        f"{missing}"
    )


def _table(report: StudyReport) -> str:
    header, *rows = _cells(report)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _cells(report: StudyReport) -> list[list[str]]:
    header = ["variant", *report.sets, "mean", "difference", "p (Holm)", "would have seen", "finding"]
    return [header, *(_row_cells(report, row) for row in report.rows)]


def _row_cells(report: StudyReport, row: Row) -> list[str]:
    effect = row.effect
    found = ["", "", ""]
    if effect is not None:
        score = effect.difference
        found = [
            f"{score.value:+.3f} [{score.low:+.3f}, {score.high:+.3f}]",
            f"{effect.p_holm:.3f}",
            f"{effect.detectable:.3f}",
        ]
    return [row.variant, *(f"{row.by_set[name]:.3f}" for name in report.sets), f"{row.mean:.3f}", *found, row.verdict]


def _limits(report: StudyReport) -> list[str]:
    """List the study's own limits, then those every study of this kind has."""
    num_runs = min(len(row.seeds) for row in report.rows)
    own = list(report.study.limits)
    if num_runs < 3:
        own.append(f"{num_runs} run(s) of a variant say little about how much trainings differ by chance.")
    return own
