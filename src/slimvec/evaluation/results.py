"""Results: typed, frozen, with everything needed to know what was measured; written as JSON."""

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import ClassVar, Self, TypedDict

from pydantic import ValidationError

from slimvec.errors import InputError, validation_summary
from slimvec.evaluation.models import ModelCard
from slimvec.files import atomic_file
from slimvec.ranking.metrics import MAIN_METRIC
from slimvec.reports.parts import Frozen
from slimvec.statistics.intervals import MIN_UNITS, Interval

_PACKAGES = ("slimvec", "torch", "transformers", "tokenizers", "numpy", "bm25s")


class Stored(Frozen):
    """A result with a file of its own, which is read again.

    Attributes:
        what: What its file is called in errors.
    """

    what: ClassVar[str] = "a file of results"

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what `write` wrote.

        Raises:
            InputError: the file is missing or holds something else.
        """
        path = Path(path)
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}", expected=cls.what) from error
        except ValidationError as error:
            raise InputError(f"{path}: {validation_summary(error)}", expected=cls.what) from error

    def write(self, path: str | Path, *, force: bool = False) -> None:
        """Write as JSON.

        Raises:
            InputError: the file exists, and not `force`.
            StorageError: it cannot be written.
        """
        with atomic_file(path, force=force) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


class Score(Frozen):
    """A mean over queries (or other units) with its 95% bootstrap interval; between 0 and 1.

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


def line_of(score: Score) -> tuple[float, float, float]:
    """Give low end, value and high end for a picture; the ends are the value where there is no interval."""
    value = score.value
    return (value if score.low is None else score.low), value, (value if score.high is None else score.high)


class BoundedScore(Score):
    """A number of a study, which always has an interval: trainings and models count in it beside queries."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Ends(TypedDict):
    """The ends of an interval; None where there is none."""

    low: float | None
    high: float | None


def ends_of(interval: Interval, num_units: int) -> Ends:
    """Give the ends of an interval, or None where it is from too few units to be one."""
    enough = num_units >= MIN_UNITS
    return {"low": interval.low if enough else None, "high": interval.high if enough else None}


class TaskResult(Frozen):
    """How a system did on one retrieval set.

    Attributes:
        task: Name of the set.
        system: What was scored.
        metrics: Score by metric: ndcg_at_10 (the main one), mrr_at_10, recall_at_1, recall_at_10, recall_at_100.
        query_ids: The queries, in the order of the values below.
        per_query: Values by metric.
        num_queries: Queries scored.
        num_documents: Documents searched.
        num_unjudged: Queries left out because nothing is relevant to them.
        own_left_out: Whether queries that are documents of the set themselves do not find themselves.
        truncated_share: Share of all texts, queries and documents, that were truncated.
        instruction: Task name or instruction the queries were embedded with; None is the model's default.
        seconds: Wall time of embedding, searching and scoring.
        seed: Random seed for the bootstrap.
        dataset_hash: SHA-256 over the set.
        versions: Package versions.
    """

    task: str
    system: ModelCard
    metrics: Mapping[str, Score]
    query_ids: tuple[str, ...]
    per_query: Mapping[str, tuple[float, ...]]
    num_queries: int
    num_documents: int
    num_unjudged: int
    own_left_out: bool = False
    truncated_share: float
    instruction: str | None
    seconds: float
    seed: int
    dataset_hash: str
    versions: Mapping[str, str]

    @property
    def main(self) -> Score:
        """The main metric, nDCG@10."""
        return self.metrics[MAIN_METRIC]


class EvaluationResult(Stored):
    """Results of one system on one or more tasks."""

    tasks: tuple[TaskResult, ...]

    @property
    def scores(self) -> dict[str, Score]:
        """The main metric by task."""
        return {task.task: task.main for task in self.tasks}


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
