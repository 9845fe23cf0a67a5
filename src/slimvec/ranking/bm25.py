"""BM25, the word-matching baseline that every dense model has to be held against, with its words and constants.

The scoring is bm25s's (arXiv 2407.03618), in Lucene's form. Its words are the terms of `slimvec.ranking.words` of two
characters or more without bm25s's English stop words, which is its own default; no stemming, so that no language is
favoured. Mining and filtering, which score a corpus in blocks, take words and constants from here.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import bm25s
import numpy as np
from bm25s.stopwords import STOPWORDS_EN

from slimvec.ranking.top_k import Ranking, Scores, rank_scores
from slimvec.ranking.words import is_character, split_terms

K1 = 1.5
"""Saturation of repeated words; bm25s's default. On eight English sets nDCG@10 is .638 with it and with 1.2, and .624
with 0.9 and B 0.4; without stop words .630."""
B = 0.75
"""Strength of length normalisation; bm25s's default."""

_STOP_WORDS = frozenset(STOPWORDS_EN)


def lexical_words(text: str, *, split_identifiers: bool = False) -> list[str]:
    """Words of a text as BM25 counts them.

    Args:
        text: The text.
        split_identifiers: Count the parts of `snake_case` names as words too.
    """
    words: list[str] = []
    for term in split_terms(text):
        parts = term.split("_") if split_identifiers and "_" in term else []
        words += [part for part in (term, *parts) if _counts(part)]
    return words


def rank_lexically(
    queries: Sequence[str],
    documents: Sequence[str],
    document_ids: Sequence[str],
    *,
    split_identifiers: bool = False,
    num_kept: int = 100,
) -> Ranking:
    """Rank documents by BM25.

    Args:
        queries: Q texts.
        documents: N texts.
        document_ids: N ids, each once.
        split_identifiers: Count the parts of `snake_case` names as words too. Much stronger on code (nDCG@10 .36
            to .46), no change on 13 other sets; off by default because it is not in what is commonly called BM25.
        num_kept: Documents kept for each query.
    """
    rows = score_lexically(queries, documents, split_identifiers=split_identifiers)
    return rank_scores(rows, document_ids, num_kept=num_kept)


def score_lexically(
    queries: Iterable[str], documents: Sequence[str], *, split_identifiers: bool = False
) -> Iterator[Scores]:
    """Score all documents by BM25, query by query: [N] each. No word in common is a score of 0.

    Arguments as for `rank_lexically`.
    """
    analyse = partial(lexical_words, split_identifiers=split_identifiers)
    return _scores([analyse(document) for document in documents], map(analyse, queries))


def _counts(word: str) -> bool:
    """Whether a word says enough to be looked for."""
    return (len(word) > 1 or is_character(word)) and word not in _STOP_WORDS


def _scores(documents: Sequence[list[str]], queries: Iterable[list[str]]) -> Iterator[Scores]:
    """Scores of all documents, query by query: [N] each. No word in common is a score of 0."""
    nothing = np.zeros(len(documents), dtype=np.float32)
    index = bm25s.BM25(k1=K1, b=B)
    if any(documents):  # bm25s cannot index or ask for no words at all
        index.index(documents, show_progress=False)
    for words in queries:
        yield index.get_scores(words) if words and any(documents) else nothing
