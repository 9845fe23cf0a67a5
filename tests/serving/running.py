"""A real server on a loopback socket, in a thread of the test's process."""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from slimvec.engine.embedder import Embedder
from slimvec.serving.app import create_app
from slimvec.serving.report_routes import read_report
from slimvec.serving.run import address, bind, server_of
from slimvec.serving.search_routes import ServedIndex
from slimvec.serving.served import Models, ServedModel
from slimvec.serving.settings import ServerSettings


@dataclass
class Running:
    """A server and what a test needs of it."""

    url: str
    embedder: Embedder
    models: Models
    log: io.StringIO
    server: uvicorn.Server
    thread: threading.Thread

    def client(self, **settings: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **settings)

    def post(self, path: str, body: object, **settings: Any) -> httpx.Response:
        with self.client() as client:
            return client.post(path, json=body, **settings)

    def get(self, path: str, **settings: Any) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **settings)

    def stop(self) -> None:
        stop(self.server, self.thread)


@contextmanager
def running(
    embedders: dict[str, Embedder],
    *,
    settings: ServerSettings | None = None,
    index: Path | None = None,
    report: Path | None = None,
    **arguments: Any,
) -> Iterator[Running]:
    """Serve models, by name, until the body ends."""
    settings, log = settings or ServerSettings(), io.StringIO()
    models = Models([ServedModel.of(name, name, embedder, settings) for name, embedder in embedders.items()])
    served = None if index is None else ServedIndex.open(index, models)
    reports = [read_report(report, models)] if report else []
    arguments = {"hosts": ("127.0.0.1", "localhost"), **arguments}
    app = create_app(models, settings, index=served, reports=reports, log_to=log, **arguments)
    with served_app(app, settings) as (listening, server, thread):
        yield Running(address(listening), next(iter(embedders.values())), models, log, server, thread)


@contextmanager
def served_app(
    app: ASGIApp, settings: ServerSettings
) -> Iterator[tuple[socket.socket, uvicorn.Server, threading.Thread]]:
    """Serve an application in a thread until the body ends."""
    with bind("127.0.0.1", 0) as listening:
        server = server_of(app, settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield listening, server, thread
        finally:
            stop(server, thread)


def stop(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Let a server finish what it has taken, and wait for it."""
    server.should_exit = True
    thread.join(60)
