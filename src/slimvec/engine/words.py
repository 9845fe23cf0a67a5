"""Tokens of a text grouped by its words, for showing."""

from collections.abc import Sequence

from slimvec.ranking.words import word_spans


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
