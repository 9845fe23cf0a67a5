"""64 clients at once: each gets the vectors of its own texts, or 429 with the time to come back; nothing is lost."""

import asyncio
import random

import httpx
import numpy as np

from slimvec.engine.embedder import Embedder
from slimvec.serving.settings import ServerSettings
from tests.serving.running import running

CLIENTS = 64
WORDS = ["red", "fruit", "copies", "a", "file", "over", "while", "nobody", "looks", "at", "the", "other", "one"]
SETTINGS = [("document", None), ("query", None), ("query", 7), ("document", 3)]


def requests_of(client: int, number: int) -> list[tuple[list[str], str, int | None]]:
    generator = random.Random(client)
    asked = []
    for _ in range(number):
        texts = [" ".join(generator.choices(WORDS, k=generator.randint(1, 15))) for _ in range(generator.randint(1, 6))]
        asked.append((texts, *generator.choice(SETTINGS)))
    return asked


async def ask(url: str, requests: int) -> list[tuple[tuple, httpx.Response]]:
    async with httpx.AsyncClient(
        base_url=url, timeout=120, trust_env=False, limits=httpx.Limits(max_connections=CLIENTS)
    ) as session:

        async def client(number):
            found = []
            for texts, role, dims in requests_of(number, requests):
                body = {"model": "tiny", "input": texts, "input_type": role, "dimensions": dims}
                found.append(((texts, role, dims), await session.post("/v1/embeddings", json=body)))
            return found

        return [pair for found in await asyncio.gather(*map(client, range(CLIENTS))) for pair in found]


def check(answered, embedder):
    by_setting: dict[tuple, list] = {}
    for (texts, role, dims), response in answered:
        found = [row["embedding"] for row in response.json()["data"]]
        assert len(found) == len(texts)
        by_setting.setdefault((role, dims), []).extend(zip(texts, found, strict=True))
    for (role, dims), pairs in by_setting.items():
        expected = embedder.embed([text for text, _ in pairs], role=role, dims=dims).vectors
        np.testing.assert_allclose(np.array([vector for _, vector in pairs]), expected, atol=1e-5)


def test_answers_are_not_mixed_up(server):
    answered = asyncio.run(ask(server.url, 3))
    assert [response.status_code for _, response in answered] == [200] * CLIENTS * 3
    check(answered, server.embedder)
    assert server.models.first.scheduler.waiting_tokens == 0


def test_overload_gives_429_and_loses_nothing(folder):
    settings = ServerSettings(max_waiting_tokens=400)
    with running({"tiny": Embedder.load(folder)}, settings=settings) as found:
        answered = asyncio.run(ask(found.url, 2))
        good = [pair for pair in answered if pair[1].status_code == 200]
        refused = [response for _, response in answered if response.status_code != 200]
        assert refused
        assert {response.status_code for response in refused} == {429}
        assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
        assert refused[0].json()["error"]["type"] == "rate_limit_error"
        check(good, found.embedder)
        assert found.models.first.scheduler.waiting_tokens == 0
        assert found.post("/v1/embeddings", {"model": "tiny", "input": "after"}).status_code == 200
