"""Score an embedding model, or BM25, on a retrieval set: the same ranking, metrics and intervals for both."""

from collections.abc import Callable
from time import perf_counter

import numpy as np

from slimvec.data.retrieval import RetrievalSet
from slimvec.errors import InputError
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import Score, TaskResult, package_versions
from slimvec.ranking.bm25 import K1, B, rank_lexically
from slimvec.ranking.metrics import NUM_KEPT, measure
from slimvec.ranking.top_k import Ranking, Vectors, rank_vectors
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.statistics.resampling import NUM_RESAMPLES, Values
from slimvec.text.embeddings import Embeddings, TextEmbedder
from slimvec.text.prompts import Role

Progress = Callable[[int], None]


def score_retrieval(
    embedder: TextEmbedder,
    dataset: RetrievalSet,
    *,
    system: ModelCard,
    task: str | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    on_progress: Progress | None = None,
) -> TaskResult:
    """Score a model by exact search over all documents.

    Args:
        embedder: The model.
        dataset: Documents, queries and judgements.
        system: What the model is called and known by, for the result.
        task: Task or instruction the texts are embedded for; default the model's.
        seed: Random seed for the bootstrap.
        num_resamples: Number of resamples of the bootstrap.
        on_progress: Called with how many more texts are embedded, of `num_texts(dataset)`.

    Raises:
        InputError: a text that cannot be embedded; which is said by the set's name, the role and the text's number.
    """
    from slimvec.engine.embedder import Embedder  # torch, which BM25 does without
    from slimvec.engine.similarity import as_products

    start = perf_counter()
    documents = _embed(embedder, dataset, "document", task, on_progress)
    queries = _embed(embedder, dataset, "query", task, on_progress)
    pair = queries.vectors, documents.vectors
    if isinstance(embedder, Embedder):
        pair = as_products(*pair, embedder.spec)
    values = measure_vectors(*pair, dataset)
    truncated_share = (queries.num_truncated + documents.num_truncated) / num_texts(dataset)
    return _result(dataset, values, system, task, truncated_share, start, seed, num_resamples)


def score_bm25(
    dataset: RetrievalSet, *, split_identifiers: bool = False, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> TaskResult:
    """Score BM25 on a retrieval set.

    Args:
        dataset: Documents, queries and judgements.
        split_identifiers: Count the parts of `snake_case` names as words too; the stronger baseline on code.
        seed: Random seed for the bootstrap.
        num_resamples: Number of resamples of the bootstrap.
    """
    start = perf_counter()
    ranking = rank_lexically(
        [query.text for query in dataset.queries],
        [document.content for document in dataset.documents],
        _document_ids(dataset),
        split_identifiers=split_identifiers,
        num_kept=NUM_KEPT + 1,
    )
    name = "BM25, identifiers split" if split_identifiers else "BM25"
    system = ModelCard(name=name, kind="bm25", identity=f"bm25s lucene k1={K1} b={B}", dtype="float32")
    return _result(dataset, _measure(ranking, dataset), system, None, 0.0, start, seed, num_resamples)


def measure_vectors(queries: Vectors, documents: Vectors, dataset: RetrievalSet) -> dict[str, Values]:
    """Score every query by exact search: values [Q] by metric, as `slimvec.ranking.metrics.measure` gives them.

    A query that is a document of the set itself does not find itself (`RetrievalSet.leaves_out_own`).

    Args:
        queries: [Q, D], in the set's order.
        documents: [N, D], likewise.
        dataset: Says what is relevant.
    """
    return _measure(rank_vectors(queries, documents, _document_ids(dataset), num_kept=NUM_KEPT + 1), dataset)


def num_texts(dataset: RetrievalSet) -> int:
    """How many texts scoring embeds: queries and documents."""
    return len(dataset.queries) + len(dataset.documents)


def _embed(
    embedder: TextEmbedder, dataset: RetrievalSet, role: Role, task: str | None, on_progress: Progress | None
) -> Embeddings:
    if role == "query":
        texts = [query.text for query in dataset.queries]
    else:
        texts = [document.content for document in dataset.documents]
    try:
        return embedder.embed(texts, role=role, task=task, on_progress=on_progress)
    except InputError as error:
        raise InputError(f"{dataset.name}, {role}: {error.found}", expected=error.expected, do=error.do) from error


def _document_ids(dataset: RetrievalSet) -> list[str]:
    return [document.id for document in dataset.documents]


def _measure(ranking: Ranking, dataset: RetrievalSet) -> dict[str, Values]:
    """Score a ranking of one document more than is looked at, in case one is the query's own."""
    query_ids = [query.id for query in dataset.queries]
    ranking = ranking.own_last(query_ids) if dataset.leaves_out_own else ranking
    return measure(ranking, query_ids, dataset.qrels)


def _result(
    dataset: RetrievalSet,
    values: dict[str, Values],
    system: ModelCard,
    task: str | None,
    truncated_share: float,
    start: float,
    seed: int,
    num_resamples: int,
) -> TaskResult:
    query_ids = [query.id for query in dataset.queries]
    intervals = bootstrap_intervals(np.stack(list(values.values()), axis=1), seed=seed, num_resamples=num_resamples)
    return TaskResult(
        task=dataset.name,
        system=system,
        metrics={name: Score.of(interval, len(query_ids)) for name, interval in zip(values, intervals, strict=True)},
        query_ids=tuple(query_ids),
        per_query={name: tuple(column.tolist()) for name, column in values.items()},
        num_queries=len(dataset.queries),
        num_documents=len(dataset.documents),
        num_unjudged=dataset.num_unjudged,
        own_left_out=dataset.leaves_out_own,
        truncated_share=truncated_share,
        instruction=task,
        seconds=perf_counter() - start,
        seed=seed,
        dataset_hash=dataset.content_hash,
        versions=package_versions(),
    )
