"""Do the engines compute the same thing? Vectors against the float32 reference, and what the difference costs."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from benchmarks.engines.base import Vectors, unit
from benchmarks.results import Parity, RetrievalResult
from benchmarks.workloads import Workload
from slimvec.data.retrieval import RetrievalSet
from slimvec.evaluation.retrieval import measure_vectors
from slimvec.ranking.metrics import MAIN_METRIC

_NUM_PLAIN, _NUM_INSTRUCTED = 48, 16


class HasVectors(Protocol):
    """What parity needs of a worker."""

    def ask(self, do: str, **arguments: object) -> dict[str, object]:
        """Send a request and wait for its answer."""
        ...

    def vectors(self, name: str) -> Vectors:
        """Vectors of kept texts: [N, D]."""
        ...


def parity_samples(workloads: Sequence[Workload]) -> list[tuple[list[str], bool]]:
    """Texts to compare vectors of: some of each workload, with the instruction where it has one."""
    samples = []
    for workload in workloads:
        count = _NUM_INSTRUCTED if workload.instructed or workload.one_by_one else _NUM_PLAIN
        if max(workload.lengths) * count > 16 * 512:  # whole documents are slow to compare and no harder
            count = 4
        samples.append((list(workload.texts[:count]), workload.instructed))
    return samples


def sample_vectors(worker: HasVectors, samples: Sequence[tuple[list[str], bool]]) -> Vectors:
    """Vectors of all samples, one below the other, of unit length.

    Raises:
        WorkerError: the worker failed.
    """
    parts = [embed(worker, texts, instructed=instructed) for texts, instructed in samples]
    return np.concatenate(parts)


def embed(worker: HasVectors, texts: Sequence[str], *, instructed: bool) -> Vectors:
    """Embed texts in a worker: [N, D] of unit length.

    Raises:
        WorkerError: the worker failed.
    """
    worker.ask("keep", name="sample", texts=list(texts), instructed=instructed)
    return unit(worker.vectors("sample"))


def compare(vectors: Vectors, reference: Vectors) -> Parity:
    """Cosines row by row."""
    cosines = np.einsum("nd,nd->n", vectors.astype(np.float64), reference.astype(np.float64))
    return Parity(min_cosine=float(cosines.min()), mean_cosine=float(cosines.mean()), num_texts=len(cosines))


def compare_retrieval(
    engines: Mapping[str, HasVectors], reference: HasVectors, dataset: RetrievalSet
) -> dict[str, RetrievalResult]:
    """Score engines and the reference on the same set, by engine.

    Raises:
        WorkerError: a worker failed.
    """
    if not engines:
        return {}
    expected = _ndcg(reference, dataset)
    scores = {name: _ndcg(worker, dataset) for name, worker in engines.items()}
    return {
        name: RetrievalResult(
            name=dataset.name,
            num_documents=len(dataset.documents),
            num_queries=len(dataset.queries),
            ndcg_at_10=score,
            reference_ndcg_at_10=expected,
            difference=score - expected,
        )
        for name, score in scores.items()
    }


def _ndcg(worker: HasVectors, dataset: RetrievalSet) -> float:
    documents = embed(worker, [document.content for document in dataset.documents], instructed=False)
    queries = embed(worker, [query.text for query in dataset.queries], instructed=True)
    return float(measure_vectors(queries, documents, dataset)[MAIN_METRIC].mean())
