"""HTML pages: their text without markup, scripts, styles and navigation, under their headings."""

import re
from html.parser import HTMLParser
from pathlib import Path

from slimvec.search.documents import Document, TextBuilder
from slimvec.search.readers.plain import decode

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_LOOK = 4096
_SKIPPED = frozenset({"script", "style", "template", "svg", "noscript", "nav", "iframe", "object", "select", "button"})
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section",
    "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
))  # fmt: skip
_CELLS = frozenset({"td", "th"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def read_html(path: Path) -> Document:
    """Read an HTML page; however broken it is, the text that is there is given.

    Raises:
        InputError: it is no text.
    """
    return parse_html(_decode(path.read_bytes(), path))


def parse_html(markup: str) -> Document:
    """Take the text out of a page."""
    parser = _PageParser()
    parser.feed(markup)
    parser.close()
    parser.end_block()
    builder = parser.builder
    return Document(builder.text, builder.blocks, title=parser.title or parser.first_heading)


def _decode(data: bytes, path: Path) -> str:
    """Turn a page into text by the character set that it names, if Python knows that one and it is not UTF-8."""
    named = _CHARSET.search(data[:_LOOK])
    if named is not None:
        try:
            return data.decode(named[1].decode("ascii"))
        except (LookupError, UnicodeDecodeError):  # unknown, or not what the page says
            pass
    return decode(data, path)


class _PageParser(HTMLParser):
    """Collects blocks of text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.builder = TextBuilder()
        self.title = ""
        self.first_heading = ""
        self._parts: list[str] = []
        self._line = 1
        self._skipped: list[str] = []
        self._heading = 0
        self._in_title = False
        self._num_pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a block, a heading, or what is passed over."""
        if tag in _SKIPPED:
            self._skipped.append(tag)
        elif tag == "title" and not self.title:
            self._in_title = True
        elif tag in _HEADINGS:
            self.end_block()
            self._heading = _HEADINGS[tag]
        elif tag in _CELLS:
            self._parts.append(" | " if self._parts else "")
        elif tag in _BLOCKS and tag not in ("thead", "tbody"):
            self.end_block()
        elif tag == "br":
            self._parts.append("\n")
        elif tag == "img":
            self._parts.append(f" {dict(attrs).get('alt') or ''} ")
        self._num_pre += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        """End what the tag began."""
        if tag in _SKIPPED:
            if tag in self._skipped:
                while self._skipped.pop() != tag:
                    pass
        elif tag == "title":
            self._in_title = False
        elif tag in _HEADINGS or (tag in _BLOCKS and tag not in _CELLS):
            self.end_block()
        if tag == "pre":
            self._num_pre = max(0, self._num_pre - 1)

    def handle_data(self, data: str) -> None:
        """Take text."""
        if self._skipped:
            return
        if self._in_title:
            self.title = " ".join(f"{self.title} {data}".split())
            return
        if data.strip() and not any(part.strip() for part in self._parts):
            self._line = self.getpos()[0] + data[: len(data) - len(data.lstrip())].count("\n")  # as getpos counts
        self._parts.append(data if self._num_pre else re.sub(r"\s+", " ", data))

    def end_block(self) -> None:
        """Give what has been collected to the builder."""
        text = "".join(self._parts)
        self._parts = []
        if self._heading:
            text = " ".join(text.replace("\u00b6", "").split())  # the sign that Sphinx puts behind headings
            self.builder.open_heading(text, self._heading)
            self.first_heading = self.first_heading or text
        self._heading = 0
        self.builder.add(text if "\n" in text else text.strip(), line=self._line)
