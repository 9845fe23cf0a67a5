"""Servers under load: slimvec's beside sentence-transformers behind FastAPI, at 1, 8 and 64 clients, in one run.

    python -m benchmarks.serving --model smollm2-135m --seconds 20
    python -m benchmarks.serving --clients 64 --seconds 600 --peers slimvec      # memory over ten minutes

Each server is a process of its own, one at a time, with the same threads, the same texts and float32. A client sends a
request, waits for the answer, and sends the next: one to four texts of the documentation of installed packages, as
queries or documents. Before and after each load the engine embeds the same texts offline; the share of that
throughput is what serving costs. Every answer of slimvec is held against the vectors of that pass.
"""

import argparse
import asyncio
import base64
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from benchmarks.machine import Machine, this_machine
from benchmarks.texts import read_pool
from slimvec.engine.embedder import Embedder

PEERS = ("slimvec", "sentence-transformers")
_PORT = 8731
_MAX_CHARACTERS = 400
_NUM_TEXTS = 120
_MIN_COSINE = 0.9999


class Load(BaseModel):
    """A server under a number of clients.

    Attributes:
        server: Whose.
        clients: How many.
        seconds: From the first request to the last answer.
        requests: Answered.
        refused: Answered with 429; the client waited and asked again.
        wrong: Answers that are not the vectors of their texts; None where they are not looked at.
        tokens_per_second: Tokens of the texts answered, prompts included.
        offline_tokens_per_second: Speed of slimvec's engine on the same texts, just before and after.
        share: The one over the other.
        p50_seconds: Median time of a request.
        p99_seconds: Its 99th percentile.
        memory_mb: Memory of the server, a quarter into the load and at its end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str
    clients: int
    seconds: float
    requests: int
    refused: int
    wrong: int | None
    tokens_per_second: float
    offline_tokens_per_second: float
    share: float
    p50_seconds: float
    p99_seconds: float
    memory_mb: tuple[float, float]


class ServingResult(BaseModel):
    """What a run measured.

    Attributes:
        machine: Where.
        model: The model.
        engine: What ran it in slimvec.
        threads: Threads of each server.
        loads: By server and number of clients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    model: str
    engine: str
    threads: int
    loads: tuple[Load, ...]


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts, with what an answer about them should be.

    Attributes:
        texts: N of them.
        tokens: By role and text.
        vectors: [N, D] by role.
    """

    texts: Sequence[str]
    tokens: dict[str, Sequence[int]]
    vectors: dict[str, NDArray[np.float32]]


@dataclass
class Sent:
    """What the clients of a load have seen."""

    seconds: list[float]
    tokens: int = 0
    refused: int = 0
    wrong: int = 0


def read_texts(embedder: Embedder) -> Texts:
    """Take texts of mixed lengths, and embed them in both roles."""
    pool = read_pool(None, num_retrieval=1)
    texts = [text[:_MAX_CHARACTERS] for text in (*pool.short[: _NUM_TEXTS // 2], *pool.long[: _NUM_TEXTS // 2])]
    tokens, vectors = {}, {}
    for role in ("query", "document"):
        prompt = embedder.spec.prompts.render(role)
        tokens[role] = embedder.tokenizer.tokenize(texts, prompt=prompt).lengths
        vectors[role] = embedder.embed(texts, role=role).vectors
    return Texts(texts, tokens, vectors)


def offline(embedder: Embedder, texts: Texts, seconds: float) -> float:
    """Embed the texts in both roles, part by part, for some seconds: tokens a second."""
    start, done, parts = time.perf_counter(), 0, 4
    for number in range(10**6):
        role, part = ("query", "document")[number % 2], slice(number // 2 % parts, None, parts)
        embedder.embed(list(texts.texts[part]), role=role)
        done += sum(texts.tokens[role][part])
        if time.perf_counter() - start > seconds:
            break
    return done / (time.perf_counter() - start)


async def client(session: httpx.AsyncClient, texts: Texts, seed: int, until: float, sent: Sent, *, check: bool) -> None:
    """Ask until the time is over."""
    generator = random.Random(seed)
    while time.perf_counter() < until:
        role = generator.choice(("query", "document"))
        numbers = [generator.randrange(len(texts.texts)) for _ in range(generator.randint(1, 4))]
        body = {
            "model": "served",
            "input": [texts.texts[number] for number in numbers],
            "encoding_format": "base64",
            "input_type": role,
        }
        start = time.perf_counter()
        answer = await session.post("/v1/embeddings", json=body)
        if answer.status_code == 429:
            sent.refused += 1
            await asyncio.sleep(float(answer.headers["retry-after"]))
            continue
        answer.raise_for_status()
        sent.seconds.append(time.perf_counter() - start)
        sent.tokens += sum(texts.tokens[role][number] for number in numbers)
        if check:
            rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in answer.json()["data"]]
            cosines = (np.stack(rows) * texts.vectors[role][numbers]).sum(axis=1)
            sent.wrong += int((cosines < _MIN_COSINE).sum())


async def load(
    server: psutil.Process, texts: Texts, clients: int, seconds: float, *, check: bool
) -> tuple[Sent, float, tuple[float, float]]:
    """Put a server under clients: what they saw, how long it took, and the server's memory."""
    limits = httpx.Limits(max_connections=clients)
    url = f"http://127.0.0.1:{_PORT}"
    async with httpx.AsyncClient(base_url=url, timeout=600, trust_env=False, limits=limits) as session:
        sent, start = Sent([]), time.perf_counter()
        asking = [
            asyncio.create_task(client(session, texts, number, start + seconds, sent, check=check))
            for number in range(clients)
        ]
        await asyncio.sleep(seconds / 4)
        early = server.memory_info().rss / 2**20
        await asyncio.gather(*asking)
        return sent, time.perf_counter() - start, (early, server.memory_info().rss / 2**20)


