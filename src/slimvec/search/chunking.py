"""From a document to chunks: by its structure, measured in the model's own tokens.

Blocks are put together up to `chunk_tokens`. A chunk never goes over the end of a page, and a new heading begins a new
one unless the last is short (under a quarter). A block that is longer by itself is cut behind sentences, else between
words (`engine.chunk_borders`). In front of a chunk stand the document's title and its headings when it is embedded, so
that "Options" says of what; the text that is shown and stored is the source's.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from slimvec.engine.chunk_borders import cut_by_tokens
from slimvec.search.documents import Block, Document, line_starts
from slimvec.text.located import locate
from slimvec.text.tokenizer import Tokenizer

_PIECE = 1 << 15
"""Characters tokenised at once: a tokenizer's time may grow faster than its text."""
_HEADLINE = 160
"""Characters of title and headings in front of a chunk, which leaves the text most of the model's limit."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document.

    Attributes:
        text: As it stands in the document.
        start: First character in the document's text.
        end: Character behind its last.
        title: Title of the document; may be empty.
        record: Id of the record in a table; else empty.
        heading: What it stands under, with ` > ` between; may be empty.
        page: Page number; None where there are no pages.
        first_line: Line of the source where it begins, as `Block.line` counts.
        last_line: Line where it ends.
        num_tokens: Tokens of its text.
    """

    text: str
    start: int
    end: int
    title: str
    record: str
    heading: str
    page: int | None
    first_line: int | None
    last_line: int | None
    num_tokens: int

    @property
    def content(self) -> str:
        """What is embedded: title and headings in one line, then the text."""
        return embedded_text(self.title, self.heading, self.text)


def embedded_text(title: str, heading: str, text: str) -> str:
    """Write title and headings in front of a chunk's text, as it is embedded.

    Args:
        title: Title of the document; may be empty.
        heading: What the chunk stands under; may be empty.
        text: The chunk.
    """
    parts = [title, *([heading] if heading != title else [])]
    headline = " > ".join(part for part in parts if part)[:_HEADLINE]
    return f"{headline}\n\n{text}" if headline else text


def chunk_document(document: Document, tokenizer: Tokenizer, *, chunk_tokens: int) -> list[Chunk]:
    """Cut a document into chunks.

    Args:
        document: The document.
        tokenizer: The model's.
        chunk_tokens: Most tokens of a chunk, without its headline.
    """
    if not document.blocks:
        return []
    lengths = _Lengths(document, tokenizer)
    spans = [
        piece
        for group in _groups(document.blocks, lengths, chunk_tokens)
        for piece in _pieces(document, group, lengths, chunk_tokens)
    ]
    return [_chunk(document, block, start, end, lengths) for block, start, end in spans]


class _Lengths:
    """Counts the tokens of any part of a document's text, and the lines in front of it."""

    def __init__(self, document: Document, tokenizer: Tokenizer) -> None:
        text = document.text
        self._lines = line_starts(text) if document.is_source else []
        self._blocks, self._starts = document.blocks, [block.start for block in document.blocks]
        starts = [0]
        for block in document.blocks:
            if block.start - starts[-1] >= _PIECE:
                starts.append(block.start)
        self.ends: list[int] = []
        for start, end in pairwise([*starts, len(text)]):
            if text[start:end].strip():
                self.ends += [start + place for place in locate(tokenizer, text[start:end]).ends]

    def between(self, start: int, end: int) -> int:
        """Tokens that end between two characters."""
        first, last = self.numbers(start, end)
        return last - first

    def line(self, place: int) -> int:
        """Number of the line of the source that a character is in, from 1."""
        return 1 + bisect_right(self._lines, place)

    def block_at(self, place: int) -> Block:
        """The block that a character is in, or the one before."""
        return self._blocks[max(0, bisect_right(self._starts, place) - 1)]

    def numbers(self, start: int, end: int) -> tuple[int, int]:
        """Numbers of the first token that ends between two characters, and of the one behind the last."""
        return bisect_right(self.ends, start), bisect_right(self.ends, end)


def _groups(blocks: Sequence[Block], lengths: _Lengths, chunk_tokens: int) -> Iterator[list[Block]]:
    """Put blocks together that make a chunk; a block that is too long stands alone."""
    group: list[Block] = []
    for block in blocks:
        if group:
            start = group[0].start
            is_full = lengths.between(start, block.end) > chunk_tokens
            is_other = block.headings != group[0].headings and 4 * lengths.between(start, group[-1].end) >= chunk_tokens
            if is_full or is_other or block.page != group[0].page:
                yield group
                group = []
        group.append(block)
    if group:
        yield group


def _pieces(
    document: Document, group: list[Block], lengths: _Lengths, chunk_tokens: int
) -> Iterator[tuple[Block, int, int]]:
    """Give the spans of a group's chunks, each with the block it begins in."""
    start, end = group[0].start, group[-1].end
    if lengths.between(start, end) <= chunk_tokens:
        yield group[0], start, end
        return
    first, last = lengths.numbers(start, end)
    ends = [place - start for place in lengths.ends[first:last]]
    text = document.text[start:end]
    borders = [0, *(ends[number - 1] for _, number in cut_by_tokens(text, ends, chunk_tokens))]
    borders[-1] = len(text)
    for one, other in pairwise(borders):
        piece = text[one:other]
        if piece.strip():
            margin = len(piece) - len(piece.lstrip())
            yield group[0], start + one + margin, start + one + len(piece.rstrip())


def _chunk(document: Document, block: Block, start: int, end: int, lengths: _Lengths) -> Chunk:
    text = document.text[start:end]
    if document.is_source and block.line is not None:
        first_line: int | None = lengths.line(start)
        last_line: int | None = lengths.line(end)
    else:
        first_line, last_line = block.line, lengths.block_at(end - 1).line
    return Chunk(
        text=text,
        start=start,
        end=end,
        title=document.title,
        record=document.record,
        heading=" > ".join(block.headings),
        page=block.page,
        first_line=first_line,
        last_line=last_line,
        num_tokens=lengths.between(start, end),
    )
