"""Searching an index: by vectors, by words, or both fused; then, where asked, the model reads the best once more."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slimvec.errors import InputError
from slimvec.ranking.bm25 import lexical_words
from slimvec.search.filters import Filters
from slimvec.search.fusion import DEPTH, FusedRow, fuse
from slimvec.search.highlighting import highlight, matched_words
from slimvec.search.index import Index
from slimvec.search.results import Explanation, Hit, SearchResult
from slimvec.search.store import Ranked
from slimvec.search.vectors import Vectors

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder

RankingName = Literal["vector", "text", "hybrid"]
_FEW = 20_000
"""Rows that a filter leaves which are compared one by one: an approximate index would look past most of them."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search of the table gave."""

    rows: list[FusedRow]
    values: list[dict[str, Any]]
    num_searched: int
    is_exact: bool
    recall: float | None


def search(
    index: Index,
    query: str,
    *,
    top: int = 10,
    ranking: RankingName = "hybrid",
    filters: Filters | None = None,
    task: str | None = None,
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
        exact: Compare all vectors, though there is an approximate index.
        vector: The query's vector [D], if it is known already.
        highlight_by_model: Have the model choose the sentence to show of a hit without any of the query's words,
            which takes a pass over its text.

    Raises:
        InputError: an empty query, an unknown ranking, kind or task, or a number of hits below 1.
        ModelError: another model made the index.
    """
    if ranking not in ("vector", "text", "hybrid"):
        raise InputError(f"ranking {ranking!r}", expected="vector, text or hybrid")
    if top < 1:
        raise InputError(f"{top} hits", expected="at least 1")
    if not query.strip():
        raise InputError("the query is empty", expected="some text")
    index.refresh()
    started = time.perf_counter()
    embedder = None if ranking == "text" else index.embedder
    if embedder is not None and vector is None:
        vector = query_vector(embedder, query, task)
    embedded = time.perf_counter()
    words = list(dict.fromkeys(lexical_words(query, split_identifiers=True)))
    found = _find(index, vector if embedder else None, words, top, ranking, filters or Filters(), exact=exact)
    chooser = embedder if highlight_by_model else None
    hits = [
        _hit(rank, row, values, ranking, words, chooser, vector)
        for rank, (row, values) in enumerate(zip(found.rows, found.values, strict=True), start=1)
    ]
    return SearchResult(
        query=query,
        ranking=ranking,
        hits=tuple(hits),
        num_searched=found.num_searched,
        is_exact=found.is_exact,
        recall=found.recall,
        prompt=embedder.spec.prompts.render("query", task) if embedder else "",
        embed_seconds=embedded - started,
        search_seconds=time.perf_counter() - embedded,
    )


def query_vector(embedder: "Embedder", query: str, task: str | None = None) -> Vectors:
    """Embed a query as an index compares it: [D]."""
    vector: Vectors = embedder.embed([query], role="query", task=task).vectors[0]
    if embedder.spec.similarity == "cosine" and not embedder.spec.normalize:
        vector = vector / np.linalg.norm(vector)
    return vector


def _find(
    index: Index, vector: Vectors | None, words: list[str], top: int, ranking: str, filters: Filters, *, exact: bool
) -> _Found:
    """Ask the table, in one version of it."""
    where = filters.where()
    with index.lock:
        num_searched = index.table.count(where)
        approximation = index.description.approximation
        if exact or (where is not None and num_searched <= _FEW):
            approximation = None
        depth = max(top, DEPTH) if ranking == "hybrid" else top
        nearest, matching = Ranked([], []), Ranked([], [])
        if vector is not None and num_searched and index.columns is not None:
            num_probes = approximation.num_probes if approximation else None
            nearest = index.columns.search(index.table, vector, top=depth, where=where, num_probes=num_probes)
        if ranking != "vector" and num_searched:
            matching = index.table.search_words(words, top=depth, where=where)
        rows = fuse([nearest, matching], top=top)
        values = index.table.take([row.row for row in rows])
    is_exact = approximation is None or vector is None
    recall = None if is_exact or approximation is None else approximation.recall
    return _Found(rows, values, num_searched, is_exact, recall)


def _hit(
    rank: int,
    row: FusedRow,
    values: dict[str, Any],
    ranking: str,
    words: list[str],
    embedder: "Embedder | None",
    vector: Vectors | None,
) -> Hit:
    text = str(values["text"])
    vector_rank, text_rank = row.ranks
    cosine, bm25 = row.scores
    explanation = Explanation(
        vector_rank=vector_rank,
        cosine=cosine,
        text_rank=text_rank,
        bm25=bm25,
        words=tuple(dict.fromkeys(word for _, _, word in matched_words(text, words))),
        fused=row.score if ranking == "hybrid" else None,
    )
    score = {"vector": cosine, "text": bm25, "hybrid": row.score}[ranking]
    assert score is not None  # in a ranking of one kind every row has its score
    kept = {
        name: values[name]
        for name in ("path", "kind", "modified", "number", "title", "heading", "record", "page", "first_line")
    }
    return Hit(
        rank=rank,
        score=score,
        **kept,
        last_line=values["last_line"],
        start=values["start"],
        end=values["end"],
        text=text,
        highlight=highlight(text, words, embedder=embedder, query=vector),
        explanation=explanation,
    )
