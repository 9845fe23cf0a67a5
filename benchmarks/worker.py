"""A worker: one engine in one process, kept warm, answering JSON lines.

    python -m benchmarks.worker MODULE:CLASS

Each line of stdin is a request, `{"do": NAME, ...}`; each line of stdout its answer, `{"error": TEXT}` when it failed.
Whatever a library prints goes to stderr. Texts are handed over once (`keep`) and timed later by name (`time`), so that
no pipe is part of a measurement. Standard library and numpy only: workers run in environments without slimvec.
"""

import base64
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import IO, Any

import numpy as np

from benchmarks.engines.base import Engine, Model, Run

Answer = dict[str, Any]


class Worker:
    """Serves requests with one engine.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._texts: dict[str, tuple[list[str], bool]] = {}

    def prepare(self, model: dict[str, Any]) -> Answer:
        """Convert the model."""
        self._engine.prepare(Model(**model))
        return {}

    def load(self, model: dict[str, Any]) -> Answer:
        """Load the model and embed one word: time to the first vector, without the start of Python."""
        start = time.perf_counter()
        details = self._engine.load(Model(**model))
        self._engine.embed(["first"], instructed=False)
        return {"seconds": time.perf_counter() - start, "details": dict(details)}

    def keep(self, name: str, texts: list[str], instructed: bool) -> Answer:
        """Keep texts under a name."""
        self._texts[name] = (texts, instructed)
        return {}

    def time(self, name: str) -> Answer:
        """Embed all texts at once, timed."""
        texts, instructed = self._texts[name]
        start = time.perf_counter()
        run = self._engine.embed(texts, instructed)
        return {"seconds": time.perf_counter() - start, "num_computed": run.num_computed}

    def time_each(self, name: str) -> Answer:
        """Embed one text after the other, each timed; in milliseconds."""
        texts, instructed = self._texts[name]
        return {"milliseconds": [self._time_one(text, instructed) for text in texts]}

    def _time_one(self, text: str, instructed: bool) -> float:
        start = time.perf_counter()
        self._engine.embed([text], instructed)
        return 1000 * (time.perf_counter() - start)

    def vectors(self, name: str) -> Answer:
        """Give the vectors themselves: [N, D] float32, as base64."""
        run: Run = self._engine.embed(*self._texts[name])
        vectors = np.ascontiguousarray(run.vectors, dtype=np.float32)
        return {"shape": vectors.shape, "data": base64.b64encode(vectors.tobytes()).decode("ascii")}

    def memory(self) -> Answer:
        """Most memory this process ever held, in MB."""
        return {"peak_rss_mb": peak_rss_mb()}

    def gemm(self, num_threads: int) -> Answer:
        """Measure the machine's matrix products."""
        from benchmarks.engines.gemm import gemm_peaks

        return {"gflops": gemm_peaks(num_threads)}


def serve(worker: Worker, lines: IO[str], answers: IO[str]) -> None:
    """Answer requests until there are no more. A failure is an answer too: the parent decides what it means."""
    for line in lines:
        request: dict[str, Any] = json.loads(line)
        action: Callable[..., Answer] = getattr(worker, request.pop("do"))
        try:
            answer = action(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def peak_rss_mb() -> float:
    """Most memory this process ever held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def make_engine(name: str) -> Engine:
    """Make an engine from `MODULE:CLASS`."""
    module, _, attribute = name.partition(":")
    engine: Engine = getattr(import_module(module), attribute)()
    return engine


def _own_stdout() -> IO[str]:
    """Take stdout for the answers; what libraries print goes to stderr from here on."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    own_stdout = _own_stdout()
    serve(Worker(make_engine(sys.argv[1])), sys.stdin, own_stdout)
