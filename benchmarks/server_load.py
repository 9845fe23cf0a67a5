"""Clients that put a server under load, at little cost: one asyncio process, bodies made beforehand, plain sockets.

A client sends a request, waits for its answer, and sends the next: one to four texts, as queries or documents. What
a server answers is kept as bytes and held against the vectors of its texts when the load is over.
"""

import asyncio
import base64
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import orjson
import psutil
from numpy.typing import NDArray

from benchmarks.texts import read_pool
from slimvec.engine.embedder import Embedder
from slimvec.text.prompts import ROLES

MIN_COSINE = 0.9999
_MAX_CHARACTERS = 400
_NUM_TEXTS = 120
_NUM_REQUESTS = 512
_MOST_TEXTS = 4
_RETRY_SECONDS = 0.2
Dialect = Literal["input_type", "prompt"]
"""How a server learns the role of texts: by a field of the request, or by the prompt in front of each text."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts, with what an answer about them should be.

    Attributes:
        texts: N of them.
        prompts: By role.
        tokens: By role and text, prompts included.
        vectors: [N, D] by role.
    """

    texts: Sequence[str]
    prompts: dict[str, str]
    tokens: dict[str, Sequence[int]]
    vectors: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Request:
    """A request, ready to be sent.

    Attributes:
        data: Its bytes, headers and body.
        role: Role of its texts.
        numbers: Which they are.
        tokens: Tokens of all.
    """

    data: bytes
    role: str
    numbers: list[int]
    tokens: int


@dataclass
class Seen:
    """What the clients of a load have seen.

    Attributes:
        seconds: Time of each request that was answered.
        answers: Which request, and the body of its answer.
        tokens: Tokens of those requests.
        refused: Answers with 429.
        broken: Connections that ended before an answer was whole; the request was sent again.
        took: From the first request to the last answer, in seconds.
        memory: Time since the start, and resident memory of the server in MiB.
        cpu_seconds: Processor time of the clients.
    """

    seconds: list[float] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    tokens: int = 0
    refused: int = 0
    broken: int = 0
    took: float = 0.0
    memory: list[tuple[float, float]] = field(default_factory=list)
    cpu_seconds: float = 0.0


class BadAnswerError(Exception):
    """A server answered with an error other than 429."""


def read_texts(embedder: Embedder) -> Texts:
    """Take texts of mixed lengths, and embed them in both roles."""
    pool = read_pool(None, num_retrieval=1)
    texts = [text[:_MAX_CHARACTERS] for text in (*pool.short[: _NUM_TEXTS // 2], *pool.long[: _NUM_TEXTS // 2])]
    random.Random(0).shuffle(texts)
    prompts: dict[str, str] = {role: embedder.spec.prompts.render(role) for role in ROLES}
    tokens: dict[str, Sequence[int]] = {
        role: embedder.tokenizer.tokenize(texts, prompt=prompt).lengths for role, prompt in prompts.items()
    }
    vectors: dict[str, NDArray[np.float32]] = {role: embedder.embed(texts, role=role).vectors for role in ROLES}
    return Texts(texts, prompts, tokens, vectors)


def make_requests(texts: Texts, dialect: Dialect, *, model: str = "served") -> list[Request]:
    """Make requests of mixed sizes; the same ones every time."""
    generator, made = random.Random(0), []
    for _ in range(_NUM_REQUESTS):
        role = generator.choice(sorted(texts.prompts))
        numbers = [generator.randrange(len(texts.texts)) for _ in range(generator.randint(1, _MOST_TEXTS))]
        prompt = texts.prompts[role] if dialect == "prompt" else ""
        body = {
            "model": model,
            "input": [prompt + texts.texts[number] for number in numbers],
            "encoding_format": "base64",
            **({"input_type": role} if dialect == "input_type" else {}),
        }
        content = orjson.dumps(body)
        head = (
            "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        made.append(Request(head.encode() + content, role, numbers, sum(texts.tokens[role][n] for n in numbers)))
    return made


def put_under_load(
    port: int, requests: Sequence[Request], *, clients: int, seconds: float, server: psutil.Process | None = None
) -> Seen:
    """Put a server under clients for some seconds; every request that was sent is answered in the end.

    Args:
        port: It listens there, on loopback.
        requests: Drawn from by chance.
        clients: How many ask at once.
        seconds: After them no client sends another request.
        server: Its memory is looked at now and then; None for a server that comes and goes: clients then try again
            when a connection breaks.

    Raises:
        BadAnswerError: an answer is neither right nor 429.
    """
    return asyncio.run(_load(port, requests, clients, seconds, server))


def count_wrong(seen: Seen, requests: Sequence[Request], texts: Texts) -> int:
    """Count the vectors that are not those of their texts."""
    wrong = 0
    for number, body in seen.answers:
        request = requests[number]
        rows = sorted(orjson.loads(body)["data"], key=lambda row: int(row["index"]))
        expected = texts.vectors[request.role][request.numbers]
        if len(rows) != len(expected):
            wrong += len(expected)
            continue
        found = np.stack([_vector(row["embedding"]) for row in rows])
        wrong += int(((found * expected).sum(axis=1) < MIN_COSINE).sum())
    return wrong


def _vector(embedding: str | list[float]) -> NDArray[np.float32]:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), "<f4")
    return np.asarray(embedding, dtype=np.float32)


async def _load(
    port: int, requests: Sequence[Request], clients: int, seconds: float, server: psutil.Process | None
) -> Seen:
    seen, start, busy = Seen(), time.perf_counter(), time.process_time()
    watching = asyncio.create_task(_watch(server, start, seen)) if server else None
    asking = (_client(port, requests, n, start + seconds, seen, again=server is None) for n in range(clients))
    await asyncio.gather(*asking)
    if watching:
        watching.cancel()
    seen.took, seen.cpu_seconds = time.perf_counter() - start, time.process_time() - busy
    return seen


async def _watch(server: psutil.Process, start: float, seen: Seen) -> None:
    """Note the server's memory every second."""
    while True:
        seen.memory.append((time.perf_counter() - start, server.memory_info().rss / 2**20))
        await asyncio.sleep(1)


async def _client(port: int, requests: Sequence[Request], seed: int, until: float, seen: Seen, *, again: bool) -> None:
    """Ask until the time is over."""
    generator, connection = random.Random(seed), _Connection(port)
    number, began = None, 0.0
    try:
        while number is not None or time.perf_counter() < until:
            if number is None:
                number, began = generator.randrange(len(requests)), time.perf_counter()
            try:
                status, headers, body = await connection.exchange(requests[number].data)
            except (OSError, asyncio.IncompleteReadError):
                if not again:
                    raise
                await connection.close()
                seen.broken += 1
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if status == 429:
                seen.refused += 1
                await asyncio.sleep(float(headers["retry-after"]))
                began = time.perf_counter()
                continue
            if status != 200:
                raise BadAnswerError(f"{status}: {body[:500].decode(errors='replace')}")
            seen.seconds.append(time.perf_counter() - began)
            seen.answers.append((number, body))
            seen.tokens += requests[number].tokens
            number = None
    finally:
        await connection.close()


class _Connection:
    """A connection to a server on loopback, opened when it is needed.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request; give status, headers and body of the answer."""
        self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(data)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))

    async def close(self) -> None:
        """Close it, if it is open."""
        if self._streams is not None:
            self._streams[1].close()
            with suppress(OSError):
                await self._streams[1].wait_closed()
        self._streams = None
