"""Servers under load: slimvec's beside infinity and sentence-transformers behind FastAPI, in one run.

    python -m benchmarks.serving --peer-venv                       # an hour on two cores
    python -m benchmarks.serving --seconds 3 --endurance 0         # a look

Each server is a process of its own, one at a time, with the same threads, texts and float32, at 1, 8 and 64 clients.
Before and after each load the engine embeds the same texts offline; the share of that throughput is what serving
leaves of it. Then slimvec's server is given more than it will queue (429), and at last loaded for ten minutes, when
its memory is watched. Every answer is held against the vectors of its texts.

Exit code 1 when a limit is missed: at 64 clients 90% of the engine's throughput, no wrong vector, 429 under overload,
memory growing by less than 2% after the first quarter of the long load.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from benchmarks.environments import EnvironmentMissing, bench_cache, make_environment
from benchmarks.machine import Machine, this_machine
from benchmarks.results import Frozen, write_json
from benchmarks.server_load import (
    BadAnswerError,
    Request,
    Seen,
    Texts,
    count_wrong,
    make_requests,
    put_under_load,
    read_texts,
)
from benchmarks.server_processes import PEERS, ServerEndedError, command_of, free_port, serving
from slimvec.engine.embedder import Embedder
from slimvec.text.prompts import ROLES

LIMIT_SHARE, LIMIT_GROWTH = 0.9, 0.02
MOST_CLIENTS = 64
_PATIENT = ("--max-wait", "300", "--timeout", "600")
_STRICT = ("--max-wait", "2")
_WARM_SECONDS = 3.0
_OFFLINE_TEXTS = 60


class Load(Frozen):
    """A server under a number of clients.

    Attributes:
        server: A key of `PEERS`.
        what: `load`, `overload` or `endurance`.
        clients: How many.
        seconds: From the first request to the last answer.
        requests: Answered.
        refused: Answered with 429; the client waited and asked again.
        wrong: Vectors that are not those of their texts.
        tokens_per_second: Tokens of the texts answered, prompts included.
        offline_tokens_per_second: Speed of slimvec's engine on the same texts, just before and after.
        share: The one over the other.
        cpu_share: The same by processor time: the engine's for a token over the server's. Other work on the machine
            leaves it as it is.
        p50_seconds: Median time of a request.
        p99_seconds: Its 99th percentile.
        client_cpu: Cores that the clients kept busy.
        memory_mb: Memory of the server a quarter into the load, and at its end.
        memory_growth: How much the last tenth's median is above the one of the tenth behind the first quarter.
    """

    server: str
    what: str
    clients: int
    seconds: float
    requests: int
    refused: int
    wrong: int
    tokens_per_second: float
    offline_tokens_per_second: float
    share: float
    cpu_share: float
    p50_seconds: float
    p99_seconds: float
    client_cpu: float
    memory_mb: tuple[float, float]
    memory_growth: float


class ServingResult(Frozen):
    """What a run measured.

    Attributes:
        machine: Where.
        model: The model.
        engine: What ran it in slimvec.
        threads: Threads of each server.
        loads: In their order.
        left_out: Servers that could not run, and why.
        failures: Limits that were missed.
    """

    machine: Machine
    model: str
    engine: str
    threads: int
    loads: tuple[Load, ...]
    left_out: dict[str, str]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Speed:
    """Tokens a second, of the clock and of processor time."""

    wall: float
    cpu: float


class Bench:
    """Puts servers of one model under load, one after another.

    Args:
        folder: The model.
        threads: Threads of each server, and of the engine.
        offline_seconds: How long the engine is timed between loads.
    """

    def __init__(self, folder: Path, threads: int, offline_seconds: float) -> None:
        self._folder, self._threads, self._offline_seconds = folder, threads, offline_seconds
        self.embedder = Embedder.load(folder, dtype="float32")
        self._texts: Texts = read_texts(self.embedder)
        self._before = self._offline()
        self.loads: list[Load] = []

    def run(self, server: str, clients: int, seconds: float, *, what: str = "load") -> None:
        """Put a server under clients, and add what was measured to `loads`.

        Raises:
            EnvironmentMissing: the server is not installed.
        """
        requests, port = make_requests(self._texts, PEERS[server]), free_port()
        command = command_of(server, self._folder, port, _STRICT if what == "overload" else _PATIENT)
        with serving(command, port, num_threads=self._threads) as process:
            put_under_load(port, requests, clients=1, seconds=_WARM_SECONDS, server=process)
            busy = _cpu_seconds(process)
            seen = put_under_load(port, requests, clients=clients, seconds=seconds, server=process)
            busy = _cpu_seconds(process) - busy
        after = self._offline()
        engine = Speed((self._before.wall + after.wall) / 2, (self._before.cpu + after.cpu) / 2)
        served = Speed(seen.tokens / seen.took, seen.tokens / busy)
        self.loads.append(self._load(server, what, clients, seen, requests, served, engine))
        self._before = after
        print(self.loads[-1].model_dump_json(), file=sys.stderr, flush=True)

    def _load(
        self,
        server: str,
        what: str,
        clients: int,
        seen: Seen,
        requests: Sequence[Request],
        served: Speed,
        engine: Speed,
    ) -> Load:
        memory = [megabytes for _, megabytes in seen.memory]
        return Load(
            server=server,
            what=what,
            clients=clients,
            seconds=round(seen.took, 2),
            requests=len(seen.seconds),
            refused=seen.refused,
            wrong=count_wrong(seen, requests, self._texts),
            tokens_per_second=round(served.wall, 1),
            offline_tokens_per_second=round(engine.wall, 1),
            share=round(served.wall / engine.wall, 3),
            cpu_share=round(served.cpu / engine.cpu, 3),
            p50_seconds=round(median(seen.seconds), 3),
            p99_seconds=round(float(np.quantile(seen.seconds, 0.99)), 3),
            client_cpu=round(seen.cpu_seconds / seen.took, 3),
            memory_mb=(round(memory[len(memory) // 4], 1), round(memory[-1], 1)),
            memory_growth=round(growth(memory), 4),
        )

    def _offline(self) -> Speed:
        """Embed the texts in both roles, half by half, for some seconds."""
        texts, done, number = self._texts, 0, 0
        start, busy = time.perf_counter(), time.process_time()
        while time.perf_counter() - start < self._offline_seconds or number % 2:
            role, part = ROLES[number % 2], slice(number // 2 % 2, 2 * _OFFLINE_TEXTS, 2)
            self.embedder.embed(list(texts.texts[part]), role=role)
            done, number = done + sum(texts.tokens[role][part]), number + 1
        return Speed(done / (time.perf_counter() - start), done / (time.process_time() - busy))


def _cpu_seconds(process: psutil.Process) -> float:
    """Processor time of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def growth(memory: Sequence[float]) -> float:
    """How much memory grew after the first quarter of its samples, as a share; by medians over a tenth of them."""
    tenth = max(1, len(memory) // 10)
    early = median(memory[len(memory) // 4 :][:tenth])
    return median(memory[-tenth:]) / early - 1


def failures(loads: Sequence[Load]) -> list[str]:
    """Name the limits that slimvec's server missed."""
    found = []
    for load in (one for one in loads if one.server == "slimvec"):
        name = f"{load.what} of {load.clients} clients"
        if load.wrong:
            found.append(f"{name}: {load.wrong} wrong vectors")
        if load.what == "load" and load.clients == MOST_CLIENTS and load.share < LIMIT_SHARE:
            found.append(f"{name}: {load.share:.1%} of the engine's throughput")
        if load.what == "overload" and not load.refused:
            found.append(f"{name}: nothing was refused")
        if load.what == "endurance" and load.memory_growth >= LIMIT_GROWTH:
            found.append(f"{name}: memory grew by {load.memory_growth:.1%}")
    return found


def table(loads: Sequence[Load]) -> str:
    """Lay loads out as Markdown, for docs/serving.md."""
    header = ("server", "what", "clients", "tokens/s", "of the engine offline", "p50", "p99", "429", "wrong", "memory")
    rows = [
        (
            one.server,
            one.what,
            str(one.clients),
            f"{one.tokens_per_second:,.0f}",
            f"{one.share:.0%} ({one.cpu_share:.0%} by processor time)",
            f"{one.p50_seconds:.2f} s",
            f"{one.p99_seconds:.2f} s",
            f"{one.refused:,}",
            f"{one.wrong:,}",
            f"{one.memory_mb[1]:,.0f} MiB ({one.memory_growth:+.1%})",
        )
        for one in loads
    ]
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, MOST_CLIENTS])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--peer-venv", action="store_true", help="make infinity's environment if it is not there")
    parser.add_argument("--seconds", type=float, default=120, help="of each load")
    parser.add_argument("--overload", type=float, default=60, metavar="SECONDS", help="0 leaves it out")
    parser.add_argument("--endurance", type=float, default=600, metavar="SECONDS", help="0 leaves it out")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/serving.json"))
    arguments = parser.parse_args()
    import torch

    folder = bench_cache() / f"serving-{arguments.model}"
    if not folder.exists():
        Embedder.load(arguments.model, dtype="float32").save(folder)
    left_out = {}
    if arguments.peer_venv and "infinity" in arguments.peers:
        make_environment("infinity", say=lambda text: print(text, file=sys.stderr))
    threads = int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads()))
    bench = Bench(folder, threads, min(arguments.seconds, 30) / 2)
    for clients in arguments.clients:
        for server in arguments.peers:
            try:
                bench.run(server, clients, arguments.seconds)
            except (EnvironmentMissing, ServerEndedError, BadAnswerError) as error:
                if server == "slimvec":
                    raise
                left_out[server] = str(error)
    for what, seconds in (("overload", arguments.overload), ("endurance", arguments.endurance)):
        if seconds:
            bench.run("slimvec", MOST_CLIENTS, seconds, what=what)
    missed = failures(bench.loads)
    result = ServingResult(
        machine=this_machine(), model=arguments.model, engine=bench.embedder.engine, threads=threads,
        loads=tuple(bench.loads), left_out=left_out, failures=tuple(missed),
    )  # fmt: skip
    write_json(result, arguments.output)
    print(table(bench.loads))
    print("\n".join(missed) or "all limits hold")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
