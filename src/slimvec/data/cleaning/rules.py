"""The rules for one text alone: each says what is wrong with it, or nothing."""

from collections.abc import Callable
from typing import Literal

import regex

from slimvec.data.cleaning.settings import Cleaning
from slimvec.ranking.words import is_blank, normal_form, split_tokens

Role = Literal["query", "document"]
Rule = Literal[
    "empty",
    "too_short",
    "too_long",
    "few_letters",
    "markup",
    "stock_phrases",
    "repeated_lines",
    "common_lines",
    "copy",
    "language",
    "exact_duplicate",
    "near_duplicate",
]
"""Why a text or a record was left out."""

_LETTERS = regex.compile(r"[\p{L}\p{M}\p{N}]+")
# Names of HTML elements, as <Enter> and <number> are not markup; attributes have an equals sign, as prose has not.
_ELEMENTS = (
    "a|abbr|article|aside|b|big|blockquote|body|br|button|center|code|col|dd|div|dl|dt|em|font|footer|form|h[1-6]|head|"
    "header|hr|html|i|iframe|img|input|label|li|link|main|meta|nav|ol|p|pre|ref|script|section|small|span|strong|style|"
    "sub|sup|table|tbody|td|th|thead|title|tr|tt|u|ul"
)
_MARKUP = regex.compile(
    rf"</?(?:{_ELEMENTS})(?:\s[^<>]*=[^<>]*)?\s*/?>|<!--.*?-->|&(?:[a-z]+|#\d+|#x[\da-f]+);", regex.I | regex.S
)
_STOCK_LINE = regex.compile(
    r"\b(?:lorem ipsum|terms of use|terms of service|privacy policy|cookie policy|uses cookies|use of cookies|"
    r"use cookies|enable javascript|javascript (?:is|must be))\b",
    regex.I,
)
_LINES_FOR_REPETITION = 4


def text_fault(text: str, role: Role, settings: Cleaning) -> Rule | None:
    """Find the first rule that a text breaks, the cheapest rules first."""
    if is_blank(text):
        return "empty"
    fault = _length_fault(text, role, settings)
    if fault is None and role == "document" and settings.stock_phrases and has_stock_phrases(text):
        fault = "stock_phrases"
    return fault or next((rule for rule, is_broken in _CONTENT_RULES if is_broken(text, settings)), None)


def lines_of(text: str) -> list[str]:
    """The lines of a text that hold something, in their normal form."""
    return [line for line in map(normal_form, text.splitlines()) if line]


def letter_share(text: str) -> float:
    """Share of letters, marks and digits among the characters that are not white space."""
    num_visible = len("".join(text.split()))
    return sum(map(len, _LETTERS.findall(text))) / num_visible if num_visible else 0.0


def markup_share(text: str) -> float:
    """Share of characters that are in HTML tags, comments and entities."""
    return sum(map(len, _MARKUP.findall(text))) / len(text) if "<" in text or "&" in text else 0.0


def repeated_line_share(text: str) -> float:
    """Share of characters in lines that repeat an earlier one; 0 for texts of fewer than four lines."""
    lines = lines_of(text)
    if len(lines) < _LINES_FOR_REPETITION:
        return 0.0
    return 1 - sum(map(len, set(lines))) / sum(map(len, lines))


def has_stock_phrases(text: str) -> bool:
    """Whether a text is mostly filler, or lines about cookies, JavaScript, terms and privacy."""
    lines = lines_of(text)
    stock = sum(len(line) for line in lines if _STOCK_LINE.search(line))
    return stock > sum(map(len, lines)) / 2


def _length_fault(text: str, role: Role, settings: Cleaning) -> Rule | None:
    for unit, measure in _UNITS:
        low: int | None = getattr(settings, f"min_{role}_{unit}")
        high: int | None = getattr(settings, f"max_{role}_{unit}")
        if low is None and high is None:
            continue
        length = measure(text)
        if low is not None and length < low:
            return "too_short"
        if high is not None and length > high:
            return "too_long"
    return None


def _num_chars(text: str) -> int:
    return len(text.strip())


def _num_words(text: str) -> int:
    return len(split_tokens(text))


def _is_above(share: float, limit: float | None) -> bool:
    return limit is not None and share > limit


_UNITS: tuple[tuple[str, Callable[[str], int]], ...] = (("chars", _num_chars), ("words", _num_words))
_CONTENT_RULES: tuple[tuple[Rule, Callable[[str, Cleaning], bool]], ...] = (
    ("few_letters", lambda text, limits: limits.min_letters is not None and letter_share(text) < limits.min_letters),
    ("markup", lambda text, limits: _is_above(markup_share(text), limits.max_markup)),
    ("repeated_lines", lambda text, limits: _is_above(repeated_line_share(text), limits.max_repeated_lines)),
)
