"""Tasks of mteb's around local data: its classes, measures and protocols, with the hub left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mteb
from datasets import ClassLabel, Dataset, DatasetDict
from mteb.abstasks import (
    AbsTask,
    AbsTaskBitextMining,
    AbsTaskClassification,
    AbsTaskClustering,
    AbsTaskClusteringLegacy,
    AbsTaskPairClassification,
    AbsTaskRetrieval,
    AbsTaskSTS,
)
from mteb.abstasks.task_metadata import TaskMetadata

from slimvec.data.retrieval import RetrievalSet
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.errors import FetchError, InputError
from slimvec.evaluation.samples import (
    Samples,
    candidates,
    folder_of,
    hash_of,
    read_samples,
    sets_hash,
    split_retrieval,
)
from slimvec.evaluation.suite import TaskEntry

_RETRIEVAL = ("retrieval", "reranking")
_CLASSES: Mapping[str, tuple[type[AbsTask], str, str]] = {
    "retrieval": (AbsTaskRetrieval, "Retrieval", "ndcg_at_10"),
    "reranking": (AbsTaskRetrieval, "Reranking", "map_at_1000"),
    "sts": (AbsTaskSTS, "STS", "cosine_spearman"),
    "pair_classification": (AbsTaskPairClassification, "PairClassification", "max_ap"),
    "classification": (AbsTaskClassification, "Classification", "accuracy"),
    "clustering": (AbsTaskClustering, "Clustering", "v_measure"),
    "bitext": (AbsTaskBitextMining, "BitextMining", "f1"),
}
"""mteb's class, its name of the type, and its main measure for that type."""
_SERVED: tuple[type[AbsTask], ...] = (*(class_ for class_, _, _ in _CLASSES.values()), AbsTaskClusteringLegacy)


@dataclass(frozen=True, eq=False)
class LoadedTask:
    """A task with its data.

    Attributes:
        entry: As the suite has it.
        task: mteb's, with the data in it.
        subsets: Names of its subsets.
        sample_ids: By subset, in the order of the samples; empty for data from the hub.
        query_names: By subset and query id, what a query is called in all languages: its `align`.
        dataset_hash: SHA-256 over everything a score depends on.
        left_out: What the files of a retrieval set hold and the task does not, in words; empty when that is nothing.
    """

    entry: TaskEntry
    task: AbsTask
    subsets: tuple[str, ...]
    sample_ids: Mapping[str, tuple[str, ...]]
    query_names: Mapping[str, Mapping[str, str]]
    dataset_hash: str
    left_out: str = ""


def load_task(entry: TaskEntry, data: Path | None, *, seed: int = 42, strict: bool = False) -> LoadedTask:
    """Load a task's data, from the folder or, for a task of mteb's own, from the hub.

    Args:
        entry: The task.
        data: Folder with the folders of local tasks.
        seed: Random seed for mteb's sampling; 42 is mteb's own.
        strict: As for `read_retrieval_set`.

    Raises:
        InputError: the data is missing or malformed, or mteb knows no such task.
        FetchError: the hub cannot be reached.
    """
    if entry.hub is not None:
        return _from_hub(entry, seed)
    if data is None:
        raise InputError(f"task {entry.name} has local data", expected="its folder", do="pass --data FOLDER")
    return _retrieval(entry, data, seed, strict=strict) if entry.kind in _RETRIEVAL else _rows(entry, data, seed)


def _retrieval(entry: TaskEntry, data: Path, seed: int, *, strict: bool) -> LoadedTask:
    whole = read_retrieval_set(folder_of(entry, data), name=entry.name, strict=strict)
    sets = split_retrieval(entry, whole)
    dataset = {}
    for subset, found in sets.items():
        part, ranked = candidates(found, entry.candidates) if entry.kind == "reranking" else (found, None)
        sets[subset] = part
        dataset[subset] = {entry.split: _retrieval_split(part, ranked)}
    task = _task(entry, tuple(sets), seed)
    task.dataset = dataset
    if isinstance(task, AbsTaskRetrieval) and all(part.leaves_out_own for part in sets.values()):
        task.ignore_identical_ids = True
    return LoadedTask(
        entry=entry,
        task=task,
        subsets=tuple(sets),
        sample_ids={},
        query_names={
            name: {query.id: query.align or query.id for query in part.queries} for name, part in sets.items()
        },
        dataset_hash=sets_hash(sets),
        left_out=whole.left_out,
    )


