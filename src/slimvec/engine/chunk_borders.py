"""Where a text is cut into chunks of so many tokens: behind a sentence if possible, else between words."""

from collections.abc import Sequence

_FULL_STOPS = ".!?\u2026"
_WIDE_STOPS = "\u3002\uff01\uff1f\u0964\u0f0d"  # of Chinese and Japanese, Devanagari, Tibetan: no space need follow
_LOOK_BACK = 16
_CLOSERS = "\"'\u201d\u2019)]\u00bb"


def cut_by_tokens(text: str, ends: Sequence[int], chunk_tokens: int) -> list[tuple[int, int]]:
    """Cut a text's tokens into runs of at most `chunk_tokens`.

    Each run ends at the last end of a sentence in its second half, else at the last end of a word there, else where it
    is full; never within a character, unless one character alone has more tokens than that.

    Args:
        text: The text.
        ends: Characters before the end of each of its N tokens.
        chunk_tokens: Most tokens of a run; at least 1.

    Returns:
        Runs (start, end) of token numbers that follow each other from 0 to N.
    """
    runs = []
    start = 0
    while start < len(ends):
        end = len(ends)
        if start + chunk_tokens < len(ends):
            end = _best_border(text, ends, start, start + chunk_tokens)
        runs.append((start, end))
        start = end
    return runs


def _best_border(text: str, ends: Sequence[int], start: int, full: int) -> int:
    """Choose where the run from `start` ends, at `full` or before."""
    borders = [number for number in range(full, start, -1) if ends[number - 1] < ends[number]]
    if not borders:  # within one character: go on to its end
        return next((number for number in range(full, len(ends)) if ends[number - 1] < ends[number]), len(ends))
    late = [number for number in borders if 2 * (number - start) > full - start]
    for is_border in (_ends_sentence, _ends_word):
        for number in late:
            if is_border(text, ends[number - 1]):
                return number
    return borders[0]


def _ends_sentence(text: str, place: int) -> bool:
    """Whether a sentence or a line ends at a place in a text."""
    before = text[max(place - _LOOK_BACK, 0) : place].rstrip(" ")
    if before.endswith("\n") or text[place : place + 1] == "\n":
        return True
    before = before.rstrip(_CLOSERS)
    return before.endswith(tuple(_WIDE_STOPS)) or (before.endswith(tuple(_FULL_STOPS)) and _ends_word(text, place))


def _ends_word(text: str, place: int) -> bool:
    """Whether a word ends at a place in a text."""
    return text[place - 1 : place].isspace() or text[place : place + 1].isspace() or place == len(text)
