"""Turn-taking: in every round, for every workload, each engine once; the next round in the opposite order.

All workers stay warm and only one ever works. The machine's own peak is measured before every workload, so that its
drift shows, and shares are taken of the peak of their own round.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

from benchmarks.catalogue import BASELINE, EngineEntry
from benchmarks.flops import Work
from benchmarks.processes import IdleMeter, WorkerError
from benchmarks.results import Latency, Spread, Timing, WorkloadResult
from benchmarks.workloads import Workload

_WARM_SHARE = 16


class Asked(Protocol):
    """What measuring needs of a worker."""

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        ...

    def cpu_seconds(self) -> float:
        """Time on any core so far."""
        ...

    def stop(self) -> None:
        """Let it end."""
        ...


@dataclass(frozen=True)
class Turn:
    """One engine on one workload in one round.

    Attributes:
        seconds: For all texts.
        num_computed: Tokens it ran, where it says.
        milliseconds: By text, where texts are timed alone.
    """

    seconds: float
    num_computed: int | None = None
    milliseconds: tuple[float, ...] = ()


@dataclass(eq=False)
class Bench:
    """Workers in turn.

    Attributes:
        workers: Loaded workers by engine; one that fails is stopped and leaves.
        entries: What the engines are.
        workloads: What is timed.
        gemm: Measures the machine's peak, GFLOP/s by dtype.
        say: Told what goes on.
        turns: What was measured: by workload and engine, one a round.
        peaks: By workload and dtype, one a round.
        failed: Engines that left, and why.
    """

    workers: dict[str, Asked]
    entries: Mapping[str, EngineEntry]
    workloads: Sequence[Workload]
    gemm: Callable[[], Mapping[str, float]]
    say: Callable[[str], None]
    turns: dict[str, dict[str, list[Turn]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    peaks: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    failed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.idle = IdleMeter(self.workers)

    def hand_out(self) -> None:
        """Give every worker its texts, and let it run a few of each workload untimed."""
        for workload in self.workloads:
            few = workload.texts[: max(1, len(workload.texts) // _WARM_SHARE)]
            for engine in self._engines(workload):
                worker = self.workers[engine]
                with self._dropping(engine):
                    worker.ask("keep", name=workload.name, texts=workload.texts, instructed=workload.instructed)
                    worker.ask("keep", name="warm", texts=few, instructed=workload.instructed)
                    worker.ask("time", name="warm")

    def round(self, number: int) -> None:
        """Let every engine do every workload once."""
        for workload in self.workloads:
            for dtype, value in self.gemm().items():
                self.peaks[workload.name][dtype].append(value)
            engines = self._engines(workload)
            for engine in engines if number % 2 == 0 else reversed(engines):
                with self._dropping(engine), self.idle.watch(engine):
                    turn = self._turn(engine, workload)
                    self.turns[workload.name][engine].append(turn)
                    self.say(f"  {workload.name}, {engine}: {workload.num_tokens / turn.seconds:,.0f} tokens/s")

    def _turn(self, engine: str, workload: Workload) -> Turn:
        if workload.one_by_one:
            milliseconds = self.workers[engine].ask("time_each", name=workload.name)["milliseconds"]
            return Turn(sum(milliseconds) / 1000, milliseconds=tuple(milliseconds))
        answer = self.workers[engine].ask("time", name=workload.name)
        return Turn(answer["seconds"], answer["num_computed"])

    def _engines(self, workload: Workload) -> list[str]:
        """Engines at work that this workload makes sense for."""
        return [name for name in self.workers if workload.name in (self.entries[name].workloads or (workload.name,))]

    def _dropping(self, engine: str) -> "_Dropping":
        return _Dropping(self, engine)

    def drop(self, engine: str, reason: str) -> None:
        """Take an engine out, with all it did."""
        self.say(f"  {engine} leaves: {reason}")
        self.failed[engine] = reason
        self.workers.pop(engine).stop()
        for by_engine in self.turns.values():
            by_engine.pop(engine, None)

    def result(self, workload: Workload, work: Work) -> WorkloadResult:
        """Sum up one workload."""
        turns = self.turns[workload.name]
        return WorkloadResult(
            num_texts=len(workload.texts),
            num_tokens=workload.num_tokens,
            mean_tokens=workload.num_tokens / len(workload.texts),
            longest=max(workload.lengths),
            instruction_tokens=workload.shared,
            one_by_one=workload.one_by_one,
            sha256=workload.sha256,
            engines={engine: self._timing(workload, done, work) for engine, done in turns.items()},
        )

    def _timing(self, workload: Workload, turns: Sequence[Turn], work: Work) -> Timing:
        peaks = self.peaks[workload.name]
        gflops = [workload.flops(work, reused=_reused(turn, workload)) / turn.seconds / 1e9 for turn in turns]
        calls = [call for turn in turns for call in turn.milliseconds]
        shares = {
            dtype: median(done / peak for done, peak in zip(gflops, values, strict=False))
            for dtype, values in peaks.items()
        }
        return Timing(
            tokens_per_s=tuple(workload.num_tokens / turn.seconds for turn in turns),
            gflops=tuple(gflops),
            share_of_bf16_peak=shares.get("bfloat16"),
            share_of_fp32_peak=shares["float32"],
            latency=Latency.of(calls) if calls else None,
        )


def _reused(turn: Turn, workload: Workload) -> bool:
    """Whether the tokens of the instruction were not run with every text."""
    return turn.num_computed is not None and workload.shared > 0 and turn.num_computed < workload.num_tokens


def ratios(workload: WorkloadResult, engine: str = BASELINE) -> dict[str, Spread]:
    """Tokens a second of an engine over each other's, round by round; empty when it did not run."""
    if engine not in workload.engines:
        return {}
    own = workload.engines[engine].tokens_per_s
    return {
        other: Spread.of([a / b for a, b in zip(own, timing.tokens_per_s, strict=False)])
        for other, timing in workload.engines.items()
        if other != engine
    }


class _Dropping:
    """A stretch in which a failing worker costs only itself."""

    def __init__(self, bench: Bench, engine: str) -> None:
        self._bench, self._engine = bench, engine

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, WorkerError):
            return False
        self._bench.drop(self._engine, str(error))
        return True
