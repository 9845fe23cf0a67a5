r"""Plain text, Markdown, reStructuredText and source code: the text is the file's own, character for character.

Blocks are parted by empty lines. Headings are Markdown's (`# Title`), or a line that is underlined (`Title` over
`=====`), as Markdown and reStructuredText both have them. In source code a definition that stands at the left margin
is the heading of what follows.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slimvec.errors import InputError
from slimvec.search.documents import Block, Document, lines_of

_LOOK = 8192
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f]")
_MAX_CONTROL = 0.01
"""Share of control characters from which on bytes that are no UTF-8 are taken for no text."""
_ATX = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}\s*$")
_FENCE = re.compile(r"\s*(```+|~~~+)")
_DEFINITION = re.compile(
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([a-z]+\))?|unsafe|"
    r"inline|extern|const|virtual)\s+)*"
    r"(?:def|class|function|func|fn|struct|enum|trait|impl|interface|module|namespace|type|macro_rules!|sub|object)\s+"
    r"[\w:<>.,&' *$-]+"
)
_SHOWN = 80


def decode(data: bytes, path: Path) -> str:
    """Turn the bytes of a text file into text: UTF-8, UTF-16 or UTF-32 with its mark, else Windows-1252.

    Raises:
        InputError: it has NUL bytes or, outside UTF-8, control characters, so it is no text.
    """
    if data.startswith(_UTF32):  # before UTF-16, whose mark begins the same
        return data.decode("utf-32", errors="replace")
    if data.startswith(_UTF16):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        raise InputError(f"{path} has NUL bytes", expected="a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    look = text[:_LOOK]
    if len(_CONTROL.findall(look)) > _MAX_CONTROL * len(look):
        raise InputError(f"{path} has control characters and is no UTF-8", expected="a text file")
    return text


def read_text(path: Path) -> Document:
    """Read plain text or reStructuredText."""
    return structured(decode(path.read_bytes(), path), atx=False)


def read_markdown(path: Path) -> Document:
    """Read Markdown."""
    return structured(decode(path.read_bytes(), path), atx=True)


def read_code(path: Path) -> Document:
    """Read source code; its title is the file's name."""
    text = decode(path.read_bytes(), path)
    blocks: list[Block] = []
    heading: tuple[str, ...] = ()
    for paragraph in _paragraphs(text):
        for line in paragraph.lines:
            found = _DEFINITION.match(line)
            if found is not None:
                heading = (" ".join(found[0].split())[:_SHOWN],)
                break
        blocks.append(Block(paragraph.start, paragraph.end, heading, line=paragraph.number))
    return Document(text, blocks, title=path.name, is_source=True)


def structured(text: str, *, atx: bool) -> Document:
    """Read a text with headings.

    Args:
        text: The text.
        atx: Whether `#` opens a heading, and ``` a block of code.
    """
    blocks: list[Block] = []
    headings: list[tuple[int, str]] = []
    underlines: list[str] = []
    title = ""
    for paragraph in _paragraphs(text, atx=atx):
        found = None if paragraph.fenced else _heading(paragraph.lines, underlines, atx=atx)
        if found is not None:
            level, name = found
            headings = [heading for heading in headings if heading[0] < level] + [(level, name)]
            title = title or name
        names = tuple(name for _, name in headings)
        blocks.append(Block(paragraph.start, paragraph.end, names, line=paragraph.number))
    return Document(text, blocks, title=title, is_source=True)


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """Lines without an empty one between them.

    Attributes:
        start: First character in the text.
        end: Character behind its last that is not white space.
        number: Its first line, from 1.
        lines: Its lines.
        fenced: Whether it begins inside a block of code.
    """

    start: int
    end: int
    number: int
    lines: list[str]
    fenced: bool


def _paragraphs(text: str, *, atx: bool = False) -> Iterator[_Paragraph]:
    """Give the paragraphs of a text; with `atx` a line with a heading begins one too."""
    start = number = place = 0
    lines: list[str] = []
    fenced = began_fenced = False
    for count, line in enumerate(lines_of(text), start=1):
        blank = not line.strip()
        if lines and (blank or (atx and not fenced and _ATX.match(line))):
            yield _paragraph(text, start, place, number, lines, began_fenced)
            lines = []
        if not blank:
            if not lines:
                start, number, began_fenced = place, count, fenced
            lines.append(line)
        fenced ^= atx and _FENCE.match(line) is not None
        place += len(line)
    if lines:
        yield _paragraph(text, start, place, number, lines, began_fenced)


def _paragraph(text: str, start: int, end: int, number: int, lines: list[str], fenced: bool) -> _Paragraph:
    return _Paragraph(start, start + len(text[start:end].rstrip()), number, lines, fenced)


def _heading(lines: list[str], underlines: list[str], *, atx: bool) -> tuple[int, str] | None:
    """Level and name of the heading that opens a paragraph.

    Args:
        lines: Lines of the paragraph.
        underlines: Kinds of underline met so far, whose order gives the level; a new one is added.
        atx: Whether `#` opens a heading.
    """
    found = _ATX.match(lines[0]) if atx else None
    if found is not None:
        return (len(found[1]), found[2]) if found[2] else None
    overlined = len(lines) > 2 and _UNDERLINE.match(lines[0]) is not None
    if atx and overlined:  # the settings in front of a page
        return None
    adorned = lines[1:] if overlined else lines
    if len(adorned) < 2 or _UNDERLINE.match(adorned[0]):
        return None
    name, under = adorned[0].strip(), adorned[1].strip()
    if not _UNDERLINE.match(under) or 2 * len(under) < len(name):
        return None
    kind = under[0] * (2 if overlined else 1)
    if kind not in underlines:
        underlines.append(kind)
    return underlines.index(kind) + 1, name
