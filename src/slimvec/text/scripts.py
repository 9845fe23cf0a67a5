"""Scripts: which one a character or a text is written in, by Unicode's own property."""

import sys
import unicodedata
from collections import Counter
from functools import cache, lru_cache

import regex

_OTHER_NAMES = {"CJK": "Han", "CANADIAN": "Canadian Aboriginal"}
"""Scripts whose characters are named after something else."""
_MOST_WORDS = 4


@lru_cache(maxsize=200_000)
def script_of(character: str) -> str | None:
    """Give the script of a character, as `Tibetan` or `Ol Chiki`.

    The names of a script's letters begin with the script's name; Unicode's property then says whether that is so. A
    character that several scripts share (digits, punctuation, accents) has none.

    Args:
        character: One.
    """
    words = unicodedata.name(character, "").split()
    starts = [" ".join(words[:number]) for number in range(1, min(len(words), _MOST_WORDS) + 1)]
    for start in starts:
        script = _OTHER_NAMES.get(start, start.title())
        pattern = _pattern(script)
        if pattern is not None and pattern.match(character):
            return script
    return None


def main_script(text: str) -> str | None:
    """Give the script that most of a text's characters are of, the first in the alphabet of several; None without."""
    counts = Counter(script for character in text if (script := script_of(character)) is not None)
    return min(counts, key=lambda script: (-counts[script], script), default=None)


@cache
def characters_by_script() -> dict[str, str]:
    """List the letters and marks of every script that Unicode knows here, in the order of their numbers."""
    found: dict[str, str] = {}
    left = "".join(c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c)[0] in "LM")
    while left:
        script = script_of(left[0])
        pattern = None if script is None else _pattern(script)
        if script is None or pattern is None:
            left = left[1:]
            continue
        found[script] = "".join(pattern.findall(left))
        left = pattern.sub("", left)
    return dict(sorted(found.items()))


@cache
def _pattern(script: str) -> "regex.Pattern[str] | None":
    """Pattern of a script's characters; None where there is no script of this name."""
    try:
        return regex.compile(rf"\p{{Script={script}}}")
    except regex.error:
        return None
