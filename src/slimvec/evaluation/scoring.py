"""Running tasks: mteb embeds and scores, this adds a value for each sample, intervals, and what was embedded."""

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from mteb.abstasks import (
    AbsTask,
    AbsTaskBitextMining,
    AbsTaskClassification,
    AbsTaskPairClassification,
    AbsTaskRetrieval,
    AbsTaskSTS,
)
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning

from slimvec.errors import InputError
from slimvec.evaluation import contributions
from slimvec.evaluation.contributions import Contributions
from slimvec.evaluation.encoder import MtebEncoder
from slimvec.evaluation.ledger import Counts
from slimvec.evaluation.local_tasks import LoadedTask, load_task
from slimvec.evaluation.models import EvaluatedModel
from slimvec.evaluation.results import EvaluationResult, Score, SubsetResult, TaskResult, package_versions
from slimvec.evaluation.samples import query_names
from slimvec.evaluation.suite import Suite, TaskEntry
from slimvec.evaluation.task_values import task_values
from slimvec.evaluation.vector_store import VectorStore
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.statistics.resampling import NUM_RESAMPLES
from slimvec.text.embeddings import OnProgress

TASK_SEED = 42
"""mteb's own; with another the same data gives other classifiers and clusters, and so other scores."""
_ENCODE: dict[str, Any] = {"batch_size": 4096, "show_progress_bar": False}
_PACKAGES = ("mteb", "scikit-learn", "scipy", "pytrec-eval-terrier", "sentence-transformers")


def evaluate_suite(
    model: EvaluatedModel,
    suite: Suite,
    *,
    data: Path | None,
    store: VectorStore | None = None,
    seed: int = 0,
    task_seed: int = TASK_SEED,
    num_resamples: int = NUM_RESAMPLES,
    strict: bool = False,
    on_left_out: Callable[[str], None] | None = None,
    on_task: Callable[[TaskEntry], None] | None = None,
    on_progress: OnProgress | None = None,
    on_result: Callable[[TaskResult], None] | None = None,
) -> EvaluationResult:
    """Evaluate a model on a suite.

    Args:
        model: The model.
        suite: Its tasks.
        data: Folder with the folders of local tasks.
        store: Store of the model's vectors; None keeps none.
        seed: Random seed for the bootstrap.
        task_seed: Random seed for mteb's sampling.
        num_resamples: Number of resamples of the bootstrap.
        strict: Refuse retrieval sets with empty documents or judgements of what is not there.
        on_left_out: Otherwise called with what is left out of one, in words.
        on_task: Called with each task before it is loaded.
        on_progress: Called with how many more texts are embedded.
        on_result: Given each task's result as it is done.

    Raises:
        InputError: data is missing or malformed, or a text cannot be embedded.
        FetchError: the hub, or a server, cannot be reached.
        StorageError: the store cannot be used.
    """
    results = []
    for entry in suite.tasks:
        if on_task is not None:
            on_task(entry)
        loaded = load_task(entry, data, seed=task_seed, strict=strict)
        if loaded.left_out and on_left_out is not None:
            on_left_out(loaded.left_out)
        instructions = {loaded.task.metadata.name: entry.instruction}
        encoder = MtebEncoder(model, store=store, instructions=instructions, on_progress=on_progress)
        results.append(run_task(loaded, encoder, seed=seed, num_resamples=num_resamples))
        if on_result is not None:
            on_result(results[-1])
    return EvaluationResult(
        model=model.card,
        suite=suite.name,
        tasks=tuple(results),
        seed=seed,
        task_seed=task_seed,
        num_resamples=num_resamples,
        versions=package_versions(_PACKAGES),
    )


