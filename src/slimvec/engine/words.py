"""Words of a text, for showing: what a reader takes as one piece. No linguistics, only Unicode categories."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts that put no space between words; their characters stand alone."""
_APOSTROPHES = "'\u2019"
_Kind = Literal["space", "word", "alone", "mark", "other"]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Give the words of a text: runs of letters and digits, single characters of unspaced scripts, runs of the rest.

    Returns:
        Places (start, end) in characters, without white space.
    """
    spans: list[tuple[int, int]] = []
    before: _Kind = "space"
    for place, kind in enumerate(_kinds(text)):
        if kind == "space":
            before = kind
        elif before != "space" and (kind == "mark" or (kind == before and kind != "alone")):
            spans[-1] = (spans[-1][0], place + 1)
        else:
            spans.append((place, place + 1))
            before = "word" if kind == "mark" else kind
    return spans


def group_by_words(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Group the tokens of a text by words.

    A token that reaches into several words joins them; one that holds white space only stays alone.

    Args:
        text: The text.
        spans: Places of its N tokens, in order.

    Returns:
        Groups (start, end) of token numbers that follow each other from 0 to N.
    """
    words = word_spans(text)
    groups: list[tuple[int, int]] = []
    reach = -1  # the last word that the open group touches
    word = 0
    for number, (start, end) in enumerate(spans):
        while word < len(words) and words[word][1] <= start:
            word += 1
        last = word
        while last < len(words) and words[last][0] < end:
            last += 1
        touches = last > word and end > start
        if touches and word <= reach:
            groups[-1] = (groups[-1][0], number + 1)
        else:
            groups.append((number, number + 1))
        reach = max(reach, last - 1) if touches else reach
    return groups


def _kinds(text: str) -> Iterator[_Kind]:
    """Kind of each character."""
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        if character.isspace():
            yield "space"
        elif category[0] == "M":
            yield "mark"
        elif unicodedata.name(character, "").startswith(_UNSPACED):
            yield "alone"
        elif category[0] in "LN" or character == "_" or _is_inner_apostrophe(text, place):
            yield "word"
        else:
            yield "other"


def _is_inner_apostrophe(text: str, place: int) -> bool:
    """Whether a character is the apostrophe of a word like "don't"."""
    around = text[place - 1 : place] + text[place + 1 : place + 2] if place else ""
    return text[place] in _APOSTROPHES and len(around) == 2 and around.isalpha()
