"""Intervals in rows, one below the other: scores by task, differences by variant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slimvec.reports.marks import CHARACTER, COLOURS, Scale, figure, line, marks, picture, text

_LINE, _SPAN, _BESIDE = 24, 560, 9  # height of a row, width of the scale, between the bars of a row
_FOOT = 24


@dataclass(frozen=True)
class Row:
    """A row of the picture.

    Attributes:
        label: In front of it.
        bars: Lower end, value and upper end, one for each name of the legend.
        note: Behind it.
        colour: Colour of bars and note; default those of the legend.
    """

    label: str
    bars: Sequence[tuple[float, float, float]]
    note: str = ""
    colour: str = ""


def draw_intervals(title: str, rows: Sequence[Row], low: float, high: float, *, legend: Sequence[str] = ()) -> str:
    """Draw intervals, as SVG.

    Args:
        title: What is seen, for those who do not see it.
        rows: From the top.
        low: Left edge.
        high: Right edge; a value that is outside is an arrow at the edge.
        legend: Names of the bars of a row, six at most.
    """
    left = 20 + CHARACTER * max((len(row.label) for row in rows), default=0)
    top = 28.0 if legend else 8.0
    bottom = top + _LINE * len(rows)
    scale = Scale(low, high, left, left + _SPAN)
    width = left + _SPAN + 24 + CHARACTER * max((len(row.note) for row in rows), default=0)
    parts = [*_names(legend, left), *_grid(scale, top, bottom)]
    for number, row in enumerate(rows):
        parts += _row(row, scale, top + _LINE * (number + 0.5))
    return picture(width, bottom + _FOOT, title, parts)


def _names(legend: Sequence[str], x: float) -> Iterator[str]:
    for number, name in enumerate(legend):
        yield _dot(x + 4, 12, COLOURS[number])
        yield text(x + 14, 16, name, "start")
        x += 40 + CHARACTER * len(name)


def _grid(scale: Scale, top: float, bottom: float) -> Iterator[str]:
    for value in marks(scale.low, scale.high):
        x = scale.place(value)
        yield line(x, top, x, bottom, "#ddd" if value else "#999")
        yield text(x, bottom + 18, figure(value), colour="#555")


def _row(row: Row, scale: Scale, middle: float) -> Iterator[str]:
    yield text(scale.start - 10, middle + 4, row.label, "end")
    for number, (low, value, high) in enumerate(row.bars):
        y = middle + (number - (len(row.bars) - 1) / 2) * _BESIDE
        colour = row.colour or COLOURS[number]
        start, place, end = (min(max(scale.place(x), scale.start), scale.end) for x in (low, value, high))
        yield line(start, y, end, y, colour, width=2)
        outside = value < scale.low or value > scale.high
        yield _arrow(place, y, colour, 1 if value > scale.high else -1) if outside else _dot(place, y, colour)
    yield text(scale.end + 14, middle + 4, row.note, "start", row.colour or "#222")


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def _arrow(x: float, y: float, colour: str, side: int) -> str:
    """Draw an arrow that points out of the scale."""
    return f'<path d="M{x + 6 * side:.1f} {y:.1f} l{-12 * side} -5 v10 z" fill="{colour}"/>'
