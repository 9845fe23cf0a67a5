"""The best documents for a query, and how they look in a terminal."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from slimvec.data.texts import Item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import RenderableType
    from rich.text import Text


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found.

    Attributes:
        rank: From 1.
        cosine: With the query.
        id: Id of the document.
        title: Title of the document; may be empty.
        text: Text of the document, whole.
        ngrams: What the language model wrote of it, the heaviest first; empty where nothing was asked for.
    """

    rank: int
    cosine: float
    id: str
    title: str
    text: str
    ngrams: tuple[str, ...] = ()

    @classmethod
    def of(cls, item: Item, rank: int, cosine: float, ngrams: Iterable[str] = ()) -> Self:
        """Lay out a document of a file."""
        written = tuple(ngram.strip() for ngram in ngrams)
        return cls(rank, round(float(cosine), 4), item.id, item.title, item.text, written)


def best_hits(cosines: "NDArray[np.float32]", items: Sequence[Item], *, top: int) -> list[list[Hit]]:
    """Choose the best documents of every query; equal ones in the order of the file.

    Args:
        cosines: [Q, N].
        items: N documents.
        top: How many of each query.
    """
    from slimvec.ranking.top_k import top_k

    return [
        [Hit.of(items[index], rank, row[index]) for rank, index in enumerate(indices, start=1)]
        for row, indices in zip(cosines, top_k(cosines, top).tolist(), strict=True)
    ]


def hits_table(query: str, hits: Sequence[Hit]) -> "RenderableType":
    """Lay out a query and its hits: rank, cosine, headline and opening, a line each."""
    rows = []
    for hit in hits:
        written = f"written: {', '.join(hit.ngrams[:3])}" if hit.ngrams else ""
        rows.append((hit.rank, (hit.cosine,), document_line(hit.title, hit.text, written)))
    return documents_table(query, rows)


def documents_table(
    query: str, rows: "Iterable[tuple[int, Sequence[float | None], Text]]", *, headings: Sequence[str] = ("",)
) -> "RenderableType":
    """Lay out a query and documents, a line each.

    Args:
        query: Stands above them.
        rows: Rank, numbers and document.
        headings: One a number; without any there is no line of them.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    headed = any(headings)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, show_header=headed, header_style="dim")
    table.add_column(justify="right", style="dim", width=4)
    for heading in headings:
        table.add_column(heading, justify="right", style="cyan", width=10 if headed else 6)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for rank, numbers, document in rows:
        table.add_row(str(rank), *("-" if number is None else f"{number:.3f}" for number in numbers), document)
    return Group(Text(query, style="bold"), table, Text())


def document_line(title: str, text: str, instead: str = "") -> "Text":
    """Show a document on a line: its title, else its first line, and the first sentence of the rest, or something else.

    Args:
        title: Title of the document; may be empty.
        text: Text of the document.
        instead: What is shown in the place of that sentence.
    """
    from rich.text import Text

    line = Text(title or text.strip().splitlines()[0])
    rest = text if title else text.strip().partition("\n")[2]
    opening = re.split(r"(?<=[.!?])\s", " ".join(rest.split()), maxsplit=1)[0]
    if instead or opening:
        line.append(f"  {instead or opening}", style="dim")
    return line
