"""Which part of a hit matches: the query's words in it, and the sentence to show.

The sentence with most different words of the query is taken. Where no word of the query stands in the text, the match
is one of meaning, and the model says which sentence it is: the text is run once more, each sentence is pooled from the
states of its own tokens (`Embedder.embed_chunks`), and the one nearest to the query is taken.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slimvec.errors import SlimvecError
from slimvec.ranking.bm25 import lexical_words
from slimvec.ranking.words import is_character, word_spans
from slimvec.search.results import Highlight
from slimvec.text.sentences import sentence_spans

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder

Vectors = NDArray[np.float32]
_HEADING = 40
"""Characters up to which a sentence with as many words of the query stands back behind a longer one."""


def matched_words(text: str, words: Sequence[str]) -> list[tuple[int, int, str]]:
    """Find words of a query in a text: places (start, end), and the word each is."""
    wanted = set(words)
    spans = word_spans(text)
    found = []
    for number, (start, end) in enumerate(spans):
        if is_character(text[start:end]):  # looked for in pairs
            after = spans[number + 1][1] if number + 1 < len(spans) else end
            before = spans[number - 1][0] if number else start
            forms = _forms(text[start:after]) + _forms(text[before:end])
        else:
            forms = _forms(text[start:end])
        known = next((form for form in forms if form in wanted), None)
        if known is not None:
            found.append((start, end, known))
    return found


@lru_cache(maxsize=1 << 16)
def _forms(word: str) -> tuple[str, ...]:
    """Words that BM25 makes of a word."""
    return tuple(lexical_words(word, split_identifiers=True))


def highlight(
    text: str,
    found: Sequence[tuple[int, int, str]],
    *,
    embedder: "Embedder | None" = None,
    query: Vectors | None = None,
) -> Highlight:
    """Choose what of a text to show.

    Args:
        text: Text of the hit.
        found: Words of the query in it, as `matched_words` gives them.
        embedder: Chooses the sentence where no word does; None takes the first.
        query: The query's vector [D], for the embedder.
    """
    sentences = sentence_spans(text) or [(0, len(text))]
    places = tuple((start, end) for start, end, _ in found)
    if found:
        counts = [_num_matches(found, start, end) for start, end in sentences]
        start, end = sentences[counts.index(max(counts))]
        return Highlight(start=start, end=end, by="words", words=places)
    if embedder is not None and query is not None and len(sentences) > 1:
        nearest = _nearest_sentence(text, sentences, embedder, query)
        if nearest is not None:
            return Highlight(start=nearest[0], end=nearest[1], by="model")
    return Highlight(start=sentences[0][0], end=sentences[0][1], by="start")


def _num_matches(found: Sequence[tuple[int, int, str]], start: int, end: int) -> tuple[int, int, bool]:
    """Different words of the query within a sentence, all of them, and whether it is more than a heading."""
    words = [word for place, _, word in found if start <= place < end]
    return len(set(words)), len(words), end - start > _HEADING


def _nearest_sentence(
    text: str, sentences: Sequence[tuple[int, int]], embedder: "Embedder", query: Vectors
) -> tuple[int, int] | None:
    """The sentence nearest to a query; None when the model cannot say."""
    if embedder.spec.pooling.mode == "cls":
        return None
    try:
        found = embedder.embed_chunks(text, chunks=sentences, policy="window-mean")
    except SlimvecError:  # a sentence without a token of its own; what is shown is no reason to fail
        return None
    return sentences[int(np.argmax(found.vectors @ query))]
