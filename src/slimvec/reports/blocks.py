"""A report as a list of blocks, written as Markdown or as one HTML page without scripts or fetched parts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slimvec.reports.parts import Table
from slimvec.reports.shown import in_html, in_markdown, markdown_cell, markdown_label, markdown_line

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; max-width: 80rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.25rem; margin-top: 2.6rem; border-bottom: 1px solid #ccc }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem } p { max-width: 50rem; margin: .5rem 0 }
p.note { color: #555; font-size: 14px } p.warning { color: #a11; font-weight: 600 }
p.answer { border-left: 4px solid #1f6f8b; padding-left: .8rem }
div.wide, figure { overflow-x: auto; margin: .6rem 0 } figcaption { font-weight: 600; font-size: 14px }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e2e2e2; text-align: left; vertical-align: top }
th { border-bottom: 2px solid #888; vertical-align: bottom } .number { text-align: right; white-space: nowrap }
summary { cursor: pointer; font-size: 14px; color: #1f6f8b } li { max-width: 50rem }
"""
PLOTS = "plots"
"""Folder of the pictures beside the Markdown that shows them."""
_MARKED = {"answer": "> {}", "warning": "**{}**"}
"""How Markdown marks paragraphs by their kind."""
_NUMBER = re.compile(r"[+\N{MINUS SIGN}-]?\d[\d.,]*%?(\s.*\d.*)?|")
_MOST_ROWS = 24
"""Rows up to which a table is open on the page; of a longer one it is the first half of that."""


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `kind` is `note` for what is said on the side, `answer` for what came out, `warning` for a doubt."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Items:
    """A list."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        title: Above it.
        svg: Itself.
        name: Name of its file, below `plots`.
    """

    title: str
    svg: str
    name: str


Block = Heading | Paragraph | Items | Picture | Table


def write_pages(folder: Path, title: str, blocks: Sequence[Block]) -> None:
    """Write `report.html`, and `report.md` with its pictures in `plots`, into a folder that is being filled."""
    (folder / "report.md").write_text(to_markdown(blocks), encoding="utf-8")
    (folder / "report.html").write_text(to_html(title, blocks), encoding="utf-8")
    (folder / PLOTS).mkdir()
    write_pictures(folder / PLOTS, blocks)


def write_pictures(folder: Path, blocks: Sequence[Block]) -> None:
    """Write the pictures among the blocks into a folder that is being filled."""
    for block in blocks:
        if isinstance(block, Picture):
            (folder / f"{block.name}.svg").write_text(block.svg + "\n", encoding="utf-8")


def to_markdown(blocks: Sequence[Block]) -> str:
    """Write blocks as Markdown."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Write blocks as a page."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{in_html(title)}</title>'
    lines = ["<!doctype html>", f'<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>']
    return "\n".join([*lines, *map(_html, blocks), "</body></html>"]) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {in_markdown(text)}"
        case Paragraph(text, kind):
            return _MARKED.get(kind, "{}").format(markdown_line(text))
        case Items(texts):
            return "\n".join(f"- {markdown_line(text)}" for text in texts)
        case Picture(title, _, name):
            return f"![{markdown_label(title)}]({PLOTS}/{name}.svg)"
        case Table():
            return _markdown_table(block)


def _markdown_table(table: Table) -> str:
    rules = ["---:" if number else "---" for number in _number_columns(table)]
    head, *rows = [[markdown_cell(cell) for cell in row] for row in (table.header, *table.rows)]
    parts = [f"**{in_markdown(table.title)}**"] if table.title else []
    parts.append("\n".join(f"| {' | '.join(row)} |" for row in (head, rules, *rows)))
    return "\n\n".join([*parts, *([markdown_line(table.note)] if table.note else [])])


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{in_html(text)}</h{level}>"
        case Paragraph(text, kind):
            return f'<p class="{kind}">{in_html(text)}</p>' if kind else f"<p>{in_html(text)}</p>"
        case Items(texts):
            return f"<ul>{''.join(f'<li>{in_html(text)}</li>' for text in texts)}</ul>"
        case Picture(title, svg, _):
            return f"<figure><figcaption>{in_html(title)}</figcaption>\n{svg}</figure>"
        case Table():
            return _html_table(block)


def _html_table(table: Table) -> str:
    """A table; a long one is folded up but for its first rows."""
    num_open = len(table.rows) if len(table.rows) <= _MOST_ROWS else _MOST_ROWS // 2
    parts = [f"<h3>{in_html(table.title)}</h3>"] if table.title else []
    parts.append(_html_rows(table, table.rows[:num_open]))
    if num_open < len(table.rows):
        name = f"All {len(table.rows)} rows"
        parts.append(f"<details><summary>{name}</summary>{_html_rows(table, table.rows)}</details>")
    return "".join([*parts, f'<p class="note">{in_html(table.note)}</p>' if table.note else ""])


def _html_rows(table: Table, rows: Sequence[Sequence[str]]) -> str:
    """Some rows of a table, under its header."""
    kinds = [' class="number"' if number else "" for number in _number_columns(table)]
    head = "".join(f"<th{kind}>{in_html(cell)}</th>" for kind, cell in zip(kinds, table.header, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{kind}>{in_html(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    ]
    grid = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n'
    return grid + "\n".join(lines) + "\n</tbody></table></div>"


def _number_columns(table: Table) -> list[bool]:
    """Say which columns hold numbers alone, and are set flush right."""
    return [all(_NUMBER.fullmatch(row[column]) for row in table.rows) for column in range(len(table.header))]
