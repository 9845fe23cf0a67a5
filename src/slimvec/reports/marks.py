"""How curves are distinguished: colour, shape of the marker, dash of the line."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slimvec.reports.shown import in_html

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_LOG_MARKS = 8
CHARACTER = 6.7
"""Mean width of a character, in pixels, a little on the safe side."""
_FONT = 'font-family="system-ui, sans-serif" font-size="12"'
COLOURS = ("#1f6f8b", "#c8553d", "#4f7a28", "#7b4b94", "#a87400", "#333333")
"""Dark enough to be seen on white, and apart in lightness where hues are taken for each other."""
PALE = "#9a9a9a"
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 2", "1 2")
_POLYGONS = (
    (),  # a circle
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.1), (1.1, 0.9), (-1.1, 0.9)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((0, 1.1), (1.1, -0.9), (-1.1, -0.9)),
    ((-1.3, -0.6), (1.3, -0.6), (1.3, 0.6), (-1.3, 0.6)),
)
"""Corners of the markers around their middle, in units of their size."""


@dataclass(frozen=True)
class Scale:
    """A stretch of numbers on a stretch of the page.

    Attributes:
        low: Number at `start`.
        high: Number at `end`; above `low`.
        start: Place of the lowest number, in pixels.
        end: Place of the highest, on either side of `start`.
        log: Equal factors are equally long.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Give the place of a number, in pixels."""
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def span(values: Sequence[float]) -> tuple[float, float]:
    """Choose what a vertical axis shows: shares from 0 to 1 and never beyond, others from 0 on where it is near.

    Args:
        values: All that is drawn, ends of intervals included.
    """
    low, high = min(values), max(values)
    if low >= 0 and high <= 1 and high - low > 0.25:
        return 0.0, 1.0
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    top = min(high + margin, 1.0) if low >= 0 and high <= 1 else high + margin
    return (0.0 if 0 <= low < 0.35 * high else low - margin), top


def marks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Give round numbers to mark an axis with: multiples of 1, 2, 2.5 or 5 times a power of ten.

    Args:
        low: Where the axis begins.
        high: Where it ends; above `low`.
        most: Marks at most.
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(s * power for s in _STEPS if math.floor(high / (s * power)) - math.ceil(low / (s * power)) < most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * number, 12) for number in range(first, last + 1)]


def log_marks(values: Sequence[float]) -> list[float]:
    """Give the marks of an axis in powers: the values themselves where they are few, else powers of two or ten."""
    different = sorted(set(values))
    if len(different) <= _MOST_LOG_MARKS:
        return different
    for base in (2.0, 10.0):
        first, last = (math.log(value, base) for value in (different[0], different[-1]))
        found = [base**power for power in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)]
        if len(found) <= _MOST_LOG_MARKS + 2:
            return found
    return found[:: math.ceil(len(found) / _MOST_LOG_MARKS)]


def figure(value: float) -> str:
    """Write the number of a mark."""
    return f"{value:,.6g}"


def picture(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """Give a whole picture on white, for a page or a file of its own."""
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} {_FONT} aria-label="{in_html(title)}">'
    ground = f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>'
    return "\n".join([head, ground, *parts, "</svg>"])


def line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: int = 1, dash: str = "") -> str:
    """Draw a line between two points."""
    look = f'stroke="{colour}" stroke-width="{width}"' + (f' stroke-dasharray="{dash}"' if dash else "")
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {look}/>'


def text(x: float, y: float, words: str, anchor: str = "middle", colour: str = "#222", more: str = "") -> str:
    """Write words that begin, end or have their middle at a point."""
    look = f'text-anchor="{anchor}" fill="{colour}"' + (f" {more}" if more else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{in_html(words)}</text>'


@dataclass(frozen=True)
class Style:
    """How a curve is drawn.

    Attributes:
        colour: Colour of lines and markers.
        number: Number of the curve in its plot; decides the shape, and the dash beyond the first six. After six curves
            colours come again with other shapes, so that 36 are distinguished.
        hollow: Markers without filling and a dashed line: the second of two models.
    """

    colour: str
    number: int
    hollow: bool = False

    @property
    def dash(self) -> str:
        """Pattern of the line; baselines and second models are dashed."""
        if self.colour == PALE:
            return _DASHES[1 + self.number % (len(_DASHES) - 1)]
        return _DASHES[(self.number // len(COLOURS) + self.hollow) % len(_DASHES)]


def marker(style: Style, x: float, y: float, *, size: float = 4.5, hint: str = "") -> str:
    """Draw the marker of a style.

    Args:
        style: Style of the curve.
        x: Its middle, in pixels.
        y: Likewise.
        size: Half its width, in pixels.
        hint: What a browser shows when it is pointed at.
    """
    look = f'fill="{"#fff" if style.hollow else style.colour}" stroke="{style.colour}" stroke-width="1.5"'
    title = f"<title>{in_html(hint)}</title>" if hint else ""
    corners = _POLYGONS[(style.number + style.number // len(COLOURS)) % len(_POLYGONS)]
    if not corners:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" {look}>{title}</circle>'
    points = " ".join(f"{x + size * right:.1f},{y + size * down:.1f}" for right, down in corners)
    return f'<polygon points="{points}" {look}>{title}</polygon>'
