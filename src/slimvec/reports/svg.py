"""Pieces of SVG that all pictures are made of."""

from collections.abc import Iterable

from slimvec.reports.shown import in_html

CHARACTER = 6.7
"""Mean width of a character, in pixels, a little on the safe side."""
_FONT = 'font-family="system-ui, sans-serif" font-size="12"'


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
