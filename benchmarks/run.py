"""slimvec and its peers in turn, on the same texts: `python -m benchmarks.run --help`."""

import argparse
import datetime
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.catalogue import BASELINE, ENGINES, INT8, REFERENCE_ENTRY, EngineEntry
from benchmarks.engines.base import Model, Vectors
from benchmarks.environments import EnvironmentMissing, make_environment, python_of
from benchmarks.flops import Work
from benchmarks.forms import make_forms, model_name
from benchmarks.machine import this_machine
from benchmarks.measuring import Bench, ratios
from benchmarks.parity import compare, compare_retrieval, parity_samples, sample_vectors
from benchmarks.processes import WorkerError, WorkerProcess, worker_settings
from benchmarks.render import write_markdown
from benchmarks.results import BenchResult, EngineResult, Parity, RetrievalResult, Settings, write_json
from benchmarks.texts import TextPool, read_pool
from benchmarks.workloads import INSTRUCTION, MAX_TOKENS, WORKLOADS, Workload, make_workloads
from slimvec.engine.fused.spec import read_spec
from slimvec.engine.machine import num_cores
from slimvec.errors import SlimvecError
from slimvec.model.opening import open_model

RESULTS = Path(__file__).resolve().parent / "results"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--model", default="smollm2-135m", help="built-in name or folder (default: %(default)s)")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES), metavar="ENGINE")
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS), metavar="WORKLOAD")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every engine (default: %(default)s)")
    parser.add_argument("--texts", type=int, default=400, help="texts of a workload (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=num_cores(), help="of every engine (default: all cores)")
    parser.add_argument("--data", type=Path, help="retrieval sets to take texts from (default: installed packages)")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/MODEL-cpu.json")
    parser.add_argument("--peer-venv", action="store_true", help="make the environments that some peers need")
    parser.add_argument("--no-parity", action="store_true", help="leave out the comparison with the reference")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.texts, options.threads) < 1:
        parser.error("--rounds, --texts and --threads are at least 1")
    return options


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


class Start:
    """Workers brought up, and the reasons of those that could not be.

    Args:
        stack: Stops them in the end.
        model: In all forms.
    """

    def __init__(self, stack: ExitStack, model: Model) -> None:
        self._stack, self._model = stack, model
        self.workers: dict[str, WorkerProcess] = {}
        self.loaded: dict[str, tuple[float, dict[str, str]]] = {}
        self.absent: dict[str, str] = {}

    def start(self, engine: str, entry: EngineEntry, *, make_venv: bool) -> None:
        """Start one worker and load its model, or note why that cannot be."""
        say(f"starting {engine}")
        try:
            if make_venv and entry.environment:
                make_environment(entry.environment, say=say)
            python = python_of(entry.environment)
            with self._process(entry, python) as converter:
                converter.ask("prepare", model=asdict(self._model))
            worker = self._process(entry, python)
            self._stack.callback(worker.stop)
            answer = worker.ask("load", model=asdict(self._model))
        except (WorkerError, EnvironmentMissing) as error:
            say(f"  not measured: {error}")
            self.absent[engine] = self._without_paths(str(error))
            return
        self.workers[engine] = worker
        self.loaded[engine] = answer["seconds"], answer["details"]

    def _process(self, entry: EngineEntry, python: Path) -> WorkerProcess:
        return WorkerProcess(entry.factory, python=python, num_threads=self._model.num_threads)

    def _without_paths(self, reason: str) -> str:
        """Results name no folder of a machine."""
        for folder, name in ((self._model.cache, "CACHE"), (str(Path.home()), "~"), (sys.prefix, "VENV")):
            reason = reason.replace(folder, name)
        return reason


def check_vectors(
    start: Start, model: Model, workloads: Sequence[Workload], pool: TextPool
) -> tuple[dict[str, Parity], dict[str, RetrievalResult]]:
    """Compare every worker's vectors with the reference's; a worker that fails leaves."""
    say("comparing vectors with the float32 reference")
    samples = parity_samples(workloads)
    parities: dict[str, Parity] = {}
    with WorkerProcess(REFERENCE_ENTRY.factory, python=python_of(""), num_threads=model.num_threads) as reference:
        reference.ask("load", model=asdict(model))
        expected = sample_vectors(reference, samples)
        for engine, worker in list(start.workers.items()):
            try:
                parities[engine] = compare(_finite(sample_vectors(worker, samples)), expected)
            except WorkerError as error:
                start.absent[engine] = str(error)
                start.workers.pop(engine).stop()
        ours = {engine: start.workers[engine] for engine in (BASELINE, INT8) if engine in start.workers}
        return parities, compare_retrieval(ours, reference, pool.retrieval)


