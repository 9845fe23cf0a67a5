"""The best documents for a query, and how they look in a terminal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimvec.cli.inputs import Item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import RenderableType


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

    @property
    def headline(self) -> str:
        """The title, else the first line of the text."""
        return self.title or self.text.strip().splitlines()[0]

    @property
    def opening(self) -> str:
        """First sentence of what follows the headline; empty where nothing does."""
        rest = self.text if self.title else self.text.strip().partition("\n")[2]
        return _first_sentence(rest)


def best_hits(cosines: "NDArray[np.float32]", items: Sequence[Item], *, top: int) -> list[list[Hit]]:
    """Choose the best documents of every query; equal ones in the order of the file.

    Args:
        cosines: [Q, N].
        items: N documents.
        top: How many of each query.
    """
    from slimvec.ranking.top_k import top_k

    return [
        [
            Hit(rank, round(float(row[index]), 4), items[index].id, items[index].title, items[index].text)
            for rank, index in enumerate(indices, start=1)
        ]
        for row, indices in zip(cosines, top_k(cosines, top).tolist(), strict=True)
    ]


def hits_table(query: str, hits: Sequence[Hit]) -> "RenderableType":
    """Lay out a query and its hits: rank, cosine, headline and opening, a line each."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right", style="dim", width=4)
    table.add_column(justify="right", style="cyan", width=6)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for hit in hits:
        document = Text(hit.headline)
        if hit.ngrams:
            document.append(f"  written: {', '.join(hit.ngrams[:3])}", style="dim")
        elif hit.opening:
            document.append(f"  {hit.opening}", style="dim")
        table.add_row(Text(str(hit.rank)), Text(f"{hit.cosine:.3f}"), document)
    return Group(Text(query, style="bold"), table, Text())


def _first_sentence(text: str) -> str:
    """The text up to the first full stop before a space, on one line."""
    return re.split(r"(?<=[.!?])\s", " ".join(text.split()), maxsplit=1)[0]
