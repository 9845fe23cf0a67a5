"""Clients that take their answer slowly, or not at all."""

import socket
import time
from contextlib import contextmanager, suppress

import pytest

from slimvec.serving import connections
from slimvec.serving.settings import ServerSettings
from tests.serving.running import served_app

SIZE = 16 << 20


async def large_answer(scope, receive, send):
    """Answer with more than sockets hold."""
    asked = await receive()
    while scope["type"] == "lifespan":
        await send({"type": f"{asked['type']}.complete"})
        if asked["type"] == "lifespan.shutdown":
            return
        asked = await receive()
    headers = [(b"content-length", str(SIZE).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(SIZE)})


@pytest.fixture
def asked():
    """A connection over which the large answer was asked for; nothing of it is read."""
    with (
        served_app(large_answer, ServerSettings()) as (listening, _, thread),
        connection_to(listening.getsockname()) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield client
    assert not thread.is_alive()


@contextmanager
def connection_to(address):
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.settimeout(20)
        client.connect(address)
        yield client


def taken(client, pause):
    """Count the bytes that come until the other side ends, or all are there, with a pause before each piece."""
    size = 0
    with suppress(ConnectionResetError):
        while size < SIZE and (part := client.recv(1 << 20)):
            size += len(part)
            time.sleep(pause)
    return size


def test_a_client_that_takes_nothing_is_let_go(asked, monkeypatch):
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.2)
    time.sleep(1)
    assert taken(asked, 0) < SIZE


def test_a_slow_client_gets_all_of_its_answer(asked, monkeypatch):
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 1.0)
    assert taken(asked, 0.01) >= SIZE
