"""How curves are distinguished: colour, shape of the marker, dash of the line."""

from dataclasses import dataclass

from slimvec.reports.shown import in_html

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
