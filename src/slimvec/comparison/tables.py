"""Tables of a study's report: rows of cells, the header first, as Markdown and as HTML."""

from collections.abc import Sequence
from html import escape

Cells = Sequence[Sequence[str]]


def markdown_table(cells: Cells) -> str:
    """Write a table as Markdown; a bar within a cell becomes a slash."""
    header, *rows = cells
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def html_table(cells: Cells, *, classes: Sequence[str] = ()) -> str:
    """Write a table as HTML.

    Args:
        cells: Of the table.
        classes: Of its rows, one for each behind the header; default none.
    """
    header, *rows = cells
    opened = [f'<tr class="{escape(name)}">' for name in classes] or ["<tr>"] * len(rows)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        start + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for start, row in zip(opened, rows, strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
