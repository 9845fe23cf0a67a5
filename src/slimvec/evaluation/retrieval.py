"""Score an embedding model, or BM25, on a retrieval set: the same ranking, metrics and intervals for both."""

from collections.abc import Callable, Mapping
from time import perf_counter

import numpy as np

from slimvec.data.retrieval import RetrievalSet
from slimvec.errors import InputError
from slimvec.evaluation.models import Counts, Ledger, ModelCard
from slimvec.evaluation.results import MetricValues, Score, SubsetResult, TaskResult
from slimvec.evaluation.samples import WHOLE
from slimvec.ranking.bm25 import K1, B, rank_lexically
from slimvec.ranking.metrics import MAIN_METRIC, NUM_KEPT, measure
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
    prompts: Mapping[str, str] | None = None,
    task: str | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    on_progress: Progress | None = None,
) -> TaskResult:
    """Score a model by exact search over all documents.

    Args:
        embedder: The model.
        dataset: Documents, queries and judgements.
        prompts: What the model writes in front of the texts, by role, for the result; None where nobody knows.
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
    ledger, known = Ledger(), prompts or {}
    ledger.add("query", known.get("query"), queries)
    ledger.add("document", known.get("document"), documents)
    return _result(dataset, values, task, ledger.counts, start, seed, num_resamples)


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
    counts: Counts = {"prompts": {}, "num_texts": num_texts(dataset), "num_tokens": 0, "truncated_share": 0.0}
    return _result(dataset, _measure(ranking, dataset), None, counts, start, seed, num_resamples)


def bm25_card(*, split_identifiers: bool = False) -> ModelCard:
    """Say what results tell of BM25; arguments as for `score_bm25`."""
    name = "BM25, identifiers split" if split_identifiers else "BM25"
    return ModelCard(name=name, kind="bm25", identity=f"bm25s lucene k1={K1} b={B}", dtype="float32")


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
    task: str | None,
    counts: Counts,
    start: float,
    seed: int,
    num_resamples: int,
) -> TaskResult:
    query_ids = tuple(query.id for query in dataset.queries)
    intervals = bootstrap_intervals(np.stack(list(values.values()), axis=1), seed=seed, num_resamples=num_resamples)
    found = {
        name: MetricValues(score=Score.of(interval, len(query_ids)), values=tuple(column.tolist()))
        for (name, column), interval in zip(values.items(), intervals, strict=True)
    }
    main = found[MAIN_METRIC]
    subset = SubsetResult(
        subset=WHOLE,
        score=main.score,
        metrics={name: one.score.value for name, one in found.items()},
        sample_ids=query_ids,
        values=main.values,
        other_metrics={name: one for name, one in found.items() if name != MAIN_METRIC},
        **counts,
    )
    return TaskResult(
        task=dataset.name,
        kind="Retrieval",
        measure=MAIN_METRIC,
        score=main.score,
        unit="queries",
        method="mean",
        subsets=(subset,),
        instruction=task,
        dataset_hash=dataset.content_hash,
        seconds=perf_counter() - start,
        num_documents=len(dataset.documents),
        num_unjudged=dataset.num_unjudged,
        own_left_out=dataset.leaves_out_own,
    )
