"""Documented functions and classes in Python source, found without importing it.

Importing would run other people's code and depend on the machine; the syntax tree holds all that is needed.
"""

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimvec.data.docstrings import parse_docstring

MAX_SIGNATURE_CHARS = 160
MAX_FILE_BYTES = 400_000
"""Larger source files are tables written by programs; reading one takes a second."""

_SKIPPED = re.compile(
    r"tests?|testing|conftest|vendor(?:ed)?|externs?|externals|third_?party|idlelib|lib2to3|turtledemo|ensurepip"
    r"|pydoc_data|examples?|benchmarks|scripts|migrations|locale"
)
_GENERATED = re.compile(
    rb"generated (?:by|from|code|file|protocol)|do not (?:edit|modify)|auto-?generated|@generated", re.IGNORECASE
)
_HEAD_BYTES = 1500
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class DocEntry:
    """One documented function or class.

    Attributes:
        package: Top-level package.
        name: Qualified name.
        query: Summary sentence of its docstring.
        document: Qualified name with signature, and the rest of the docstring.
    """

    package: str
    name: str
    query: str
    document: str


def installed_roots() -> list[Path]:
    """Folders the running Python imports from: the standard library and its site-packages."""
    paths = sysconfig.get_paths()
    roots = [Path(paths[key]) for key in ("stdlib", "purelib", "platlib")]
    return list(dict.fromkeys(root.resolve() for root in roots if root.is_dir()))


def find_packages(roots: Sequence[Path]) -> dict[str, list[Path]]:
    """List the source files of each public top-level package or module, both in order of their names.

    Tests, vendored copies, examples and private packages are left out. A name found under two roots is taken from the
    first.
    """
    packages: dict[str, list[Path]] = {}
    for root in roots:
        for entry in sorted(root.iterdir()):
            name = entry.name.removesuffix(".py")
            if name in packages or not _is_public(name) or name == "slimvec":
                continue
            alone = entry.suffix == ".py" and entry.is_file()  # no link that leads nowhere
            files = list(_source_files(entry)) if entry.is_dir() else [entry] if alone else []
            if files:
                packages[name] = files
    return dict(sorted(packages.items()))


def read_entries(package: str, path: Path) -> list[DocEntry]:
    """Read the documented public functions and classes of a source file.

    A file that is generated, too large, or not in the syntax of this Python gives none: that is not an error, packages
    ship such files as templates.
    """
    source = path.read_bytes()
    if len(source) > MAX_FILE_BYTES or b'"""' not in source or _GENERATED.search(source[:_HEAD_BYTES]):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    entries: dict[str, DocEntry] = {}
    for name, node in _definitions(tree.body, _module_name(package, path)):
        parsed = parse_docstring(ast.get_docstring(node, clean=False) or "") if name not in entries else None
        if parsed is not None:
            document = f"{name}{_signature(node)}\n{parsed.body}"
            entries[name] = DocEntry(package, name, parsed.summary, document)
    return list(entries.values())


def _is_public(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_") and not _SKIPPED.fullmatch(name)


def _source_files(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        stem = entry.name.removesuffix(".py")
        if entry.is_dir() and not entry.is_symlink() and _is_public(stem):
            yield from _source_files(entry)
        elif stem.startswith(("test_", "conftest")) or stem.endswith("_test"):
            continue
        elif entry.suffix == ".py" and entry.is_file():
            yield entry


def _module_name(package: str, path: Path) -> str:
    """Dotted name of a module, from where its file is under the folder named after the package."""
    parts = path.with_suffix("").parts
    start = len(parts) - 1 - parts[::-1].index(package)
    for number, part in enumerate(parts):
        if part == package and all(p.isidentifier() for p in parts[number:]):
            start = number
            break
    return ".".join(part for part in parts[start:] if part != "__init__")


def _definitions(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
    """Public functions and classes of a module or class, with their qualified names; not what functions hold inside."""
    for node in body:
        if isinstance(node, Definition):
            if node.name.startswith("_"):
                continue
            name = f"{prefix}.{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, name)
        elif isinstance(node, ast.If | ast.Try):
            yield from _definitions([*node.body, *node.orelse], prefix)


def _signature(node: Definition) -> str:
    """Parameters as written, without self; without annotations, then without defaults where they are long."""
    arguments = _arguments(node)
    if arguments is None:
        return ""
    shown = f"({ast.unparse(arguments)})"
    if len(shown) > MAX_SIGNATURE_CHARS:
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        shown = f"({', '.join(argument.arg for argument in every)})"
    if len(shown) > MAX_SIGNATURE_CHARS:
        shown = shown[: shown.rfind(",", 0, MAX_SIGNATURE_CHARS)] + ", ...)"
    return shown


def _arguments(node: Definition) -> ast.arguments | None:
    """Parameters of a function, or of a class's constructor, without the first of a method."""
    if isinstance(node, ast.ClassDef):
        found = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        return _arguments(found[0]) if found else None
    first = [*node.args.posonlyargs, *node.args.args][:1]
    if first and first[0].arg in ("self", "cls"):
        (node.args.posonlyargs or node.args.args).pop(0)
    return node.args
