"""Tables in a terminal; rich is imported when one is laid out."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    title: str | None = None,
    ruled: bool = True,
    styles: Sequence[str] = (),
) -> "Table":
    """Lay out rows of cells.

    Args:
        headings: One a column.
        rows: A cell a column each.
        left: Columns from the first that are set flush left; the others are numbers.
        title: Above it.
        ruled: Draw a line under the headings, and break no cell.
        styles: One a column, as rich has them; none for columns beyond them.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD if ruled else None, pad_edge=not ruled)
    for number, heading in enumerate(headings):
        style = styles[number] if number < len(styles) else ""
        made.add_column(heading, justify="left" if number < left else "right", style=style, no_wrap=ruled)
    for row in rows:
        made.add_row(*row)
    return made
