"""Word documents (.docx) through python-docx: paragraphs and tables in their order, under their headings."""

import re
import zipfile
from pathlib import Path
from typing import Any

from slimvec.errors import InputError
from slimvec.optional import require
from slimvec.search.documents import Document, TextBuilder

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_MAX_UNPACKED = 1 << 28


def read_docx(path: Path) -> Document:
    """Read a Word document; a block's line is the number of its paragraph or table.

    Raises:
        InputError: it cannot be read, unpacks to more than 256 MiB, or python-docx is not installed.
    """
    docx = require("docx", purpose=f"reading {path.name}")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _MAX_UNPACKED:
            raise InputError(f"{path} unpacks to {unpacked >> 20} MiB", expected=f"at most {_MAX_UNPACKED >> 20} MiB")
        return _read(docx.Document(str(path)))
    except InputError:
        raise
    except Exception as error:  # of a damaged file, python-docx lets through whatever its parts raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read: {reason}", expected="a whole .docx file") from error


def _read(document: Any) -> Document:
    builder = TextBuilder()
    title = " ".join((document.core_properties.title or "").split())
    for number, item in enumerate(document.iter_inner_content(), start=1):
        if hasattr(item, "rows"):
            builder.add("\n".join(_cells(row) for row in item.rows), line=number)
            continue
        style = item.style.name if item.style is not None else ""
        found = _HEADING.match(style or "")
        if found is not None:
            builder.open_heading(item.text, int(found[1]))
        elif style == "Title":
            title = title or " ".join(item.text.split())
        builder.add(item.text, line=number)
    return Document(builder.text, builder.blocks, title=title)


def _cells(row: Any) -> str:
    """Write a row of a table; a cell that spans several columns is there once."""
    texts: list[str] = []
    for cell in row.cells:
        text = " ".join(cell.text.split())
        if not texts or texts[-1] != text:
            texts.append(text)
    return " | ".join(texts)
