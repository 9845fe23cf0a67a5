"""BM25, the word-matching baseline that every dense model has to be held against.

The scoring is bm25s's (arXiv 2407.03618), in Lucene's form; `slimvec.data.lexical` says what a word is.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import bm25s
import numpy as np

from slimvec.data.lexical import K1, B, lexical_words
from slimvec.evaluation.ranking import Ranking, Scores, rank_scores


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
    analyse = partial(lexical_words, split_identifiers=split_identifiers)
    rows = _scores([analyse(document) for document in documents], map(analyse, queries))
    return rank_scores(rows, document_ids, num_kept=num_kept)


def _scores(documents: Sequence[list[str]], queries: Iterable[list[str]]) -> Iterator[Scores]:
    """Scores of all documents, query by query: [N] each. No word in common is a score of 0."""
    nothing = np.zeros(len(documents), dtype=np.float32)
    index = bm25s.BM25(k1=K1, b=B)
    if any(documents):  # bm25s cannot index or ask for no words at all
        index.index(documents, show_progress=False)
    for words in queries:
        yield index.get_scores(words) if words and any(documents) else nothing
