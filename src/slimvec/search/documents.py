"""What readers make of files: documents, each a text with its structure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HALF = re.compile("[\ud800-\udfff]")
_LINE_BREAK = re.compile(r"\r\n|\n|\r")
"""What editors count as the end of a line; `str.splitlines` breaks at form feeds too."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, list item or definition: what a chunk is put together from.

    Attributes:
        start: First character in the document's text.
        end: Character behind its last.
        headings: Those it stands under, the outermost first.
        page: Page number from 1; None where there are no pages.
        line: Line of the source where it begins, from 1: of the file for plain text, Markdown, code and HTML, the
            number of the paragraph in a .docx file, of the record in a table; None in a PDF, which has pages.
    """

    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be cut into chunks.

    Attributes:
        text: The text of the source. Of plain text, Markdown and code it is the file's own; of other kinds it is what
            the reader took out of the markup.
        blocks: Its blocks in their order; they do not overlap, and none is blank.
        title: What it calls itself; may be empty.
        record: Id of the record in a table; empty for a file that is one document.
        is_source: Whether `text` is the file's own, so that characters are places in the file.
    """

    text: str
    blocks: Sequence[Block]
    title: str = ""
    record: str = ""
    is_source: bool = False


def whole(text: str) -> str:
    """Put U+FFFD for halves of surrogate pairs, which PDF and JSON files may hold and no encoding has."""
    return _HALF.sub("\ufffd", text)


def lines_of(text: str) -> Iterator[str]:
    """Give the lines of a text as an editor counts them, each with its line break."""
    start = 0
    for found in _LINE_BREAK.finditer(text):
        yield text[start : found.end()]
        start = found.end()
    if start < len(text):
        yield text[start:]


def line_starts(text: str) -> list[int]:
    """Give the places where the lines of a text begin, as `lines_of` has them, but for the first."""
    return [found.end() for found in _LINE_BREAK.finditer(text)]


class TextBuilder:
    """Puts a document together from pieces that a reader finds."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[tuple[int, str]] = []
        self.blocks: list[Block] = []

    def add(self, text: str, *, line: int | None = None, page: int | None = None) -> None:
        """Add a block under the headings seen so far; what is blank is left out."""
        text = whole(text).strip()
        if not text:
            return
        if self._parts:
            self._parts.append("\n\n")
            self._length += 2
        headings = tuple(name for _, name in self._headings)
        self.blocks.append(Block(self._length, self._length + len(text), headings, page, line))
        self._parts.append(text)
        self._length += len(text)

    def open_heading(self, text: str, level: int) -> None:
        """Put what follows under a heading of a level from 1; a blank one is left out."""
        name = " ".join(whole(text).split())
        if name:
            self._headings = [heading for heading in self._headings if heading[0] < level] + [(level, name)]

    @property
    def text(self) -> str:
        """The text so far: its blocks with empty lines between them."""
        return "".join(self._parts)
