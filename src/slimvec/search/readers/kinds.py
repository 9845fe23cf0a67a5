"""Which reader takes which file."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

from slimvec.data.bad_rows import BadRows
from slimvec.errors import InputError
from slimvec.search.documents import Document
from slimvec.search.readers.docx import read_docx
from slimvec.search.readers.html import read_html
from slimvec.search.readers.pdf import read_pdf
from slimvec.search.readers.plain import read_code, read_markdown, read_text
from slimvec.search.readers.records import TABLE_SUFFIXES, read_table

Kind = Literal["text", "markdown", "html", "pdf", "docx", "code", "table"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_CODE = (
    ".py", ".pyi", ".js", ".mjs", ".jsx", ".ts", ".tsx", ".java", ".kt", ".scala", ".c", ".h", ".cc", ".cpp", ".cxx",
    ".hpp", ".cu", ".cs", ".go", ".rs", ".rb", ".php", ".swift", ".m", ".r", ".jl", ".lua", ".pl", ".pm", ".sh",
    ".bash", ".zsh", ".ps1", ".sql", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".json", ".xml", ".css", ".proto", ".ex",
    ".exs", ".erl", ".hs", ".ml", ".clj", ".el", ".vim", ".dart", ".nix", ".tf", ".cmake", ".mk",
)  # fmt: skip
_SUFFIXES: Mapping[Kind, tuple[str, ...]] = {
    "text": (".txt", ".text", ".rst", ".log", ".tex", ".org", ".adoc"),
    "markdown": (".md", ".markdown", ".mdx"),
    "html": (".html", ".htm", ".xhtml"),
    "pdf": (".pdf",),
    "docx": (".docx",),
    "code": _CODE,
    "table": TABLE_SUFFIXES,
}
_NAMES: Mapping[str, Kind] = {
    "readme": "text", "license": "text", "copying": "text", "changelog": "text", "news": "text", "authors": "text",
    "copyright": "text", "makefile": "code", "dockerfile": "code",
}  # fmt: skip
_MAX_BYTES = 1 << 27
_READERS: Mapping[Kind, Callable[[Path], Document]] = {
    "text": read_text,
    "markdown": read_markdown,
    "html": read_html,
    "pdf": read_pdf,
    "docx": read_docx,
    "code": read_code,
}


def kind_of(path: Path) -> Kind | None:
    """Give the kind of a file by its name; None for one that no reader takes."""
    name = path.name.lower()
    for kind, suffixes in _SUFFIXES.items():
        if name.endswith(suffixes):
            return kind
    return _NAMES.get(name)


def read_documents(path: Path, *, field: str | None = None, bad: BadRows | None = None) -> Iterator[Document]:
    """Read a file.

    Args:
        path: Path of a kind that `kind_of` knows.
        field: Field with the text, in tables.
        bad: Counts rows of tables that cannot be read; default the first is an error.

    Raises:
        InputError: it cannot be read, is of no known kind, or is larger than 128 MiB and no table.
    """
    kind = kind_of(path)
    if kind is None:
        raise InputError(f"{path} is of an unknown kind", expected=f"one of {', '.join(KINDS)}")
    try:
        if kind == "table":
            yield from read_table(path, field=field, bad=bad or BadRows())
            return
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise InputError(f"{path} has {size >> 20} MiB", expected=f"at most {_MAX_BYTES >> 20} MiB")
        yield _READERS[kind](path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", expected="a readable file") from error
