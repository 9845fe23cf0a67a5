"""From a docstring to a summary sentence and a readable body, markup of Sphinx, numpydoc and Markdown taken off."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

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
