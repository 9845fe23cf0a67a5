"""The parent's side of a worker: start it, ask it, see what it costs."""

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import psutil

from benchmarks.engines.base import Vectors

ROOT = Path(__file__).resolve().parent.parent
"""Where workers are started: the root of the repository, so that they find this package."""


class WorkerError(Exception):
    """A worker could not do what it was asked; the message is its reason in one line."""


def worker_settings(num_threads: int) -> dict[str, str]:
    """Variables every worker gets: the same threads for all, no hub, no warnings."""
    return {
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(num_threads)),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONWARNINGS": "ignore",
    }


def worker_environment(num_threads: int) -> dict[str, str]:
    """The whole environment of a worker."""
    return {**os.environ, **worker_settings(num_threads)}


class WorkerProcess:
    """An engine in a process of its own.

    Args:
        engine: `MODULE:CLASS`.
        python: The interpreter of its environment.
        num_threads: Threads it may use.

    Raises:
        WorkerError: it cannot be started.
    """

    def __init__(self, engine: str, *, python: Path, num_threads: int) -> None:
        self._stderr = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [str(python), "-m", "benchmarks.worker", engine],
                cwd=ROOT,
                env=worker_environment(num_threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
            )
        except OSError as error:
            self._stderr.close()
            raise WorkerError(f"its Python cannot be started: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            WorkerError: the worker failed or died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def vectors(self, name: str) -> Vectors:
        """Vectors of kept texts: [N, D].

        Raises:
            WorkerError: as for `ask`.
        """
        answer = self.ask("vectors", name=name)
        return np.frombuffer(base64.b64decode(answer["data"]), dtype=np.float32).reshape(answer["shape"])

    def cpu_seconds(self) -> float:
        """Time on any core so far."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        """Let it end; it has ten seconds."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # it died with a request in the pipe
                    continue
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _last_words(self) -> str:
        """Why a worker is gone: its exit code, and the last line it wrote."""
        code = self._process.wait()
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr if line.strip()]
        return f"the process ended with code {code}" + (f": {lines[-1][:300]}" if lines else "")


class HasClock(Protocol):
    """What the idle meter needs of a worker."""

    def cpu_seconds(self) -> float:
        """Time on any core so far."""
        ...


class IdleMeter:
    """How much idle workers compute while another one is timed.

    Args:
        workers: All workers by engine.
    """

    def __init__(self, workers: Mapping[str, HasClock]) -> None:
        self._workers = workers
        self._cpu = dict.fromkeys(workers, 0.0)
        self._wall = dict.fromkeys(workers, 0.0)

    def watch(self, active: str) -> "_Watch":
        """Measure all workers but the active one, as a context."""
        return _Watch(self, [name for name in self._workers if name != active])

    def add(self, name: str, cpu: float, wall: float) -> None:
        """Add what one worker used."""
        self._cpu[name] += cpu
        self._wall[name] += wall

    def read(self, names: list[str]) -> dict[str, float]:
        """CPU time so far of those still alive."""
        return {name: self._workers[name].cpu_seconds() for name in names if name in self._workers}

    def shares(self) -> dict[str, float]:
        """Cores an idle worker kept busy on average, by engine."""
        return {name: self._cpu[name] / wall if wall else 0.0 for name, wall in self._wall.items()}


class _Watch:
    """One stretch of time during which one worker is active."""

    def __init__(self, meter: IdleMeter, idle: list[str]) -> None:
        self._meter, self._idle = meter, idle

    def __enter__(self) -> None:
        self._start, self._before = time.perf_counter(), self._meter.read(self._idle)

    def __exit__(self, *_: object) -> None:
        wall = time.perf_counter() - self._start
        for name, cpu in self._meter.read(list(self._before)).items():
            self._meter.add(name, cpu - self._before[name], wall)