def run_task(
    loaded: LoadedTask, encoder: MtebEncoder, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> TaskResult:
    """Have mteb score a model on a task, and add values of samples and intervals.

    Raises:
        InputError: a text cannot be embedded, or mteb keeps nothing that an interval could be drawn from.
    """
    start = perf_counter()
    entry, metadata = loaded.entry, loaded.task.metadata
    scores, found = _score(loaded, encoder)
    parts = {
        subset: dict(zip(_ids(loaded, subset, part), part.values.tolist(), strict=True))
        for subset, part in found.items()
    }

    def interval(values: NDArray[np.float64]) -> Score:
        drawn = bootstrap_intervals(values[:, None], seed=seed, num_resamples=num_resamples)[0]
        return Score.of(drawn, len(values))

    first = next(iter(found.values()))
    return TaskResult(
        task=entry.name,
        kind=metadata.type,
        protocol=entry.protocol or entry.hub or "",
        measure=metadata.main_score,
        score=interval(task_values(parts)),
        unit=first.unit,
        method=first.method,
        subsets=tuple(
            _subset(
                subset,
                interval(found[subset].values),
                parts[subset],
                scores[subset],
                encoder.ledgers[metadata.name, subset].counts,
            )
            for subset in loaded.subsets
        ),
        instruction=entry.instruction,
        dataset_hash=loaded.dataset_hash,
        seconds=perf_counter() - start,
    )


def _score(loaded: LoadedTask, encoder: MtebEncoder) -> tuple[Mapping[str, Any], dict[str, Contributions]]:
    """Give mteb's scores by subset, and the values behind each."""
    task: Any = loaded.task  # mteb's protocols ask for more than its own base class for encoders has
    split = loaded.entry.split if loaded.entry.hub is None else task.metadata.eval_splits[0]
    is_retrieval = isinstance(task, AbsTaskRetrieval)
    by_query = _values_of_queries(task) if is_retrieval else {}
    with TemporaryDirectory() as name, warnings.catch_warnings():
        for expected in (UndefinedMetricWarning, ConvergenceWarning):  # of mteb's classifiers on hard or small sets
            warnings.simplefilter("ignore", expected)
        folder = None if is_retrieval else Path(name)
        scores = task.evaluate(encoder, split, list(loaded.subsets), encode_kwargs=_ENCODE, prediction_folder=folder)
        predictions = json.loads((folder / task.prediction_file_name).read_text(encoding="utf-8")) if folder else {}
    found = {}
    for subset in loaded.subsets:
        try:
            if is_retrieval:
                part = contributions.of_queries(by_query[subset], task.metadata.main_score)
            else:
                part = _values(task, subset, split, scores[subset], predictions[subset][split])
        except KeyError as error:
            raise InputError(
                f"task {loaded.entry.name}: mteb keeps no values behind the measure {task.metadata.main_score}",
                expected="a measure with an interval",
            ) from error
        found[subset] = part.checked(float(scores[subset]["main_score"]))
    return scores, found


def _values_of_queries(task: Any) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """Have mteb's hook for measures of a task's own keep the values of queries: filled when the task is run."""
    kept: dict[str, Mapping[str, Mapping[str, float]]] = {}
    own = task.task_specific_scores

    def keep(scores: Mapping[str, Mapping[str, float]], *args: Any, hf_split: str, hf_subset: str) -> Any:
        kept[hf_subset] = scores
        return own(scores, *args, hf_split=hf_split, hf_subset=hf_subset)

    task.task_specific_scores = keep
    return kept


def _values(task: AbsTask, subset: str, split: str, scores: Mapping[str, Any], predictions: Any) -> Contributions:
    """Values of samples by what mteb predicted; of experiments, where its measure is not a mean over samples."""
    measure = task.metadata.main_score
    try:
        if isinstance(task, AbsTaskBitextMining):
            return contributions.of_matches(next(iter(predictions.values())), measure)
        data: Any = task.dataset
        rows = data.get(subset, data)[split]  # a set from the hub with one subset has no level for it
        if isinstance(task, AbsTaskSTS):
            return contributions.of_similarities(predictions, rows["score"], measure)
        if isinstance(task, AbsTaskPairClassification):
            return contributions.of_decisions(predictions, rows[task.label_column_name], measure)
        if isinstance(task, AbsTaskClassification):
            return contributions.of_classifications(predictions, rows[task.label_column_name], measure)
    except KeyError:  # another measure than the type's usual one
        pass
    return contributions.of_experiments(scores, measure)


def _ids(loaded: LoadedTask, subset: str, part: Contributions) -> Sequence[str]:
    """What the samples of a subset are called; their numbers where they have no names, or not one each."""
    names: Sequence[str] = loaded.sample_ids.get(subset, ())
    if part.ids is not None:
        names = query_names(part.ids, loaded.query_names.get(subset, {}))
    is_named = part.unit != "experiments" and len(names) == len(set(names)) == len(part.values)
    return names if is_named else [str(number) for number in range(len(part.values))]


def _subset(
    name: str, score: Score, values: Mapping[str, float], scores: Mapping[str, Any], counts: Counts
) -> SubsetResult:
    plain = {key: float(value) for key, value in scores.items() if isinstance(value, int | float)}
    return SubsetResult(
        subset=name,
        score=score,
        metrics={key: value for key, value in plain.items() if math.isfinite(value) and not key.startswith("nauc")},
        sample_ids=tuple(values),
        values=tuple(values.values()),
        **counts,
    )
