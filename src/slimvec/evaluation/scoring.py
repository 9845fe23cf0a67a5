"""Running tasks: mteb embeds and scores, this adds a value for each sample, intervals, and what was embedded."""

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta
from mteb.types import PromptType
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning

from slimvec.errors import InputError
from slimvec.evaluation import contributions
from slimvec.evaluation.cached_model import CachedModel
from slimvec.evaluation.contributions import Contributions
from slimvec.evaluation.local_tasks import LoadedTask, load_task
from slimvec.evaluation.models import Counts, EvaluatedModel, Ledger, Usage
from slimvec.evaluation.results import EvaluationResult, Score, SubsetResult, TaskResult, package_versions, task_values
from slimvec.evaluation.samples import query_names
from slimvec.evaluation.suite import Suite, TaskEntry
from slimvec.evaluation.vector_store import VectorStore
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.statistics.resampling import NUM_RESAMPLES
from slimvec.text.embeddings import OnProgress
from slimvec.text.prompts import Role

_ROLES: Mapping[PromptType | None, Role | None] = {
    PromptType.query: "query",
    PromptType.document: "document",
    None: None,
}
TASK_SEED = 42
"""mteb's own; with another the same data gives other classifiers and clusters, and so other scores."""
_ENCODE: dict[str, Any] = {"batch_size": 4096, "show_progress_bar": False}
_PACKAGES = ("mteb", "scikit-learn", "scipy", "pytrec-eval-terrier", "sentence-transformers")


class MtebEncoder(AbsEncoder):
    """An evaluated model behind mteb's encoder protocol; similarity is the cosine.

    Args:
        model: Embeds.
        store: Store of the model's vectors; None keeps none.
        instructions: What models that take instructions are given, by mteb's name of the task.
        on_progress: Called with how many more texts are done.

    Attributes:
        ledgers: What was embedded, by mteb's name of the task and subset.
    """

    def __init__(
        self,
        model: EvaluatedModel,
        *,
        store: VectorStore | None = None,
        instructions: Mapping[str, str | None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._cached = CachedModel(model, store)
        self.mteb_model_meta = ModelMeta.create_empty()
        self.ledgers: dict[tuple[str, str], Ledger] = {}
        self._instructions, self._on_progress = instructions or {}, on_progress

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: TaskMetadata,
        hf_split: str,  # noqa: ARG002 - mteb's protocol
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **_: Any,
    ) -> NDArray[np.float32]:
        """Embed the texts of mteb's batches: [N, D].

        Raises:
            InputError: a text that cannot be embedded, named by the task; or inputs that are no texts.
        """
        role = _ROLES[prompt_type]
        texts = list(_texts(inputs, task_metadata.name))
        usage = Usage(task_metadata.name, task_metadata.type, role, self._instructions.get(task_metadata.name))
        prompt = self._cached.prompt(usage)
        try:
            found = self._cached.embed(texts, role=prompt.role, task=prompt.task, on_progress=self._on_progress)
        except InputError as error:
            place = f"{task_metadata.name}, {hf_subset}, {role or 'text'}"
            raise InputError(f"{place}: {error.found}", expected=error.expected, do=error.do) from error
        self.ledgers.setdefault((task_metadata.name, hf_subset), Ledger()).add(role, prompt.text, found)
        return found.vectors

    def similarity(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Give the cosines of both sides as an array, which mteb copies without a warning."""
        return np.asarray(super().similarity(embeddings1, embeddings2))


def _texts(inputs: Any, task: str) -> Iterator[str]:
    """The texts of mteb's batches, in order."""
    for batch in inputs:
        if "text" not in batch:
            raise InputError(f"task {task} has no texts but {', '.join(batch)}", expected="a task on texts")
        yield from batch["text"]


def evaluate_suite(
    model: EvaluatedModel,
    suite: Suite,
    *,
    data: Path | None,
    store: VectorStore | None = None,
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
        loaded = load_task(entry, data, seed=TASK_SEED, strict=strict)
        if loaded.left_out and on_left_out is not None:
            on_left_out(loaded.left_out)
        instructions = {loaded.task.metadata.name: entry.instruction}
        encoder = MtebEncoder(model, store=store, instructions=instructions, on_progress=on_progress)
        results.append(run_task(loaded, encoder, num_resamples=num_resamples))
        if on_result is not None:
            on_result(results[-1])
    return EvaluationResult(
        model=model.card,
        suite=suite.name,
        tasks=tuple(results),
        task_seed=TASK_SEED,
        num_resamples=num_resamples,
        versions=package_versions(_PACKAGES),
    )


def run_task(loaded: LoadedTask, encoder: MtebEncoder, *, num_resamples: int = NUM_RESAMPLES) -> TaskResult:
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
        drawn = bootstrap_intervals(values[:, None], seed=0, num_resamples=num_resamples)[0]
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
        except ValueError as error:  # all gold scores, or all similarities that the model gives, are one
            place = f"task {loaded.entry.name}, {subset}"
            raise InputError(f"{place}: {error}", expected="samples and vectors that differ") from error
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
