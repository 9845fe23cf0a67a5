"""Documented functions and classes in Python source, found without importing it.

Importing would run other people's code and depend on the machine; the syntax tree holds all that is needed.
"""

import ast
import inspect
import re
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimvec.data.duplicates import text_words

MAX_BODY_CHARS = 600
"""About 150 tokens: what the documentation says first, and short enough to embed 1,000 documents in a quick run."""
MIN_BODY_CHARS = 60
MIN_BODY_WORDS = 10
SUMMARY_WORDS = range(4, 36)

_SIGNATURE = re.compile(r"^[\w.]+\s*\([^\n]*\)\s*(->\s*[^\n]*)?$")
_SENTENCE_END = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)(?<!\bcf)(?<!\bFig)(?<!\bEq)[.!?]\s+(?=[A-Z\"'`(:*])"
)
_SUMMARY_START = re.compile(r"[A-Z][a-z]*(?:'[a-z]+|-[a-z]+)?\s")
_NOT_A_SUMMARY = re.compile(
    r"https?:|>>>|[{}|=<>\\]|%\(|::|\.\.\.|->|\bTODO\b|\bXXX\b"
    r"|^(?:See|Alias|Same as|Deprecated|Inherit|Please|Note|Warning|Args|Arguments|Parameters|Returns?:|Copyright"
    r"|Examples?:|Usage|Internal|Private|Overrides?|Overridden|Implements? |This (?:method|function|class) "
    r"(?:is|should|must|overrides|can))\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w*\}|\$\{|@\w+@|auto_docstring|add_start_docstrings")
_DROPPED_DIRECTIVE = re.compile(
    r"^\.\. *(?:versionadded|versionchanged|code-block|code|testcode|testsetup|testoutput|doctest|plot|index|image"
    r"|figure|_[^:]*|currentmodule|module|highlight|math|seealso|autosummary|toctree|only|rubric)\b.*$"
)
_NAMED_DIRECTIVE = re.compile(r"^\.\. *(\w+):: *(.*)$")
_CLOSING_SECTION = re.compile(r"^(?:Examples?|See Also|References|Tests|Usage|Warns|Doctests?)\s*:*$", re.IGNORECASE)
_FIELD = re.compile(r"^:(?:param|parameter|arg|argument|keyword|key|raises?|var|ivar|cvar)\s+([^:]+):\s*")
_FIELD_NAMES = re.compile(r"^:(returns?|yields?):\s*")
_TYPE_FIELD = re.compile(r"^:(?:rtype|type|vartype)\b.*$")
_UNDERLINE = re.compile(r"^[-=~^*+#\"'`]{3,}$")
_FIELD_MARK = r":(?:param|parameter|arg|argument|keyword|key|raises?|var|ivar|cvar|returns?|yields?)\b[^:]*:"
_BULLET = re.compile(rf"^(?:[-*+•] |\d+[.)] |{_FIELD_MARK}|[\w*]+(?: ?\([^:]*\))? ?:(?: |$))")
_QUOTE_MARK = re.compile(r"^(?:> )+(?:\[!\w+\])?|^>$")

_INLINE = (
    (re.compile(r":(?:\w+:)?\w+:`~?[!]?([^`<]+?)(?:\s*<[^`>]*>)?`"), r"\1"),  # :class:`~a.B`, :ref:`text <target>`
    (re.compile(r"`{1,2}([^`<]+?)\s*<[^`>]*>`{1,2}__?"), r"\1"),  # `text <address>`_
    (re.compile(r"\[([^\[\]]+)\]\([^()\s]*\)"), r"\1"),  # [text](address)
    (re.compile(r"\[`~?([^`]+)`\]"), r"\1"),  # [`Name`]
    (re.compile(r"`+~?([^`]+)`+_{0,2}"), r"\1"),
    (re.compile(r"\*{1,2}(\w[^*\n]*?)\*{1,2}"), r"\1"),
    (re.compile(r"\|(\w+)\|"), r"\1"),
    (re.compile(r"\[\w{1,12}\]_"), ""),  # footnotes
    (re.compile(r"<(/?\w[^<>\n]*)>"), ""),  # HTML
    (re.compile(r"\\+([*_`|]|s\b)"), r"\1"),  # escapes, and the plural after a role
)

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
class Docstring:
    """A docstring in two parts that do not repeat each other.

    Attributes:
        summary: Its first sentence.
        body: The rest, one paragraph or item a line, cut after about 600 characters.
    """

    summary: str
    body: str


def parse_docstring(raw: str) -> Docstring | None:
    """Split a docstring, or give None when it has no summary that is a sentence, or too little after it.

    Args:
        raw: As it stands in the source.
    """
    if not raw.isascii() and sum(char.isascii() for char in raw) < 0.9 * len(raw):
        return None
    if _PLACEHOLDER.search(raw):
        return None
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(raw).strip())
    while blocks and (_SIGNATURE.match(" ".join(blocks[0].split())) or not blocks[0].strip()):
        blocks = blocks[1:]
    if not blocks:
        return None
    summary, rest = _first_sentence(blocks[0])
    if not _is_sentence(summary) or (rest.strip() and not summary.endswith((".", "!", "?"))):
        return None
    body = _cut("\n".join(_clean_lines("\n\n".join([rest, *blocks[1:]]))))
    if len(body) < MIN_BODY_CHARS or len(body.split()) < MIN_BODY_WORDS or _repeats(body, summary):
        return None
    return Docstring(summary, body)


