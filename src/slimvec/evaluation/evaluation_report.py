"""What an evaluation gives: typed, frozen, with everything needed to know what was measured; written as JSON."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import Score, Stored
from slimvec.reports.parts import Frozen

Unit = Literal["queries", "pairs", "texts", "sentences", "experiments", "samples"]
Method = Literal["mean", "pseudo-values"]


class SubsetScore(Frozen):
    """How a model did on a subset of a task: a language, or all there is.

    Attributes:
        subset: Its name; `default` when there is one alone.
        score: mteb's main measure, with its interval; between 0 and 1.
        metrics: All of mteb's measures.
        sample_ids: What was drawn with replacement for the interval, in the order of the values. Samples of the same id
            in several subsets are drawn together.
        values: A value for each, whose mean is the score.
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
    prompts: Mapping[str, str]
    num_texts: int
    num_tokens: int
    truncated_share: float | None


class TaskReport(Frozen):
    """How a model did on a task.

    Attributes:
        task: Its name in the suite.
        kind: Its type in mteb's words.
        protocol: The task of mteb's whose settings were used; empty for its defaults of the type.
        measure: mteb's name of the main measure.
        score: Mean of the subsets' scores, with its interval.
        unit: What the bootstrap draws.
        method: `mean`: the score is the mean of the units' own values. `pseudo-values`: it is not, and the values are
            the jackknife's.
        subsets: By subset.
        instruction: What models that take instructions were given; None is their own choice.
        dataset_hash: SHA-256 over everything the score depends on; of the revision for data from the hub.
        seconds: Wall time of embedding and scoring.
    """

    task: str
    kind: str
    protocol: str
    measure: str
    score: Score
    unit: Unit
    method: Method
    subsets: tuple[SubsetScore, ...]
    instruction: str | None
    dataset_hash: str
    seconds: float

    @property
    def num_samples(self) -> int:
        """How many values the interval rests on."""
        return sum(len(subset.values) for subset in self.subsets)

    @property
    def truncated_share(self) -> float | None:
        """Share of all texts that were truncated; None when nobody knows."""
        known = [subset for subset in self.subsets if subset.truncated_share is not None]
        total = sum(subset.num_texts for subset in known)
        return sum((subset.truncated_share or 0) * subset.num_texts for subset in known) / total if total else None


class EvaluationReport(Stored):
    """An evaluation of a model on a suite.

    Attributes:
        format: Version of this form.
        model: What was evaluated.
        suite: Name of the suite.
        tasks: In the suite's order.
        seed: Random seed for the bootstrap.
        task_seed: Random seed for mteb's sampling.
        num_resamples: Number of resamples of the bootstrap.
        versions: Versions of the packages the scores depend on.
    """

    what: ClassVar[str] = "the report of an evaluation"

    format: Literal[1] = 1
    model: ModelCard
    suite: str
    tasks: tuple[TaskReport, ...]
    seed: int
    task_seed: int
    num_resamples: int
    versions: Mapping[str, str]

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