@contextmanager
def serving(name: str, folder: Path) -> Iterator[psutil.Process]:
    """Run a server until the body ends."""
    slimvec = ["slimvec", "serve", "--model", f"served={folder}", "--port", str(_PORT), "--quiet", "--dtype", "float32"]
    slimvec += ["--max-wait", "300", "--timeout", "600"]
    peer = ["benchmarks.serving", "--behind-fastapi", str(folder)]
    process = subprocess.Popen([sys.executable, "-m", *(slimvec if name == "slimvec" else peer)])
    try:
        for _ in range(600):
            try:
                httpx.get(f"http://127.0.0.1:{_PORT}/health", trust_env=False).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, f"{name} has ended with exit code {process.returncode}"
                time.sleep(0.2)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def behind_fastapi(folder: str) -> None:
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
            vectors = model.encode(asked["input"], prompt_name=asked["input_type"])
        data = [
            {"object": "embedding", "index": number, "embedding": base64.b64encode(vector.tobytes()).decode()}
            for number, vector in enumerate(np.asarray(vectors, dtype="<f4"))
        ]
        return {"object": "list", "data": data, "model": asked["model"]}

    uvicorn.run(app, host="127.0.0.1", port=_PORT, log_level="warning")


def measure(folder: Path, peers: Sequence[str], clients: Sequence[int], seconds: float) -> tuple[str, list[Load]]:
    """Measure servers in turn; gives the name of slimvec's engine too."""
    embedder = Embedder.load(folder, dtype="float32")
    texts = read_texts(embedder)
    loads = []
    before = offline(embedder, texts, min(seconds, 20) / 2)
    for number in clients:
        for name in peers:
            with serving(name, folder) as server:
                asyncio.run(load(server, texts, 1, 3, check=False))  # warm
                sent, took, memory = asyncio.run(load(server, texts, number, seconds, check=name == "slimvec"))
            after = offline(embedder, texts, min(seconds, 20) / 2)
            engine, speed = (before + after) / 2, sent.tokens / took
            loads.append(
                Load(
                    server=name,
                    clients=number,
                    seconds=round(took, 2),
                    requests=len(sent.seconds),
                    refused=sent.refused,
                    wrong=sent.wrong if name == "slimvec" else None,
                    tokens_per_second=round(speed, 1),
                    offline_tokens_per_second=round(engine, 1),
                    share=round(speed / engine, 3),
                    p50_seconds=round(median(sent.seconds), 3),
                    p99_seconds=round(float(np.quantile(sent.seconds, 0.99)), 3),
                    memory_mb=(round(memory[0], 1), round(memory[1], 1)),
                )
            )
            print(loads[-1].model_dump_json(), file=sys.stderr, flush=True)
            before = after
    return embedder.engine, loads


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/serving.json"))
    parser.add_argument("--behind-fastapi", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.behind_fastapi:
        behind_fastapi(arguments.behind_fastapi)
        return
    from slimvec.model.cache import cache_root

    folder = cache_root() / "bench" / f"serving-{arguments.model}"
    if not folder.exists():
        Embedder.load(arguments.model, dtype="float32").save(folder)
    engine, loads = measure(folder, arguments.peers, arguments.clients, arguments.seconds)
    import torch

    threads = int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads()))
    result = ServingResult(
        machine=this_machine(), model=arguments.model, engine=engine, threads=threads, loads=tuple(loads)
    )
    arguments.output.write_text(json.dumps(result.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
