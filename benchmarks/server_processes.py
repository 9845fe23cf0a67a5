"""Servers as processes: slimvec's, infinity in an environment of its own, sentence-transformers behind FastAPI."""

import base64
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.environments import python_of
from benchmarks.processes import ROOT, worker_environment
from benchmarks.server_load import Dialect

PEERS: dict[str, Dialect] = {"slimvec": "input_type", "infinity": "prompt", "sentence-transformers": "input_type"}
"""Servers, and how each learns the role of texts."""
_START_SECONDS = 180.0


class ServerEndedError(Exception):
    """A server ended, or was not ready in time; the message says which."""


def free_port() -> int:
    """A port of loopback that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def command_of(server: str, folder: Path, port: int, more: Sequence[str] = ()) -> list[str]:
    """The command that serves a model.

    Args:
        server: A key of `PEERS`.
        folder: The model; requests call it `served`.
        port: On loopback.
        more: Further options of `slimvec serve`.

    Raises:
        EnvironmentMissing: infinity's environment was not made.
    """
    if server == "infinity":
        command = [python_of("infinity").with_name("infinity_emb"), "v2", "--model-id", folder, "--port", port]
        command += ["--served-model-name", "served", "--engine", "torch", "--device", "cpu", "--dtype", "float32"]
        command += [
            "--host",
            "127.0.0.1",
            "--url-prefix",
            "/v1",
            "--no-bettertransformer",
            "--no-model-warmup",
            "--log-level",
            "error",
        ]
    elif server == "sentence-transformers":
        command = [sys.executable, "-m", "benchmarks.server_processes", folder, port]
    else:
        command = [sys.executable, "-m", "slimvec", "serve", "--model", f"served={folder}", "--port", port, *more]
        command += ["--quiet", "--dtype", "float32"]
    return [str(part) for part in command]


@contextmanager
def serving(command: Sequence[str], port: int, *, num_threads: int) -> Iterator[psutil.Process]:
    """Run a server until the body ends, from when it is ready.

    Raises:
        ServerEndedError: it ended before it was ready.
    """
    environment = worker_environment(num_threads) | {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        wait_until_ready(process, port)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until a server answers at `/health`.

    Raises:
        ServerEndedError: it ended, or was not ready in time.
    """
    until = time.monotonic() + _START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServerEndedError(f"the server ended with code {process.returncode}: {process.args!r}")
        try:
            with opener.open(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise ServerEndedError(f"the server was not ready within {_START_SECONDS:g} s: {process.args!r}")


def behind_fastapi(folder: str, port: int) -> None:
    """Serve a folder by sentence-transformers, as its users do: one model, one route, one request at a time."""
    import threading

    import uvicorn
    from fastapi import FastAPI
    from sentence_transformers import SentenceTransformer

    model, app, lock = SentenceTransformer(folder, device="cpu"), FastAPI(), threading.Lock()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/embeddings")
    def embeddings(asked: dict[str, Any]) -> dict[str, Any]:
        with lock:
            vectors = model.encode(asked["input"], prompt_name=asked["input_type"], show_progress_bar=False)
        data = [
            {"object": "embedding", "index": number, "embedding": base64.b64encode(vector.tobytes()).decode()}
            for number, vector in enumerate(np.asarray(vectors, dtype="<f4"))
        ]
        return {"object": "list", "data": data, "model": asked["model"]}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    behind_fastapi(sys.argv[1], int(sys.argv[2]))
