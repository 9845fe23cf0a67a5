"""BM25 as what is evaluated, on the retrieval tasks of a suite: it has no vectors, and so no scores on any other.

Its results pair with those of any model on the same suite: same parts of the sets, same queries, same measure.
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from slimvec.data.retrieval import RetrievalSet
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.errors import InputError
from slimvec.evaluation.results import EvaluationResult, Score, SubsetResult, TaskResult, package_versions, task_values
from slimvec.evaluation.retrieval import bm25_card, score_bm25
from slimvec.evaluation.samples import folder_of, query_names, sets_hash, split_retrieval
from slimvec.evaluation.suite import Suite, TaskEntry
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.statistics.resampling import NUM_RESAMPLES

LEXICAL_NAME = "bm25"
"""What it is called where a model is asked for."""


def evaluate_bm25(
    suite: Suite,
    *,
    data: Path | None,
    num_resamples: int = NUM_RESAMPLES,
    strict: bool = False,
    on_left_out: Callable[[str], None] | None = None,
    on_result: Callable[[TaskResult], None] | None = None,
) -> EvaluationResult:
    """Score BM25 on the retrieval tasks of a suite that have local data.

    Args:
        suite: Its other tasks are left out.
        data: Folder with the folders of local tasks.
        num_resamples: Number of resamples of the bootstrap.
        strict: Refuse sets with empty documents or judgements of what is not there.
        on_left_out: Otherwise called with what is left out of one, in words.
        on_result: Given each task's result as it is done.

    Raises:
        InputError: there is no such task, or data is missing or malformed.
    """
    entries = [entry for entry in suite.tasks if entry.kind == "retrieval"]
    if not entries or data is None:
        found = f"suite {suite.name} has no retrieval task" if data else "BM25 on a suite without data"
        raise InputError(found, expected="sets of documents and queries", do="pass --data and another suite")
    results = []
    for entry in entries:
        whole = read_retrieval_set(folder_of(entry, data), name=entry.name, strict=strict)
        if whole.left_out and on_left_out is not None:
            on_left_out(whole.left_out)
        results.append(_score(entry, whole, num_resamples=num_resamples))
        if on_result is not None:
            on_result(results[-1])
    return EvaluationResult(
        model=bm25_card(),
        suite=suite.name,
        tasks=tuple(results),
        num_resamples=num_resamples,
        versions=package_versions(),
    )


def _score(entry: TaskEntry, whole: RetrievalSet, *, num_resamples: int) -> TaskResult:
    start = perf_counter()
    sets = split_retrieval(entry, whole)
    found = {name: score_bm25(part, num_resamples=num_resamples) for name, part in sets.items()}
    first = next(iter(found.values()))
    subsets = []
    for name, part in sets.items():
        called = {query.id: query.align or query.id for query in part.queries}
        subset: SubsetResult = found[name].subsets[0]
        ids = tuple(query_names(subset.sample_ids, called))
        subsets.append(subset.model_copy(update={"subset": name, "sample_ids": ids}))
    values = task_values({one.subset: dict(zip(one.sample_ids, one.values, strict=True)) for one in subsets})
    drawn = bootstrap_intervals(values[:, None], seed=0, num_resamples=num_resamples)[0]
    return first.model_copy(
        update={
            "task": entry.name,
            "protocol": entry.protocol or "",
            "score": Score.of(drawn, len(values)),
            "subsets": tuple(subsets),
            "dataset_hash": sets_hash(sets),
            "seconds": perf_counter() - start,
            "num_documents": None,
        }
    )
