"""Results: typed, frozen, with everything needed to know what was measured; written as JSON.

One type, two producers: `retrieval` scores retrieval sets by itself, `scoring` has mteb score tasks of every kind.

The form of results of retrieval sets before there was one type for all results.

It is read, and its keys (`query_ids`, `per_query` and others of a task) are written beside those of today until the
next release.

From values of samples in subsets to one value a sample, whose mean is the task's score.

A task's score is the mean of its subsets' scores, and the same sample may stand in several of them: a question in
twelve languages is one question, drawn in all of them at once, or the interval would be too narrow.

Letters: S subsets of n_s samples, C different samples.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from slimvec.evaluation.models import ModelCard
from slimvec.frozen import Frozen, Stored
from slimvec.ranking.metrics import MAIN_METRIC
from slimvec.statistics.intervals import Interval, ends_of, shown_ends
from slimvec.statistics.resampling import NUM_RESAMPLES, Values

_OF_EVALUATIONS = {"system": "model", "seed": "seed", "versions": "versions"}
"""What stood with every task: the older key, and that of an evaluation."""
_OF_SUBSETS = ("metrics", "query_ids", "per_query", "num_queries", "truncated_share")
Unit = Literal["queries", "pairs", "texts", "sentences", "experiments", "samples"]
Method = Literal["mean", "pseudo-values"]
_PACKAGES = ("slimvec", "torch", "transformers", "tokenizers", "numpy", "bm25s")


def task_values(parts: Mapping[str, Mapping[str, float]], *, centred: bool = True) -> Values:
    """Give each different sample a value, in the order in which they first come up: [C].

    Centred, sample c has T + sum over its subsets s of C / (S n_s) (v_sc - mean of s), T being the score: subsets are
    fixed and samples are drawn, so that how far the subsets lie apart does not count as spread. Otherwise it has the
    sum of C / (S n_s) v_sc, whose sign means something when v is a difference. Both have mean T, and both are v itself
    when there is one subset.

    Args:
        parts: Value by sample by subset.
        centred: Which of the two.
    """
    places = {name: place for place, name in enumerate(dict.fromkeys(name for part in parts.values() for name in part))}
    score = float(np.mean([np.mean(list(part.values())) for part in parts.values()]))
    values = np.full(len(places), score if centred else 0.0)
    for part in parts.values():
        own = np.fromiter(part.values(), dtype=np.float64)
        weight = len(places) / (len(parts) * len(own))
        values[[places[name] for name in part]] += weight * (own - own.mean() if centred else own)
    return values


def task_of_older(values: Any) -> Any:
    """Give a task in today's form, whatever was read."""
    if not isinstance(values, Mapping) or "per_query" not in values:
        return values
    kept = {key: value for key, value in values.items() if key not in (*_OF_EVALUATIONS, *_OF_SUBSETS)}
    if "subsets" in kept:
        return kept
    metrics, columns = dict(values["metrics"]), dict(values["per_query"])
    subset = {
        "subset": "default",
        "score": metrics[MAIN_METRIC],
        "metrics": {name: score["value"] for name, score in metrics.items()},
        "sample_ids": values["query_ids"],
        "values": columns.pop(MAIN_METRIC),
        "other_metrics": {name: {"score": metrics[name], "values": column} for name, column in columns.items()},
        "prompts": values["system"].get("prompts", {}),
        "num_texts": values["num_queries"] + values["num_documents"],
        "num_tokens": 0,
        "truncated_share": values["truncated_share"],
    }
    main = {"measure": MAIN_METRIC, "score": metrics[MAIN_METRIC], "unit": "queries", "method": "mean"}
    return {"kind": "Retrieval", **main, "subsets": [subset], **kept}


def evaluation_of_older(values: Any) -> Any:
    """Give an evaluation in today's form: what stood with every task stands once."""
    if not isinstance(values, Mapping) or "model" in values or not values.get("tasks"):
        return values
    first = values["tasks"][0]
    return {key: first[older] for older, key in _OF_EVALUATIONS.items() if older in first} | dict(values)


