"""The plot of a study: each variant's difference with its interval, as SVG that needs nothing else."""

from html import escape

from slimvec.comparison.report import Effect, Row, StudyReport

_COLOURS = {"better": "#0a6b2d", "worse": "#aa1111", "not distinguishable": "#777777"}
_LINE, _WIDTH, _LABEL = 26, 960, 400


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
