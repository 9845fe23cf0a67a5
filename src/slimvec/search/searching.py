"""Searching an index: by vectors, by words, or both fused; then, where asked, the model reads the best once more."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slimvec.errors import InputError
from slimvec.ranking.bm25 import lexical_words
from slimvec.ranking.fusion import RANKED_DEPTH, FusedRow, Ranked, fuse_ranks
from slimvec.search.chunking import embedded_text
from slimvec.search.filters import Filters
from slimvec.search.highlighting import highlight, matched_words
from slimvec.search.results import Explanation, Hit, SearchResult
from slimvec.search.store import IndexDataError, readable
from slimvec.search.vectors import Vectors

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder
    from slimvec.search.index import Index

RankingName = Literal["vector", "text", "hybrid"]
_FEW = 20_000
"""Rows that a filter leaves which are compared one by one: an approximate index would look past most of them."""


_KEPT = (
    "path", "kind", "modified", "number", "title", "heading", "record", "page", "first_line", "last_line", "start",
    "end", "text",
)  # fmt: skip
"""Columns that a hit has as they are."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search of the table gave."""

    rows: list[FusedRow]
    values: list[dict[str, Any]]
    num_searched: int
    is_exact: bool
    recall: float | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row that may become a hit."""

    score: float
    values: dict[str, Any]
    explanation: Explanation


def search(
    index: "Index",
    query: str,
    *,
    top: int = 10,
    ranking: RankingName = "hybrid",
    filters: Filters | None = None,
    task: str | None = None,
    rerank: int = 0,
    exact: bool = False,
    vector: Vectors | None = None,
    highlight_by_model: bool = True,
) -> SearchResult:
    """Search an index.

    Args:
        index: The index.
        query: What is asked.
        top: Most hits.
        ranking: `vector` by cosine, `text` by BM25, `hybrid` by the fused ranks of both.
        filters: Which chunks are searched; default all.
        task: A task the model knows, or an instruction, for the query's prompt.
        rerank: How many of the best the model reads once more together with the query (`Embedder.rerank`); 0 for none.
            What is not among them is not given.
        exact: Compare all vectors, though there is an approximate index.
        vector: The query's vector [D], if it is known already.
        highlight_by_model: Have the model choose the sentence to show of a hit without any of the query's words,
            which takes a pass over its text.

    Raises:
        InputError: an empty query, an unknown ranking, kind or task, or a number of hits below 1.
        ModelError: another model made the index, or reranking is asked of one that has no language model.
        IndexDataError: the index is gone, or damaged.
    """
    if ranking not in ("vector", "text", "hybrid"):
        raise InputError(f"ranking {ranking!r}", expected="vector, text or hybrid")
    if top < 1:
        raise InputError(f"{top} hits", expected="at least 1")
    if rerank < 0:
        raise InputError(f"rerank {rerank}", expected="0 for none, or how many to rerank")
    if not query.strip():
        raise InputError("the query is empty", expected="some text")
    index.refresh()
    data, started, is_truncated = index.description.data, time.perf_counter(), False
    embedder = index.embedder if ranking != "text" or rerank else None
    asked = vector
    if embedder is not None and asked is None:
        asked, is_truncated = query_vector(embedder, query, task)
    embedded = time.perf_counter()
    words = list(dict.fromkeys(lexical_words(query, split_identifiers=True)))
    try:
        found = _find(
            index, data, asked if ranking != "text" else None, words, rerank or top, ranking, filters or Filters(),
            exact=exact,
        )  # fmt: skip
    except IndexDataError:
        index.refresh()
        if index.description.data == data:
            raise
        return search(  # it has been made anew meanwhile, perhaps by another model
            index, query, top=top, ranking=ranking, filters=filters, task=task, rerank=rerank, exact=exact,
            vector=vector, highlight_by_model=highlight_by_model,
        )  # fmt: skip
    candidates = [_candidate(row, values, ranking) for row, values in zip(found.rows, found.values, strict=True)]
    if rerank and candidates:
        assert embedder is not None
        candidates = _reranked(embedder, query, candidates, task)
    chooser = embedder if highlight_by_model else None
    return SearchResult(
        query=query,
        ranking=f"{ranking} + rerank" if rerank else ranking,
        hits=tuple(
            _hit(rank, candidate, words, chooser, asked) for rank, candidate in enumerate(candidates[:top], start=1)
        ),
        num_searched=found.num_searched,
        is_exact=found.is_exact,
        recall=found.recall,
        query_truncated=is_truncated,
        prompt=embedder.spec.prompts.render("query", task) if embedder else "",
        embed_seconds=embedded - started,
        search_seconds=time.perf_counter() - embedded,
    )


def query_vector(embedder: "Embedder", query: str, task: str | None = None) -> tuple[Vectors, bool]:
    """Embed a query as an index compares it: [D], and whether it was truncated."""
    found = embedder.embed([query], role="query", task=task)
    vector: Vectors = found.vectors[0]
    if embedder.spec.similarity == "cosine" and not embedder.for_role("query").spec.normalize:
        vector = vector / np.linalg.norm(vector)
    return vector, found.num_truncated > 0


def _find(
    index: "Index",
    data: str,
    vector: Vectors | None,
    words: list[str],
    top: int,
    ranking: str,
    filters: Filters,
    *,
    exact: bool,
) -> _Found:
    """Ask the table, in one version of it.

    Raises:
        IndexDataError: it is damaged, or other data than those that the query was embedded for.
    """
    where = filters.where()
    with index.lock, readable(index.folder):
        if index.description.data != data:
            raise IndexDataError(f"{index.folder} has been made anew")
        num_searched = index.table.count(where)
        approximation = index.description.approximation
        if exact or (where is not None and num_searched <= _FEW):
            approximation = None
        depth = max(top, RANKED_DEPTH) if ranking == "hybrid" else top
        nearest, matching = Ranked([], []), Ranked([], [])
        if vector is not None and num_searched and index.columns is not None:
            num_probes = approximation.num_probes if approximation else None
            nearest = index.columns.search(index.table, vector, top=depth, where=where, num_probes=num_probes)
        if ranking != "vector" and num_searched:
            matching = index.table.search_words(words, top=depth, where=where)
        rows = fuse_ranks([nearest, matching], top=top)
        values = index.table.take([row.row for row in rows])
    is_exact = approximation is None or vector is None
    recall = None if is_exact or approximation is None else approximation.recall
    return _Found(rows, values, num_searched, is_exact, recall)


def _candidate(row: FusedRow, values: dict[str, Any], ranking: str) -> _Candidate:
    """Score a row by its ranking, and say why."""
    vector_rank, text_rank = row.ranks
    cosine, bm25 = row.scores
    explanation = Explanation(
        vector_rank=vector_rank,
        cosine=cosine,
        text_rank=text_rank,
        bm25=bm25,
        fused=row.score if ranking == "hybrid" else None,
    )
    score = {"vector": cosine, "text": bm25, "hybrid": row.score}[ranking]
    assert score is not None  # in a ranking of one kind every row has its score
    return _Candidate(score, values, explanation)


def _reranked(embedder: "Embedder", query: str, candidates: list[_Candidate], task: str | None) -> list[_Candidate]:
    """Put candidates in the order that the model gives them, reading each with the query."""
    contents = [embedded_text(one.values["title"], one.values["heading"], one.values["text"]) for one in candidates]
    cosines = [one.explanation.cosine for one in candidates]
    known = [cosine for cosine in cosines if cosine is not None]
    given = embedder.rerank(query, contents, task=task, cosines=known if len(known) == len(cosines) else None)
    return [
        _Candidate(
            found.score,
            candidates[found.index].values,
            candidates[found.index].explanation.model_copy(
                update={"rerank": found.score, "cosine": found.cosine, "likelihood": found.likelihood}
            ),
        )
        for found in given
    ]


def _hit(
    rank: int, candidate: _Candidate, words: list[str], embedder: "Embedder | None", vector: Vectors | None
) -> Hit:
    values = candidate.values
    found = matched_words(values["text"], words)
    matched = tuple(dict.fromkeys(word for _, _, word in found))
    return Hit(
        rank=rank,
        score=candidate.score,
        **{name: values[name] for name in _KEPT},
        highlight=highlight(values["text"], found, embedder=embedder, query=vector),
        explanation=candidate.explanation.model_copy(update={"words": matched}),
    )