def older_keys(task: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Give the older keys of a task that is written, of one subset."""
    (subset,) = task["subsets"]
    others = subset["other_metrics"]
    return {
        **{older: evaluation[key] for older, key in _OF_EVALUATIONS.items()},
        "metrics": {task["measure"]: task["score"]} | {name: found["score"] for name, found in others.items()},
        "query_ids": subset["sample_ids"],
        "per_query": {task["measure"]: subset["values"]} | {name: found["values"] for name, found in others.items()},
        "num_queries": len(subset["values"]),
        "truncated_share": subset["truncated_share"],
    }


class Score(Frozen):
    """A mean over queries (or other units) with its 95% bootstrap interval; between 0 and 1.

    Formatted with a number's format, all three are written; the ends only where there are any.

    Attributes:
        value: The mean.
        low: Lower end; None where fewer than `MIN_UNITS` units give no interval.
        high: Upper end; likewise.
    """

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, interval: Interval, num_units: int) -> Self:
        """Take an interval for a score, where there are enough units for one."""
        return cls(value=interval.value, **ends_of(interval, num_units))

    def __format__(self, form: str) -> str:
        return f"{self.value:{form}}{shown_ends(self.low, self.high, form=form)}"


def line_of(score: Score) -> tuple[float, float, float]:
    """Give low end, value and high end for a picture; the ends are the value where there is no interval."""
    value = score.value
    return (value if score.low is None else score.low), value, (value if score.high is None else score.high)


class MetricValues(Frozen):
    """A further metric of a subset, whose values of samples are known.

    Attributes:
        score: Their mean, with its interval.
        values: In the order of the subset's samples.
    """

    score: Score
    values: tuple[float, ...]


class SubsetResult(Frozen):
    """How a model did on a subset of a task: a language, or all there is.

    Attributes:
        subset: Its name; `default` when there is one alone.
        score: The main measure, with its interval; between 0 and 1.
        metrics: All measures.
        sample_ids: What was drawn with replacement for the interval, in the order of the values. Samples of the same id
            in several subsets are drawn together.
        values: A value for each, whose mean is the score.
        other_metrics: Measures beside the main one that have values too.
        prompts: What was written in front of the texts, by role; `both` where the sides are alike.
        num_texts: Texts embedded, repeated ones included.
        num_tokens: Their tokens, prompts included; 0 when nobody knows.
        truncated_share: Share of texts that were truncated; None when nobody knows.
    """

    subset: str
    score: Score
    metrics: Mapping[str, float]
    sample_ids: tuple[str, ...]
    values: tuple[float, ...]
    other_metrics: Mapping[str, MetricValues] = {}
    prompts: Mapping[str, str]
    num_texts: int
    num_tokens: int
    truncated_share: float | None


class TaskResult(Frozen):
    """How a model did on a task.

    Attributes:
        task: Its name: of the retrieval set, or in the suite.
        kind: Its type in mteb's words.
        protocol: The task of mteb's whose settings were used; empty for the defaults of the type.
        measure: Name of the main measure.
        score: Mean of the subsets' scores, with its interval.
        unit: What the bootstrap draws.
        method: `mean`: the score is the mean of the units' own values. `pseudo-values`: it is not, and the values are
            the jackknife's.
        subsets: By subset.
        instruction: What models that take instructions were given; None is their own choice.
        dataset_hash: SHA-256 over everything the score depends on; of the revision for data from the hub.
        seconds: Wall time of embedding, searching and scoring.
        num_documents: Documents searched; None where mteb keeps them, or there is no search.
        num_unjudged: Queries left out because nothing is relevant to them.
        own_left_out: Whether queries that are documents of the set themselves do not find themselves.
    """

    task: str
    kind: str
    protocol: str = ""
    measure: str
    score: Score
    unit: Unit
    method: Method
    subsets: tuple[SubsetResult, ...]
    instruction: str | None
    dataset_hash: str
    seconds: float
    num_documents: int | None = None
    num_unjudged: int = 0
    own_left_out: bool = False

    @model_validator(mode="before")
    @classmethod
    def _older(cls, values: Any) -> Any:
        return task_of_older(values)

    @property
    def num_samples(self) -> int:
        """How many values the interval rests on."""
        return sum(len(subset.values) for subset in self.subsets)

    @property
    def values(self) -> Values:
        """A value for each different sample, whose mean is the score: [C]."""
        if len(self.subsets) == 1:
            return np.array(self.subsets[0].values)
        return task_values({part.subset: dict(zip(part.sample_ids, part.values, strict=True)) for part in self.subsets})

    @property
    def metrics(self) -> dict[str, Score]:
        """The measures with an interval, the main one first."""
        others = self.subsets[0].other_metrics if len(self.subsets) == 1 else {}
        return {self.measure: self.score} | {name: found.score for name, found in others.items()}

    @property
    def truncated_share(self) -> float | None:
        """Share of all texts that were truncated; None when nobody knows."""
        known = [subset for subset in self.subsets if subset.truncated_share is not None]
        total = sum(subset.num_texts for subset in known)
        return sum((subset.truncated_share or 0) * subset.num_texts for subset in known) / total if total else None


class EvaluationResult(Stored):
    """An evaluation of a model on one or more tasks.

    Attributes:
        format: Version of this form.
        model: What was evaluated.
        suite: Name of the suite; empty for retrieval sets that are none.
        tasks: In the suite's order.
        seed: Random seed for the bootstrap.
        task_seed: Random seed for mteb's sampling; None where slimvec scored by itself.
        num_resamples: Number of resamples of the bootstrap.
        versions: Versions of the packages the scores depend on.
    """

    what: ClassVar[str] = "the results of an evaluation"

    format: Literal[1] = 1
    model: ModelCard
    suite: str = ""
    tasks: tuple[TaskResult, ...]
    seed: int = 0
    task_seed: int | None = None
    num_resamples: int = NUM_RESAMPLES
    versions: Mapping[str, str]

    @model_validator(mode="before")
    @classmethod
    def _older(cls, values: Any) -> Any:
        return evaluation_of_older(values)

    @model_serializer(mode="wrap")
    def _with_older_keys(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        if self.task_seed is None:
            written["tasks"] = [task | older_keys(task, written) for task in written["tasks"]]
        return written

    @property
    def mean(self) -> float:
        """Mean of the tasks' scores."""
        return sum(task.score.value for task in self.tasks) / len(self.tasks)

    @property
    def mean_by_kind(self) -> dict[str, float]:
        """Mean of the tasks' scores, by type."""
        kinds = dict.fromkeys(task.kind for task in self.tasks)
        groups = {kind: [task.score.value for task in self.tasks if task.kind == kind] for kind in kinds}
        return {kind: sum(values) / len(values) for kind, values in groups.items()}


def package_versions(others: Sequence[str] = ()) -> dict[str, str]:
    """Versions of Python and of the packages a score depends on; those that are not installed are left out.

    Args:
        others: Packages beside those that every score depends on.
    """
    versions = {"python": python_version()}
    for name in (*_PACKAGES, *others):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
