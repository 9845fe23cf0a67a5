"""Time to the first vector from a warm cache, in fresh processes: `python -m benchmarks.startup`."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.forms import model_name
from benchmarks.machine import Machine, this_machine
from benchmarks.processes import ROOT, worker_environment
from benchmarks.results import Frozen, Spread, write_json
from slimvec.engine.machine import num_cores

LIMIT_SECONDS = 2.0
_PROGRAM = """
import json, sys, time
start = time.perf_counter()
from slimvec import Embedder
imported = time.perf_counter()
embedder = Embedder.load(sys.argv[1])
loaded = time.perf_counter()
embedder.embed(["first"])
done = time.perf_counter()
print(json.dumps({"imports": imported - start, "load": loaded - imported, "first": done - loaded}), flush=True)
"""


class StartupResult(Frozen):
    """How long the first vector takes.

    Attributes:
        model: Name of the model.
        machine: Where.
        num_runs: Fresh processes, after one that is not counted.
        total_seconds: From the start of the process to its first vector, Python's own start included.
        import_seconds: Its part for importing slimvec, and torch with it.
        load_seconds: Its part for `Embedder.load`.
        first_seconds: Its part for embedding one word.
        exit_seconds: After that, until the process is gone.
        import_share: Import over total, in the middle run.
        limit_seconds: Most the total may be.
    """

    model: str
    machine: Machine
    num_runs: int
    total_seconds: Spread
    import_seconds: Spread
    load_seconds: Spread
    first_seconds: Spread
    exit_seconds: Spread
    import_share: float
    limit_seconds: float


def time_once(model: str, num_threads: int) -> dict[str, float]:
    """Run one fresh process, and give its phases and total in seconds.

    Raises:
        subprocess.CalledProcessError: it failed; its own words are on stderr.
    """
    start = time.perf_counter()
    command = [sys.executable, "-c", _PROGRAM, model]
    environment = worker_environment(num_threads)
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        total = time.perf_counter() - start
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {**json.loads(line), "total": total, "exit": time.perf_counter() - start - total}


def summarise(model: str, runs: Sequence[dict[str, float]]) -> StartupResult:
    """Sum up the runs."""
    spreads = {
        phase: Spread.of([run[phase] for run in runs]) for phase in ("total", "imports", "load", "first", "exit")
    }
    return StartupResult(
        model=model_name(model),
        machine=this_machine(),
        num_runs=len(runs),
        total_seconds=spreads["total"],
        import_seconds=spreads["imports"],
        load_seconds=spreads["load"],
        first_seconds=spreads["first"],
        exit_seconds=spreads["exit"],
        import_share=spreads["imports"].median / spreads["total"].median,
        limit_seconds=LIMIT_SECONDS,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 when the middle run is over the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=num_cores())
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/MODEL-startup.json")
    options = parser.parse_args(arguments)
    time_once(options.model, options.threads)  # fills the operating system's file cache, and slimvec's own
    result = summarise(options.model, [time_once(options.model, options.threads) for _ in range(options.runs)])
    write_json(result, options.output or ROOT / "benchmarks" / "results" / f"{result.model}-startup.json")
    total = result.total_seconds
    print(
        f"first vector after {total.median:.2f} s ({total.low:.2f} to {total.high:.2f}); imports "
        f"{result.import_seconds.median:.2f} s ({result.import_share:.0%}), load {result.load_seconds.median:.2f} s, "
        f"first text {result.first_seconds.median:.2f} s; limit {LIMIT_SECONDS:.0f} s"
    )
    return int(total.median >= LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
