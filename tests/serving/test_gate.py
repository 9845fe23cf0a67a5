"""Who and what comes in: keys, hosts, sizes, slow clients, clients that go, markup and path tricks."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from slimvec.serving import connections, gate
from slimvec.serving.run import names_of


def assert_refused(response, status, code=None):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "\n" not in error["message"]
    assert code is None or error["code"] == code


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_a_key_opens_what_none_does_not(closed, key):
    body = {"model": "tiny", "input": "a"}
    for headers in ({}, bearer("sv-wrong"), {"Authorization": key}, {"Authorization": f"Basic {key}"}):
        refused = closed.post("/v1/embeddings", body, headers=headers)
        assert_refused(refused, 401, "invalid_api_key")
        assert refused.headers["www-authenticate"] == "Bearer"
    assert closed.post("/v1/embeddings", body, headers=bearer(key)).json()["input_type"] == "query"
    for path in ("/v1/models", "/metrics", "/info"):
        assert closed.get(path).status_code == 401
        assert closed.get(path, headers=bearer(key)).status_code == 200
    for path in ("/health", "/ready", "/docs"):
        assert closed.get(path).status_code == 200
    entries = [json.loads(line) for line in closed.log.getvalue().splitlines()]
    assert {entry["key"] for entry in entries if entry["status"] == 200} == {"ann", None}
    assert key not in closed.log.getvalue()


def test_limits_of_size_and_number(closed, key):
    sent = {"headers": bearer(key)}
    assert_refused(closed.post("/v1/embeddings", {"model": "tiny", "input": ["a"] * 4}, **sent), 400)
    assert_refused(closed.post("/v1/embeddings", {"model": "tiny", "input": "x" * 2000}, **sent), 413)
    assert_refused(closed.post("/v1/embeddings", {"model": "tiny", "input": "x" * 100_000}, **sent), 413)
    refused = closed.post("/v1/embeddings", {"model": "tiny", "input": "x" * 130}, **sent)
    assert_refused(refused, 400)
    assert "is longer than 120 tokens" in refused.json()["error"]["message"]
    asked = {"model": "tiny", "input": "x" * 130, "truncate": True}
    assert closed.post("/v1/embeddings", asked, **sent).json()["truncated"] == [0]


def test_a_request_by_another_host_name_is_refused(server):
    assert_refused(server.get("/v1/models", headers={"Host": "evil.example"}), 421)
    assert server.get("/v1/models", headers={"Host": "localhost:1234"}).status_code == 200


def raw(server, data, *, wait=10.0):
    """Send bytes, and give what comes back until the server closes, or within the time."""
    host, port = server.url.removeprefix("http://").split(":")
    parts = []
    with socket.create_connection((host, int(port)), timeout=wait) as connection, suppress(TimeoutError):
        connection.sendall(data)
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_a_loopback_server_has_its_own_address_for_a_name():
    assert names_of("127.0.0.5") == ("localhost", "127.0.0.1", "::1", "127.0.0.5")
    assert names_of("localhost") == ("localhost", "127.0.0.1", "::1")
    assert names_of("0.0.0.0") == ()


def test_slow_clients_are_let_go(closed, key, monkeypatch):
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    slow = raw(closed, f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert b"408 Request Timeout" in slow
    assert b'"code":"request_timeout"' in slow
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    start = time.monotonic()
    assert raw(closed, b"GET /health HTT") == b""
    assert raw(closed, b"") == b""
    host, port = closed.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as kept:
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in kept.recv(65536)
        kept.sendall(b"GET /hea")
        while kept.recv(65536):
            continue
    assert time.monotonic() - start < 8


def test_bodies_that_arrive_at_once_hold_a_bounded_memory(closed, key, monkeypatch):
    monkeypatch.setattr(gate, "_BODIES", 2)
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    begun = f"{head}Content-Length: 1900\r\n\r\n{'x' * 1600}".encode()
    with ThreadPoolExecutor() as pool:
        answers = sorted(pool.map(lambda _: raw(closed, begun), range(3)))
    assert [answer.split(b"\r\n")[0] for answer in answers[:2]] == [b"HTTP/1.1 408 Request Timeout"] * 2
    assert answers[2].startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: 1" in answers[2].lower()
    assert b"too many requests are arriving at once" in answers[2]
    asked = {"model": "tiny", "input": "x" * 100, "truncate": True}
    for _ in range(4):  # nothing is counted for those that have gone
        assert closed.post("/v1/embeddings", asked, headers=bearer(key)).status_code == 200


def test_broken_http_is_answered_or_dropped_and_the_server_lives(server):
    for data in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /embed HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%00%2e%2e%2f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ):
        answer = raw(server, data, wait=0.5)
        assert b" 500 " not in answer
        assert b"Traceback" not in answer
    assert server.get("/health").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/..%2fsettings.py",
        "/static/%2e%2e/app.py",
        "/static/x",
        "/v1/models/../../etc",
    ],
)
def test_path_tricks_find_nothing(server, path):
    assert raw(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()).startswith(
        b"HTTP/1.1 404"
    )


def test_a_client_that_goes_leaves_no_work(server):
    scheduler = server.models.first.scheduler
    deadline = time.monotonic() + 20
    while scheduler.waiting_tokens and time.monotonic() < deadline:  # of other tests' requests
        time.sleep(0.01)
    opened = threading.Event()
    scheduler.call(lambda: opened.wait(20))
    body = json.dumps({"model": "tiny", "input": ["x" * 50] * 10}).encode()
    head = (
        "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        deadline = time.monotonic() + 20
        while scheduler.waiting_tokens != 500 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert scheduler.waiting_tokens == 500
    time.sleep(0.2)
    opened.set()
    while scheduler.waiting_tokens and time.monotonic() < deadline:
        time.sleep(0.01)
    deadline = time.monotonic() + 20
    while '"status": 499' not in server.log.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert '"status": 499' in server.log.getvalue()


def test_the_log_has_no_text_of_requests(server):
    server.post("/v1/embeddings", {"model": "tiny", "input": "a secret text"})
    server.post("/v1/embeddings", {"model": "tiny", "input": ["a secret text", ""]})
    server.get("/secret/path?q=secret")
    assert "secret" not in server.log.getvalue()
