"""Texts as words and characters, so that texts of all scripts can be compared and measured alike.

In scripts that do not mark words with spaces every character (with its combining marks) is a token of its own; in all
others a token is an unbroken run of letters, marks and digits. Punctuation and symbols are no tokens.
"""

import unicodedata
from functools import lru_cache

import regex

# Thai, Lao, Khmer and Myanmar put spaces between phrases, Tibetan between sentences (its syllables end in a dot).
_SPACELESS = (
    r"\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}"
    r"\p{Script=Myanmar}\p{Script=Tibetan}\u30fc"  # the sound mark lengthens a vowel of either kana
)
_TOKEN = regex.compile(
    rf"[[{_SPACELESS}]&&[\p{{L}}\p{{N}}]]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{_SPACELESS}]]+", regex.V1
)
_CHARACTER = regex.compile(rf"[{_SPACELESS}]", regex.V1)
_SIGN = regex.compile(r"[\p{L}\p{M}\p{N}\p{S}]")


def split_tokens(text: str) -> list[str]:
    """Split a text into its tokens, with compatibility forms (full-width letters, ligatures) and capitals undone."""
    found: list[str] = _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())
    return found


@lru_cache(maxsize=1 << 16)
def is_character(token: str) -> bool:
    """Whether a token is one character of a script without spaces, rather than a word."""
    return _CHARACTER.match(token) is not None


def normal_form(text: str) -> str:
    """Undo what two copies of a text may differ in: white space, capitals, and the ways to compose accents."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def is_blank(text: str) -> bool:
    """Whether a text says nothing: it has no letter, digit or symbol, only marks of punctuation or invisible signs."""
    return _SIGN.search(text) is None
