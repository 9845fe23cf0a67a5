"""Names beside the points of a plot, where there is room for them."""

from collections.abc import Sequence
from dataclasses import dataclass

_MARKER, _LINE = 6.0, 13.0  # half a marker with some air around it; height of a name
_DOWN = (-_LINE / 2, -1.5 * _LINE, _LINE / 2)
"""From the point's middle to the name's top: on its line, above it, below it."""


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
