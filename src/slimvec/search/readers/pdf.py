"""PDF files through pypdf: the text of each page, under the entries of the outline."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slimvec.errors import InputError
from slimvec.optional import require
from slimvec.search.documents import Document, TextBuilder, whole

_HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")  # a word broken at the end of a line
_GAP = re.compile(r"\n[^\S\n]*\n\s*")


def read_pdf(path: Path) -> Document:
    """Read a PDF file.

    Pictures are not read: of a scanned page without a layer of text there is nothing.

    Raises:
        InputError: it cannot be read, needs a password, or has no text at all; or pypdf is not installed.
    """
    pypdf = require("pypdf", purpose=f"reading {path.name}")
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it reports each thing that it mends
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError(f"{path} needs a password", expected="a PDF that opens without one")
        builder, title = _read(reader)
    except InputError:
        raise
    except Exception as error:  # of a damaged file, pypdf lets through whatever its parts raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read: {reason}", expected="a whole PDF file") from error
    if not builder.blocks:
        raise InputError(f"{path} has no text in it", expected="a PDF with a layer of text, not scanned pages alone")
    return Document(builder.text, builder.blocks, title=title)


def _read(reader: Any) -> tuple[TextBuilder, str]:
    """Read the pages of a file, and its title."""
    builder = TextBuilder()
    outline = sorted(_outline(reader, reader.outline, 1))
    opened = 0
    for number, page in enumerate(reader.pages, start=1):
        while opened < len(outline) and outline[opened][0] <= number:
            _, _, level, name = outline[opened]
            builder.open_heading(name, level)
            opened += 1
        for paragraph in _GAP.split(_HYPHEN.sub("", page.extract_text())):
            builder.add(paragraph.replace("\0", ""), page=number)
    title = reader.metadata.title if reader.metadata else None
    return builder, " ".join(whole(str(title or "")).split())


def _outline(reader: Any, entries: Any, level: int) -> Iterator[tuple[int, int, int, str]]:
    """Give the entries of an outline: page, order, level and name."""
    for order, entry in enumerate(entries):
        if isinstance(entry, list):
            yield from _outline(reader, entry, level + 1)
            continue
        page = reader.get_destination_page_number(entry)
        if page is not None and page >= 0:
            yield page + 1, order, level, str(entry.title or "")