def _finite(vectors: Vectors) -> Vectors:
    if not np.isfinite(vectors).all():
        raise WorkerError("its vectors hold numbers that are not finite")
    return vectors


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when it is done, 2 when it cannot be."""
    options = parse(arguments)
    try:
        with ExitStack() as stack:
            run(options, stack)
    except (SlimvecError, WorkerError) as error:
        say(f"error: {error}")
        return 2
    return 0


def run(options: argparse.Namespace, stack: ExitStack) -> None:
    """Prepare everything, then take turns; results are written after every round."""
    output: Path = options.output or RESULTS / f"{model_name(options.model)}-cpu.json"
    opened = open_model(options.model, max_tokens=MAX_TOKENS)
    work = Work(read_spec(opened.config), causal=opened.spec.attention == "causal")
    say("collecting texts")
    pool = read_pool(options.data, num_retrieval=options.texts)
    workloads = make_workloads(options.workloads, pool, opened.tokenizer(), num_texts=options.texts)
    model = make_forms(
        options.model, instruction=INSTRUCTION, max_tokens=MAX_TOKENS, num_threads=options.threads, say=say
    )
    start = Start(stack, model)
    for engine in options.engines:
        start.start(engine, ENGINES[engine], make_venv=options.peer_venv)
    parities: dict[str, Parity] = {}
    retrieval: dict[str, RetrievalResult] = {}
    if not options.no_parity:
        parities, retrieval = check_vectors(start, model, workloads, pool)
    peak = stack.enter_context(
        WorkerProcess(REFERENCE_ENTRY.factory, python=python_of(""), num_threads=options.threads)
    )
    bench = Bench(
        workers=dict(start.workers),
        entries=ENGINES,
        workloads=workloads,
        gemm=lambda: peak.ask("gemm", num_threads=options.threads)["gflops"],
        say=say,
    )
    bench.hand_out()
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        bench.round(number)
        result = summarise(options, bench, start, pool, work, parities, retrieval, rounds_done=number + 1)
        write_json(result, output)
        write_markdown(result, output.with_suffix(".md"))
    say(f"wrote {output} and {output.with_suffix('.md').name}")


def summarise(
    options: argparse.Namespace,
    bench: Bench,
    start: Start,
    pool: TextPool,
    work: Work,
    parities: Mapping[str, Parity],
    retrieval: Mapping[str, RetrievalResult],
    *,
    rounds_done: int,
) -> BenchResult:
    """Put together what is known so far."""
    workloads = {workload.name: bench.result(workload, work) for workload in bench.workloads}
    idle = bench.idle.shares()
    dtypes = ("bfloat16", "float32")
    return BenchResult(
        model=model_name(options.model),
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        machine=this_machine(),
        settings=Settings(
            engines=tuple(options.engines),
            rounds=options.rounds,
            num_threads=options.threads,
            max_tokens=MAX_TOKENS,
            instruction=INSTRUCTION,
            texts=pool.source,
            environment=worker_settings(options.threads),
        ),
        rounds_done=rounds_done,
        gemm_gflops={
            dtype: tuple(value for workload in bench.workloads for value in bench.peaks[workload.name].get(dtype, ()))
            for dtype in dtypes
        },
        workloads=workloads,
        ratios={name: ratios(workload) for name, workload in workloads.items()},
        int8_ratios={name: ratios(workload, INT8) for name, workload in workloads.items()},
        engines={
            engine: EngineResult(
                label=ENGINES[engine].label,
                details=start.loaded[engine][1],
                load_seconds=start.loaded[engine][0],
                peak_rss_mb=worker.ask("memory")["peak_rss_mb"],
                idle_cores=idle[engine],
                parity=parities.get(engine),
            )
            for engine, worker in bench.workers.items()
        },
        absent={**start.absent, **bench.failed, **_unasked(options.engines)},
        retrieval=retrieval.get(BASELINE),
        int8_retrieval=retrieval.get(INT8),
    )


def _unasked(engines: Sequence[str]) -> dict[str, str]:
    return {engine: "not asked for" for engine in ENGINES if engine not in engines}


if __name__ == "__main__":
    sys.exit(main())
