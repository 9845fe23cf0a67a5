"""Plots of results as SVG: no script, nothing fetched, curves distinguished by shape and dash as well as by colour.

One model's plot, or those of two in one frame: the second model's curves have the same colours and shapes as the
first's, hollow and dashed. What a model without the property would have is pale.

Not matplotlib: its import takes one to three seconds and a plot of this kind a fifth of one, where a whole report's
plots are drawn in less than a tenth of a second here; its SVG names no point that is pointed at, and is half as large
again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slimvec.reports.marks import (
    CHARACTER,
    COLOURS,
    PALE,
    Scale,
    Style,
    figure,
    line,
    log_marks,
    marker,
    marks,
    picture,
    span,
    text,
)
from slimvec.reports.parts import Curve, Plot

_MARKER, _LINE = 6.0, 13.0  # half a marker with some air around it; height of a name
_DOWN = (-_LINE / 2, -1.5 * _LINE, _LINE / 2)
"""From the point's middle to the name's top: on its line, above it, below it."""
_WIDTH, _HEIGHT = 760, 300
_LEFT, _RIGHT = 70, 24
_LEGEND_LINE = 20
_LONGEST_LABEL = 30
_MOST_MARKED = 25
"""Points of a line up to which each has a marker."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Say whether the two have a part in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def holds(self, other: "Box") -> bool:
        """Say whether the other lies within."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom


def place_names(points: Sequence[tuple[float, float]], widths: Sequence[float], frame: Box) -> list[Box | None]:
    """Find a place for each point's name: right of it or left, or so above or below, the first that is free.

    Args:
        points: Middles of the markers, in pixels.
        widths: Widths of the names.
        frame: What no name may leave.

    Returns:
        The box of each name; None where it would lie over a marker or another name wherever it stood.
    """
    taken = [Box(x - _MARKER, y - _MARKER, x + _MARKER, y + _MARKER) for x, y in points]
    found: list[Box | None] = []
    for (x, y), width in zip(points, widths, strict=True):
        free = (
            box for box in _around(x, y, width) if frame.holds(box) and not any(box.meets(other) for other in taken)
        )
        place = next(free, None)
        found.append(place)
        if place is not None:
            taken.append(place)
    return found


def _around(x: float, y: float, width: float) -> list[Box]:
    """List where a name may stand: beside the point, where its whisker is not."""
    sides = (x + _MARKER, x - _MARKER - width)
    return [Box(left, y + down, left + width, y + down + _LINE) for down in _DOWN for left in sides]


@dataclass(frozen=True)
class _Drawn:
    """A curve with the way it is drawn."""

    curve: Curve
    label: str
    style: Style


def draw(plot: Plot, other: Plot | None = None, *, names: Sequence[str] = ("", "")) -> str:
    """Draw a plot.

    Args:
        plot: Plot of a model.
        other: The same of a second model, with the same categories.
        names: Names of the two models; written before their curves where there are two.
    """
    drawn = _styled(plot, other, names)
    return _Frame(plot, drawn).svg()


def _styled(plot: Plot, other: Plot | None, names: Sequence[str]) -> list[_Drawn]:
    """Give each curve its style; baselines first, as they lie below. A baseline that both models have is drawn once."""
    found: list[_Drawn] = []
    shared = [curve for curve in plot.curves if other and curve.baseline and curve in other.curves]
    for second, curves in enumerate((plot.curves, other.curves if other else ())):
        own = [curve for curve in curves if not curve.baseline]
        for curve in curves:
            number = sum(d.curve.baseline for d in found) if curve.baseline else own.index(curve)
            if second and curve in shared:
                continue
            label = f"{names[second]}: {curve.label}" if other and curve not in shared else curve.label
            style = Style(PALE if curve.baseline else COLOURS[number % len(COLOURS)], number, hollow=second == 1)
            found.append(_Drawn(curve, label, style))
    return sorted(found, key=lambda d: not d.curve.baseline)


class _Frame:
    """Axes, marks, legend and curves of one picture.

    Args:
        plot: Says kind, labels and categories.
        drawn: The curves.
    """

    def __init__(self, plot: Plot, drawn: Sequence[_Drawn]) -> None:
        self.plot, self.drawn = plot, drawn
        self.num_side_by_side = max(1, sum(not d.curve.baseline for d in drawn))
        slots = len(plot.categories) * (4 + 8 * self.num_side_by_side)
        self.width = max(_WIDTH, _LEFT + _RIGHT + slots) if plot.kind == "dots" else _WIDTH
        self.legend = self._legend_rows()
        self.top = 12 + _LEGEND_LINE * len(self.legend)
        self.bottom = self.top + _HEIGHT
        values = [y for d in drawn for ys in (d.curve.ys, d.curve.lows, d.curve.highs) for y in ys]
        self.y = Scale(*span(values or [0.0]), self.bottom, self.top)
        self.x = self._horizontal()

    def svg(self) -> str:
        """Give the picture."""
        labels, depth = self._category_labels() if self.plot.kind == "dots" else (self._number_labels(), 22.0)
        height = self.bottom + depth + 26
        centre = (_LEFT + self.width - _RIGHT) / 2
        parts = [
            *self._grid(),
            *labels,
            text(centre, height - 8, self.plot.x_label, colour="#333"),
            self._vertical_name(),
            *(part for d in self.drawn for part in self._curve(d)),
            *self._names(),
            *self._legend(),
        ]
        return picture(self.width, height, self.plot.title, parts)

    def _horizontal(self) -> Scale:
        """Choose the horizontal axis."""
        start, end = _LEFT + 14.0, self.width - _RIGHT - 14.0
        if self.plot.kind == "dots":
            half = (end - start) / (2 * max(1, len(self.plot.categories)))
            return Scale(0, max(1, len(self.plot.categories) - 1), start + half, end - half)
        xs = [x for d in self.drawn for x in d.curve.xs] or [0.0]
        low, high = min(xs), max(xs)
        if low == high:
            low, high = (low / 2, high * 2) if self.plot.x_log else (low - 0.5, high + 0.5)
        return Scale(low, high, start, end, log=self.plot.x_log)

    def _grid(self) -> list[str]:
        """Draw the horizontal lines with their numbers, and the frame's foot."""
        parts = []
        for value in marks(self.y.low, self.y.high):
            y = self.y.place(value)
            colour = "#999" if value == 0 else "#e4e4e4"
            parts += [
                line(_LEFT, y, self.width - _RIGHT, y, colour),
                text(_LEFT - 8, y + 4, figure(value), "end", "#555"),
            ]
        return [*parts, line(_LEFT, self.bottom, self.width - _RIGHT, self.bottom, "#777")]

    def _number_labels(self) -> list[str]:
        """Mark the horizontal axis with numbers."""
        xs = [x for d in self.drawn for x in d.curve.xs]
        places = log_marks(xs) if self.x.log and xs else marks(self.x.low, self.x.high, most=9)
        parts = []
        for value in places:
            x = self.x.place(value)
            parts += [line(x, self.bottom, x, self.bottom + 4, "#777"), text(x, self.bottom + 18, figure(value))]
        return parts

    def _category_labels(self) -> tuple[list[str], float]:
        """Name the categories, at a slant where they are too long to stand side by side; with the depth they take."""
        names = [_shortened(name) for name in self.plot.categories]
        room = self._slot() - 6
        longest = max((len(name) for name in names), default=0) * CHARACTER
        angle = 0 if longest <= room else 35 if room >= 34 else 90
        parts = []
        for number, name in enumerate(names):
            x = self._category_place(number)
            if not angle:
                parts.append(text(x, self.bottom + 18, name))
                continue
            shift = 4 if angle == 90 else 2
            turn = f'transform="rotate(-{angle} {x + shift:.1f} {self.bottom + 14:.1f})"'
            parts.append(text(x + shift, self.bottom + 14, name, "end", more=turn))
        return parts, 22 + longest * math.sin(math.radians(angle))

    def _slot(self) -> float:
        """Pixels of a category."""
        return (self.width - _RIGHT - _LEFT - 28) / max(1, len(self.plot.categories))

    def _category_place(self, number: float) -> float:
        """Middle of a category's slot."""
        return _LEFT + 14 + self._slot() * (number + 0.5)

    def _vertical_name(self) -> str:
        """Write the vertical axis's name along it."""
        y = (self.top + self.bottom) / 2
        return text(16, y, self.plot.y_label, colour="#333", more=f'transform="rotate(-90 16 {y:.1f})"')

    def _curve(self, d: _Drawn) -> list[str]:
        """Draw a curve as its kind asks."""
        if self.plot.kind == "dots":
            return self._bars(d) if d.curve.baseline else self._dots(d)
        return self._points(d) if self.plot.kind == "points" else self._lines(d)

    def _dots(self, d: _Drawn) -> list[str]:
        """Values with whiskers, beside those of the other curves in each category."""
        order = [other for other in self.drawn if not other.curve.baseline].index(d)
        step = min(11.0, self._slot() / (self.num_side_by_side + 1))
        shift = (order - (self.num_side_by_side - 1) / 2) * step
        parts = []
        for number, (category, value) in enumerate(zip(d.curve.xs, d.curve.ys, strict=True)):
            x, hint = self._category_place(category) + shift, self._hint(d, number)
            parts += self._whisker(d, number, x, width=2)
            parts.append(marker(d.style, x, self.y.place(value), hint=hint))
        return parts

    def _whisker(self, d: _Drawn, number: int, x: float, *, width: int) -> list[str]:
        """The interval of a value as a line; nothing where there is none."""
        if not d.curve.lows:
            return []
        foot, top = self.y.place(d.curve.lows[number]), self.y.place(d.curve.highs[number])
        return [line(x, foot, x, top, d.style.colour, width=width)]

    def _bars(self, d: _Drawn) -> list[str]:
        """Baselines by category: a pale bar over the slot, with its interval as a field."""
        half, parts = 0.42 * self._slot(), []
        for number, (category, value) in enumerate(zip(d.curve.xs, d.curve.ys, strict=True)):
            x, y = self._category_place(category), self.y.place(value)
            if d.curve.lows:
                top, foot = self.y.place(d.curve.highs[number]), self.y.place(d.curve.lows[number])
                size = f'x="{x - half:.1f}" y="{top:.1f}" width="{2 * half:.1f}" height="{max(foot - top, 0.5):.1f}"'
                parts.append(f'<rect {size} fill="{PALE}" fill-opacity="0.25"/>')
            parts.append(line(x - half, y, x + half, y, d.style.colour, width=2, dash=d.style.dash))
        return parts

    def _lines(self, d: _Drawn) -> list[str]:
        """A line with a field for its interval."""
        xs = [self.x.place(x) for x in d.curve.xs]
        parts = []
        if d.curve.lows:
            upper = _path(xs, [self.y.place(y) for y in d.curve.highs])
            lower = _path(xs[::-1], [self.y.place(y) for y in d.curve.lows[::-1]])
            parts.append(f'<polygon points="{upper} {lower}" fill="{d.style.colour}" fill-opacity="0.14"/>')
        ys = [self.y.place(y) for y in d.curve.ys]
        look = f'fill="none" stroke="{d.style.colour}" stroke-width="2" stroke-dasharray="{d.style.dash}"'
        parts.append(f'<polyline points="{_path(xs, ys)}" {look}/>')
        if len(xs) <= _MOST_MARKED and not d.curve.baseline:
            parts += [marker(d.style, x, y, hint=self._hint(d, n)) for n, (x, y) in enumerate(zip(xs, ys, strict=True))]
        return parts

    def _points(self, d: _Drawn) -> list[str]:
        """Single points with whiskers, see-through where they are many; a baseline is a line."""
        if d.curve.baseline:
            return self._lines(d)
        places = [(self.x.place(x), self.y.place(y)) for x, y in zip(d.curve.xs, d.curve.ys, strict=True)]
        parts = [line for n, (x, _) in enumerate(places) for line in self._whisker(d, n, x, width=1)]
        parts += [marker(d.style, x, y, size=3, hint=self._hint(d, n)) for n, (x, y) in enumerate(places)]
        return ['<g opacity="0.75">', *parts, "</g>"]

    def _names(self) -> list[str]:
        """Names beside single points, as many as there is room for: the legend has them all."""
        single = [d for d in self.drawn if not d.curve.baseline]
        if self.plot.kind != "points" or any(len(d.curve.xs) != 1 for d in single):
            return []
        points = [(self.x.place(d.curve.xs[0]), self.y.place(d.curve.ys[0])) for d in single]
        frame = Box(_LEFT, self.top, self.width, self.bottom)
        boxes = place_names(points, [CHARACTER * len(d.label) for d in single], frame)
        parts = []
        for d, (x, _), box in zip(single, points, boxes, strict=True):
            if box is not None:
                end, anchor = (box.left, "start") if box.left > x else (box.right, "end")
                parts.append(text(end, box.bottom - 3, d.label, anchor, d.style.colour))
        return parts

    def _hint(self, d: _Drawn, number: int) -> str:
        """Say what a point is, for a browser to show when it is pointed at."""
        x, value = d.curve.xs[number], figure(d.curve.ys[number])
        place = self.plot.categories[round(x)] if self.plot.kind == "dots" else figure(x)
        ends = f" [{figure(d.curve.lows[number])}, {figure(d.curve.highs[number])}]" if d.curve.lows else ""
        return f"{d.label}, {place}: {value}{ends}"

    def _legend_rows(self) -> list[list[_Drawn]]:
        """Break the legend into rows that fit."""
        rows: list[list[_Drawn]] = []
        left = 0.0
        for d in self.drawn:
            if not rows or left < _legend_width(d):
                rows.append([])
                left = _WIDTH - _LEFT - _RIGHT
            rows[-1].append(d)
            left -= _legend_width(d)
        return rows

    def _legend(self) -> list[str]:
        """Draw the legend above the frame."""
        parts = []
        for row, entries in enumerate(self.legend):
            x, y = float(_LEFT), 12 + _LEGEND_LINE * row
            for d in entries:
                if self.plot.kind == "lines" or d.curve.baseline:
                    parts.append(line(x, y, x + 24, y, d.style.colour, width=2, dash=d.style.dash))
                if not d.curve.baseline:
                    parts.append(marker(d.style, x + 12, y))
                parts.append(text(x + 30, y + 4, d.label, "start"))
                x += _legend_width(d)
        return parts


def _legend_width(d: _Drawn) -> float:
    return 50 + CHARACTER * len(d.label)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _path(xs: Sequence[float], ys: Sequence[float]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