def _retrieval_split(part: RetrievalSet, ranked: Mapping[str, list[str]] | None) -> dict[str, Any]:
    documents = [{"id": item.id, "title": item.title, "text": item.text} for item in part.documents]
    queries = [{"id": query.id, "text": query.text} for query in part.queries]
    qrels = {query: dict(grades) for query, grades in part.qrels.items()}
    corpus, asked = Dataset.from_list(documents), Dataset.from_list(queries)
    return {"corpus": corpus, "queries": asked, "relevant_docs": qrels, "top_ranked": ranked}


def _rows(entry: TaskEntry, data: Path, seed: int) -> LoadedTask:
    found = read_samples(entry, data)
    task = _task(entry, tuple(found), seed)
    splits = {subset: _splits(entry, samples, task) for subset, samples in found.items()}
    task.dataset = splits
    return LoadedTask(
        entry=entry,
        task=task,
        subsets=tuple(found),
        sample_ids={name: samples.ids for name, samples in found.items()},
        query_names={},
        dataset_hash=hash_of([f"{name} {samples.columns} {samples.train}" for name, samples in found.items()]),
    )


def _splits(entry: TaskEntry, samples: Samples, task: AbsTask) -> DatasetDict:
    """The splits of a subset; labels become numbers in the order of their names, as the hub's sets have them."""
    splits = DatasetDict({entry.split: Dataset.from_dict(dict(samples.columns))})
    if isinstance(task, AbsTaskClassification):
        splits[task.train_split] = Dataset.from_dict(dict(samples.train))
    column = {"classification": "label", "clustering": "labels"}.get(str(entry.kind))
    if column is not None:
        names = sorted({label for split in splits.values() for label in split[column]})
        splits = splits.cast_column(column, ClassLabel(names=names))
    return splits


def _task(entry: TaskEntry, subsets: tuple[str, ...], seed: int) -> AbsTask:
    """An object of mteb's for the data, told that the data is there."""
    class_, kind, measure = _CLASSES[str(entry.kind)]
    if entry.protocol is not None:
        task = _known(entry.protocol, seed)
        if not isinstance(task, class_):
            raise InputError(
                f"task {entry.name}: {entry.protocol} is a task of type {task.metadata.type}", expected=kind
            )
        changes = {"eval_langs": {name: [name] for name in subsets}, "eval_splits": [entry.split]}
        task.metadata = task.metadata.model_copy(update=changes)
    else:
        metadata = TaskMetadata(
            name=entry.name,
            description=f"Local data in {entry.folder or entry.name}",
            dataset={"path": f"local/{entry.name}", "revision": "local"},
            type=kind,
            category="t2c" if entry.kind in ("classification", "clustering") else "t2t",
            eval_splits=[entry.split],
            eval_langs={name: [name] for name in subsets},
            main_score=measure,
        )
        settings: dict[str, Any] = {"metadata": metadata}
        if entry.kind == "clustering":
            settings |= {"max_fraction_of_documents_to_embed": None}
        task = type(f"Local{class_.__name__}", (class_,), settings)(seed=seed)
    if entry.experiments is not None and isinstance(task, AbsTaskClassification):
        task.n_experiments = entry.experiments
    task.hf_subsets = list(subsets)
    task.data_loaded = True
    return task


def _known(name: str, seed: int) -> AbsTask:
    try:
        task = mteb.get_task(name)
    except KeyError as error:
        raise InputError(f"mteb has no task {name!r}", expected="a name as mteb writes it, such as STS13") from error
    return type(task)(seed=seed)


def _from_hub(entry: TaskEntry, seed: int) -> LoadedTask:
    task = _known(str(entry.hub), seed)
    if not isinstance(task, _SERVED):
        kinds = ", ".join(kind for _, kind, _ in _CLASSES.values())
        raise InputError(f"{entry.hub} is a task of type {task.metadata.type}", expected=f"one of {kinds}")
    if entry.subsets:
        unknown = next((name for name in entry.subsets if name not in task.hf_subsets), None)
        if unknown is not None:
            raise InputError(f"{entry.hub} has no subset {unknown!r}", expected=", ".join(task.hf_subsets))
        task.hf_subsets = list(entry.subsets)
    try:
        task.load_data()
    except Exception as error:  # the hub's errors, those of its libraries, and those of loading scripts
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FetchError(
            f"the data of {entry.hub} cannot be fetched ({reason})",
            do="check the network and HF_HUB_OFFLINE, or use local data with kind and protocol",
        ) from error
    revision = f"{task.metadata.dataset['path']} {task.metadata.dataset['revision']}"
    return LoadedTask(
        entry=entry,
        task=task,
        subsets=tuple(task.hf_subsets),
        sample_ids={},
        query_names={},
        dataset_hash=hash_of([revision]),
    )
