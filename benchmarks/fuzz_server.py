"""Malformed requests by chance, to a running server: each must be answered with a 4xx in OpenAI's form, or be right.

    python -m benchmarks.fuzz_server --count 10000

Bodies are bytes, JSON of any shape, and requests that are nearly right: a field too many, of another type, out of its
range, another tokenizer's ids, half a character. Raw bytes that are no HTTP are sent too; the server may close on them.
A 5xx, a stack trace, or a server that is gone afterwards ends the run with exit code 1.
"""

import argparse
import contextlib
import json
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

PATHS = ("/v1/embeddings", "/embed", "/rerank", "/v1/rerank", "/v1/compare", "/v1/explain", "/v1/search")
_FIELDS = (
    "input", "inputs", "model", "dimensions", "encoding_format", "input_type", "task", "truncate", "normalize", "user",
    "prompt_name", "query", "texts", "documents", "document", "top", "top_n", "ranking", "paths", "kinds", "after",
    "before", "weight", "raw_scores", "highlight",
)  # fmt: skip
_RIGHT: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {"model": "tiny", "input": ["a text"]},
    "/embed": {"inputs": "a text"},
    "/rerank": {"query": "a", "texts": ["b", "c"], "weight": 0},
    "/v1/rerank": {"model": "tiny", "query": "a", "documents": ["b", "c"], "weight": 0},
    "/v1/compare": {"texts": ["a", "b"]},
    "/v1/explain": {"query": "a", "document": "b"},
    "/v1/search": {"query": "a"},
}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
likely = st.sampled_from(
    ["tiny", "tiny:query", "base64", "query", "\ud800", "a\x00b", "' OR 1=1 --", ["a"], ["a", ""], [5, 6], [[5], []], 8,
     0, -1, 10**30, 1e308, True, [10**9], ["x" * 500], "30d", "0001-01-01", "9" * 300, {"a": "b"}]
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """An address, and a body: bytes, any JSON, or a right request with up to three fields changed, dropped or added."""
    path, kind = draw(st.sampled_from(PATHS)), draw(st.integers(0, 9))
    if kind == 0:
        return path, draw(st.binary(max_size=60))
    if kind <= 2:
        return path, json.dumps(draw(values)).encode()
    body = dict(_RIGHT[path])
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*_RIGHT[path], *_FIELDS]) | st.text(max_size=8))
        if draw(st.integers(0, 4)) == 0:
            body.pop(name, None)
        else:
            body[name] = draw(likely | values)
    text = json.dumps(body)
    cut = draw(st.integers(0, 20))
    return path, text[: len(text) - cut if cut == 1 else None].encode()


def ask(client: httpx.Client, path: str, body: bytes) -> int:
    """Send a request and look at the answer.

    Raises:
        AssertionError: it is a fault of the server's, or an error in another form.
    """
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code < 500, f"{path} {body!r}: {response.status_code} {response.text}"
    if response.status_code != 200:
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}, response.text
        assert error["message"], response.text
        assert "\n" not in error["message"], response.text
        assert "Traceback" not in response.text
    return response.status_code


def drawn(act: Callable[[str, bytes], None], count: int) -> None:
    """Draw requests, and act on each."""

    @given(requests())
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(asked: tuple[str, bytes]) -> None:
        act(*asked)

    run()


def raw(url: str, data: bytes) -> None:
    """Send bytes that need not be HTTP; the server may answer or close."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(OSError):
            while part := connection.recv(65536):
                answer += part
    assert b" 500 " not in answer[:20], (data, answer)
    assert b"Traceback" not in answer, (data, answer)


def main() -> int:
    """Serve a tiny model and an index, send requests, and count the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--raw", type=int, default=500, help="how many are bytes that need not be HTTP")
    arguments = parser.parse_args()
    from slimvec.engine.embedder import Embedder
    from tests.search.support import make_index, write_documents
    from tests.serving.running import running
    from tests.tiny import embedding_model

    counts: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as place:
        folder, documents = Path(place) / "tiny", write_documents(Path(place) / "docs")
        Embedder.from_model(embedding_model(max_tokens=120)).save(folder)
        make_index(Path(place) / "index", Embedder.load(folder), documents, model=folder)
        with running({"tiny": Embedder.load(folder)}, index=Path(place) / "index") as server, server.client() as client:

            def act(path: str, body: bytes) -> None:
                counts[ask(client, path, body)] += 1

            drawn(act, arguments.count)

            @given(st.binary(max_size=200))
            @settings(max_examples=arguments.raw, deadline=None, database=None, phases=[Phase.generate])
            def bytes_hold(data: bytes) -> None:
                raw(server.url, data)

            bytes_hold()
            assert client.get("/health").status_code == 200
            assert '"error"' not in server.log.getvalue(), "a fault of the server's is in its log"
    print(
        json.dumps({"requests": sum(counts.values()), "raw": arguments.raw, "by_status": dict(sorted(counts.items()))})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
