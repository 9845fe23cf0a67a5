"""What a benchmark found: typed, frozen, complete enough to be rendered and judged without the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Self

from pydantic import BaseModel, ConfigDict

from benchmarks.machine import Machine
from slimvec.files import atomic_file


class Frozen(BaseModel):
    """Base of all results."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(Frozen):
    """Values of all rounds: the middle one, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarise values; there must be one."""
        return cls(median=median(values), low=min(values), high=max(values))


class Latency(Frozen):
    """Time of one text, over all calls of all rounds."""

    median_ms: float
    p95_ms: float
    num_calls: int

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Self:
        """Summarise calls."""
        ordered = sorted(milliseconds)
        p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
        return cls(median_ms=median(ordered), p95_ms=p95, num_calls=len(ordered))


class Timing(Frozen):
    """One engine on one workload.

    Attributes:
        tokens_per_s: Credited tokens a second, of every round in order.
        gflops: Work done a second by round: that of the tokens that were run, which are fewer where an instruction
            is reused.
        share_of_bf16_peak: `gflops` over the peak measured in the same round; the middle of all rounds. None where the
            processor does not compute in bfloat16.
        share_of_fp32_peak: The same with the float32 peak.
        latency: Where texts are timed one by one.
    """

    tokens_per_s: tuple[float, ...]
    gflops: tuple[float, ...]
    share_of_bf16_peak: float | None
    share_of_fp32_peak: float
    latency: Latency | None = None


class WorkloadResult(Frozen):
    """A workload, and how every engine did on it.

    Attributes:
        num_texts: Texts.
        num_tokens: Tokens credited to every engine, instruction included.
        mean_tokens: By text, instruction included.
        longest: Tokens of the longest.
        instruction_tokens: Tokens of the instruction before each text; 0 without one.
        one_by_one: Whether texts were timed alone.
        sha256: SHA-256 of the texts.
        engines: Timing by engine.
    """

    num_texts: int
    num_tokens: int
    mean_tokens: float
    longest: int
    instruction_tokens: int
    one_by_one: bool
    sha256: str
    engines: Mapping[str, Timing]


class Parity(Frozen):
    """Cosines with the float32 reference."""

    min_cosine: float
    mean_cosine: float
    num_texts: int


class EngineResult(Frozen):
    """An engine that ran.

    Attributes:
        label: Its name in tables.
        details: What it says of itself: dtype, kernel, versions.
        load_seconds: From the first import to the first vector, in a warm process cache of the operating system.
        peak_rss_mb: Most memory its process held.
        idle_cores: Cores it kept busy while others were timed; near 0 if it did not disturb them.
        parity: Against the reference.
    """

    label: str
    details: Mapping[str, str]
    load_seconds: float
    peak_rss_mb: float
    idle_cores: float
    parity: Parity | None = None


class RetrievalResult(Frozen):
    """nDCG@10 of slimvec, as it comes or in int8, and of the float32 reference, on the same set."""

    name: str
    num_documents: int
    num_queries: int
    ndcg_at_10: float
    reference_ndcg_at_10: float
    difference: float


class Settings(Frozen):
    """What was asked for.

    Attributes:
        engines: In the order of the first round; every second round goes backwards.
        rounds: Rounds of every engine on every workload.
        num_threads: Threads of every engine.
        max_tokens: Longest text.
        instruction: Before queries.
        texts: Where they are from.
        environment: Variables set alike for all engines.
    """

    engines: tuple[str, ...]
    rounds: int
    num_threads: int
    max_tokens: int
    instruction: str
    texts: str
    environment: Mapping[str, str]


class BenchResult(Frozen):
    """A whole run.

    Attributes:
        model: Name of the model.
        date: Day of the run.
        machine: Where.
        settings: What was asked for.
        rounds_done: Fewer than asked for when the run was cut short.
        gemm_gflops: Peak of the machine's own matrix products by dtype, measured before every workload of a round.
        workloads: By name.
        ratios: By workload and peer: tokens a second of slimvec over the peer's in the same round.
        int8_ratios: The same of slimvec in int8; empty where it did not run.
        engines: Engines that ran.
        absent: Engines that did not run, or not to the end, and why.
        retrieval: What the number format costs in search.
        int8_retrieval: What int8 costs there; None where it did not run.
    """

    model: str
    date: str
    machine: Machine
    settings: Settings
    rounds_done: int
    gemm_gflops: Mapping[str, tuple[float, ...]]
    workloads: Mapping[str, WorkloadResult]
    ratios: Mapping[str, Mapping[str, Spread]]
    engines: Mapping[str, EngineResult]
    absent: Mapping[str, str]
    retrieval: RetrievalResult | None = None
    int8_retrieval: RetrievalResult | None = None
    int8_ratios: Mapping[str, Mapping[str, Spread]] = {}


def write_json(result: Frozen, path: Path) -> None:
    """Write a result, in place of an older one.

    Raises:
        StorageError: it cannot be written.
    """
    with atomic_file(path, force=True) as temporary:
        temporary.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
