"""What stands in front of every route: keys, the host's name, size and time of a body, a client that goes, the log.

Each is an ASGI application around the next (https://asgi.readthedocs.io/en/latest/specs/main.html).
"""

import asyncio
import time
from collections.abc import Callable, Collection, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slimvec.serving.errors import ApiError, as_api_error
from slimvec.serving.keys import ApiKeys
from slimvec.serving.logs import Finished, RequestLog

OPEN_PATHS = ("/health", "/ready")
_DISCARDED = 4
"""A body that is too large is read to this many times the limit before the answer: a client that still writes would
see its connection broken and no answer."""
_BODIES = 16
"""All bodies that are arriving hold at most this many times the limit of one: many slow clients fill no memory."""
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Gate:
    """Lets requests in, watches them, and writes them down.

    Args:
        app: The routes.
        log: Told of every request that is over.
        keys: That open it; None leaves it open.
        hosts: Names that requests may call the server by; empty for any. A page of another site can have its own name
            lead to this machine (DNS rebinding), and a server without keys would serve it.
        open_paths: Beside `OPEN_PATHS`, those that need no key: the page, which asks for one itself.
        max_body_bytes: Largest body.
        body_seconds: Longest time for a body to arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        log: RequestLog,
        keys: ApiKeys | None,
        hosts: Collection[str],
        open_paths: Callable[[str], bool],
        max_body_bytes: int,
        body_seconds: float,
    ) -> None:
        self._app, self._log, self._keys = app, log, keys
        self._hosts, self._open_paths = frozenset(hosts), open_paths
        self._max_body_bytes, self._body_seconds = max_body_bytes, body_seconds
        self._arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watched = _Answer(send, self._log.new_id())
        start, name = time.perf_counter(), None
        try:
            name = self._admit(scope)
            body = await self._body(scope, receive)
            await _until_gone(self._app, scope, body, receive, watched)
        except _GoneError:
            watched.status = watched.status or 499
        except Exception as error:  # whatever it is, the client gets an answer and the log a line
            api_error = as_api_error(error)
            if api_error.status == 500:
                self._log.failed(watched.id, error)
            if not watched.status:
                await api_error.response()(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - start
            self._log.finished(Finished(watched.id, scope["method"], scope["path"], watched.status, seconds, name))

    def _admit(self, scope: Scope) -> str | None:
        """Check the host's name and the key; gives the key's name.

        Raises:
            ApiError: the request may not come in.
        """
        headers = Headers(scope=scope)
        if self._hosts and _host_name(headers.get("host", "")) not in self._hosts:
            raise ApiError(421, "this server does not answer to that Host; add it with --allow-host")
        path = scope["path"]
        if self._keys is None or path in OPEN_PATHS or (scope["method"] == "GET" and self._open_paths(path)):
            return None
        kind, _, key = headers.get("authorization", "").partition(" ")
        name = self._keys.name_of(key.strip().encode("latin-1")) if kind.lower() == "bearer" else None
        if name is None:
            found = "a key that is not known" if kind else "no key"
            message = f"{found}; expected Authorization: Bearer and a key of this server"
            raise ApiError(401, message, headers={"WWW-Authenticate": "Bearer"})
        return name

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read a body within its limits of size and time.

        Raises:
            ApiError: it is over one of them, or too much is arriving from others.
        """
        parts: list[bytes] = []
        try:
            return await self._read(scope, receive, parts)
        finally:
            self._arriving -= sum(map(len, parts))

    async def _read(self, scope: Scope, receive: Receive, parts: list[bytes]) -> bytes:
        """Read the parts of a body into a list; errors as for `_body`."""
        limit, size = self._max_body_bytes, 0
        declared = Headers(scope=scope).get("content-length", "")
        too_large = declared.isdecimal() and int(declared) > _DISCARDED * limit
        try:
            async with asyncio.timeout(self._body_seconds):
                more = not too_large
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    part = message.get("body", b"")
                    size += len(part)
                    if size <= limit:
                        self._take(part, parts)
                    more = message.get("more_body", False) and size <= _DISCARDED * limit
        except TimeoutError as error:
            seconds = f"{self._body_seconds:g} seconds"
            raise ApiError(
                408, f"the request did not arrive within {seconds}; send it faster", headers={"Connection": "close"}
            ) from error
        if too_large or size > limit:
            found = f"the body is larger than {limit:,} bytes; send fewer texts at a time"
            raise ApiError(413, found, headers={"Connection": "close"})
        return b"".join(parts)

    def _take(self, part: bytes, parts: list[bytes]) -> None:
        """Keep a part of a body.

        Raises:
            ApiError: with it too much would be arriving.
        """
        if self._arriving + len(part) > _BODIES * self._max_body_bytes:
            found = "too many requests are arriving at once; come back in a second"
            raise ApiError(429, found, headers={"Retry-After": "1", "Connection": "close"})
        self._arriving += len(part)
        parts.append(part)


class _GoneError(Exception):
    """The client has gone."""


class _Answer:
    """Sends an answer on, with its headers, and knows its status.

    Args:
        send: Sends it.
        id_: Id of the request.

    Attributes:
        status: Status of the answer; 0 before it has begun.
        id: Id of the request.
    """

    def __init__(self, send: Send, id_: str) -> None:
        self._send, self.id, self.status = send, id_, 0

    async def __call__(self, message: Message) -> None:
        """Send a part."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.id
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


async def _until_gone(app: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
    """Run an application, and stop it when the client goes.

    Raises:
        _GoneError: the client went first.
    """
    parts: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
    gone = asyncio.create_task(_disconnected(receive))

    async def replay() -> Message:
        if parts:
            return parts.pop()
        await asyncio.shield(gone)
        return {"type": "http.disconnect"}

    work = asyncio.ensure_future(app(scope, replay, send))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
            raise _GoneError
        work.result()
    finally:
        work.cancel()
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    """Wait until the client goes."""
    while (await receive())["type"] != "http.disconnect":
        continue


def _host_name(host: str) -> str:
    """Give a Host header without its port, in small letters."""
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[").lower()
    return host.partition(":")[0].lower()
