"""The server's log: a line of JSON a request, without any text of it."""

import itertools
import json
import secrets
import sys
import time
import traceback
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TextIO

from slimvec.serving.metrics import Metrics


@dataclass(frozen=True)
class Finished:
    """A request that is over.

    Attributes:
        id: As in its answer's `X-Request-Id`.
        method: HTTP method.
        path: Asked for.
        status: Status of the answer; 499 when the client went first.
        seconds: It took.
        key: Name of the key that opened the server; None without keys.
    """

    id: str
    method: str
    path: str
    status: int
    seconds: float
    key: str | None


class RequestLog:
    """Writes down requests, and counts them.

    Args:
        metrics: Counts; None for nobody.
        routes: Paths there are; any other is written as `other`, since it may hold anything.
        to: Where lines go; default stderr. None for nowhere.
    """

    def __init__(self, metrics: Metrics | None, routes: Collection[str], to: TextIO | None = None) -> None:
        self._metrics, self._routes, self._to = metrics, frozenset(routes), to
        self._start, self._numbers = secrets.token_hex(4), itertools.count(1)

    def new_id(self) -> str:
        """Name a request."""
        return f"{self._start}-{next(self._numbers)}"

    def finished(self, request: Finished) -> None:
        """Write down a request that is over."""
        route = self._route(request.path)
        if self._metrics is not None:
            self._metrics.requests.labels(route, request.status).inc()
            self._metrics.seconds.labels(route).observe(request.seconds)
        shown = asdict(request) | {"path": route, "seconds": round(request.seconds, 4)}
        self._write(shown)

    def failed(self, id_: str, error: Exception) -> None:
        """Write down where an error of the server's own came from; not its message, which may quote a text."""
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        self._write({"id": id_, "error": type(error).__name__, "traceback": places})

    def _route(self, path: str) -> str:
        if path in self._routes:
            return path
        return "/v1/models/{name}" if path.startswith("/v1/models/") else "other"

    def _write(self, shown: dict[str, object]) -> None:
        if self._to is not None:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            print(json.dumps({"time": stamp, **shown}), file=self._to, flush=True)


def stderr() -> TextIO:
    """Where a server's log goes."""
    return sys.stderr
