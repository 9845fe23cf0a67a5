"""Intervals as SVG, for pages: no script, nothing fetched, and labels that read without colour."""

from collections.abc import Sequence
from html import escape

COLOURS = ("#1f6f8b", "#c8553d")


def interval_plot(
    rows: Sequence[tuple[str, Sequence[tuple[float, float, float]]]],
    low: float,
    high: float,
    ticks: Sequence[float],
    legend: Sequence[str],
) -> str:
    """Draw values with their intervals, a row a label.

    Args:
        rows: Label, and lower end, value and upper end for each entry of the legend.
        low: Left edge.
        high: Right edge; what is outside is drawn at the edge.
        ticks: Where the scale is marked.
        legend: Names, two at most.
    """
    left, width, step = 190, 620, 22
    bottom = 30 + step * len(rows)

    def x(value: float) -> float:
        return left + width * (min(max(value, low), high) - low) / (high - low)

    parts = [f'<svg role="img" width="{left + width + 30}" height="{bottom + 30}" font-size="13">']
    for number, name in enumerate(legend):
        place = left + number * 300
        parts += [_dot(place, 12, number), _text(place + 10, 16, name, "start")]
    for tick in ticks:
        parts += [_line(x(tick), x(tick), 26, bottom, "#ddd"), _text(x(tick), bottom + 18, f"{tick:g}", "middle")]
    for row, (label, bars) in enumerate(rows):
        middle = 30 + step * row + step / 2
        parts.append(_text(left - 12, middle + 4, label, "end"))
        for number, (start, value, end) in enumerate(bars):
            y = middle + (number - (len(bars) - 1) / 2) * 8
            parts += [_line(x(start), x(end), y, y, COLOURS[number], width=2), _dot(x(value), y, number)]
    return "\n".join([*parts, "</svg>"])


def _dot(x: float, y: float, number: int) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLOURS[number]}"/>'


def _line(start: float, end: float, top: float, bottom: float, colour: str, *, width: int = 1) -> str:
    place = f'x1="{start:.1f}" x2="{end:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