def strip_markup(text: str) -> str:
    """Take inline markup off: roles, links, code and emphasis marks."""
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text


def _first_sentence(paragraph: str) -> tuple[str, str]:
    """The first sentence of a paragraph, in plain words, and what is left."""
    lines = paragraph.split("\n")
    for number, line in enumerate(lines[1:], start=1):  # a list or a section may follow without an empty line
        if _BULLET.match(line.strip()) or line.startswith((" ", "\t", ".. ")) or line.rstrip().endswith(":"):
            lines, rest = lines[:number], "\n".join(lines[number:])
            break
    else:
        rest = ""
    text = " ".join(" ".join(lines).split())
    end = _SENTENCE_END.search(text)
    if end:
        text, rest = text[: end.start() + 1], f"{text[end.end() :]}\n{rest}"
    return " ".join(strip_markup(text).split()), rest


def _repeats(body: str, summary: str) -> bool:
    """Whether a body holds the summary once more, word for word."""
    return f" {' '.join(text_words(summary))} " in f" {' '.join(text_words(body))} "


def _is_sentence(summary: str) -> bool:
    tokens = summary.split()
    if len(tokens) not in SUMMARY_WORDS or _NOT_A_SUMMARY.search(summary) or not _SUMMARY_START.match(summary):
        return False
    plain = sum(token.strip(".,;()'\"").isalpha() for token in tokens)
    return plain >= 0.7 * len(tokens)


def _clean_lines(text: str) -> list[str]:
    """Paragraphs and items of a body, one each, without directives, code, underlines and the closing sections."""
    joined: list[str] = []
    goes_on = False  # whether the next line belongs to the same paragraph
    for line in _prose_lines(text):
        if _CLOSING_SECTION.match(line):
            break
        if not line or _UNDERLINE.match(line) or _DROPPED_DIRECTIVE.match(line) or _TYPE_FIELD.match(line):
            goes_on = False
        elif goes_on and not _BULLET.match(line):
            joined[-1] += " " + line
        else:
            joined.append(line)
            goes_on = bool(_BULLET.match(line)) or not line.endswith(":")
    plain = (" ".join(strip_markup(_without_field_marks(paragraph)).split()) for paragraph in joined)
    return [paragraph for paragraph in plain if re.search(r"\w", paragraph)]


def _prose_lines(text: str) -> Iterator[str]:
    """The stripped lines of a body that are not code: not fenced, not after a prompt, not indented under `::`."""
    in_fence = after_prompt = False
    code_indent: int | None = None  # lines deeper than this are code
    for line in text.split("\n"):
        stripped = _QUOTE_MARK.sub("", line.strip()).strip()
        indent = len(line) - len(line.lstrip())
        if code_indent is not None and stripped and indent <= code_indent:
            code_indent = None
        after_prompt = bool(stripped) and (after_prompt or stripped.startswith((">>>", "$ ")))
        if stripped.startswith("```"):
            in_fence = not in_fence
        elif not (in_fence or after_prompt or code_indent is not None):
            yield stripped
            if stripped.endswith("::") or stripped.startswith(".. code"):
                code_indent = indent


def _without_field_marks(line: str) -> str:
    """A line without the marks of a Sphinx field, a directive or a literal block."""
    line = _FIELD.sub(r"\1: ", line)
    line = _FIELD_NAMES.sub(lambda match: match[1].capitalize() + ": ", line)
    line = _NAMED_DIRECTIVE.sub(r"\1: \2", line).strip()
    return line[:-1] if line.endswith("::") else line


def _cut(text: str) -> str:
    """The beginning of a text, up to the end of a line, a sentence or at least a word."""
    if len(text) <= MAX_BODY_CHARS:
        return text
    head = text[:MAX_BODY_CHARS]
    for mark in ("\n", ". ", " "):
        end = head.rfind(mark)
        if end > MAX_BODY_CHARS * 0.6:
            return head[: end + 1].strip()
    return head


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
