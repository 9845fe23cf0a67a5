"""Running a server: its socket, its signals, its end."""

import ipaddress
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from slimvec.errors import InputError
from slimvec.interrupts import SIGNALS
from slimvec.serving.connections import Connection
from slimvec.serving.settings import ServerSettings

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_IDLE_SECONDS = 30
_MAX_HEADER_BYTES = 32 << 10


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host's address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_of(host: str) -> tuple[str, ...]:
    """Names that requests may call a server at a loopback address by; none, which is any, for another address."""
    return tuple(dict.fromkeys((*_LOOPBACK_NAMES, host))) if is_loopback(host) else ()


def check_exposure(host: str, *, has_keys: bool, allow_open: bool) -> None:
    """Refuse to serve other machines without keys.

    Raises:
        InputError: always then.
    """
    if not (is_loopback(host) or has_keys or allow_open):
        raise InputError(
            f"--host {host} without --keys would serve anyone who can reach this machine",
            expected="keys, or a loopback address",
            do="make a key with slimvec key NAME --to keys.txt, or ask for it with --allow-open",
        )


def bind(host: str, port: int) -> socket.socket:
    """Open the socket of a server; port 0 takes a free one.

    Raises:
        InputError: the address is taken, or not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise InputError(
            f"--host {host} --port {port}: {error.strerror or error}",
            expected="a free address of this machine",
            do="choose another --port, or stop what is there",
        ) from error


def address(listening: socket.socket) -> str:
    """Give the URL of a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A server whose end by a signal is not an error: uvicorn's own raises the signal again when all is finished."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take over the signals to stop within the body; the second one stops it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def server_of(app: ASGIApp, settings: ServerSettings) -> uvicorn.Server:
    """Make the server of an application; it stops at SIGINT and SIGTERM, and finishes what it has taken."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # ours has no text in it
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=round(settings.drain_seconds),
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        http=Connection,
    )
    return _Server(config)


def serve(app: ASGIApp, settings: ServerSettings, listening: socket.socket) -> None:
    """Serve until the process is asked to stop, and finish what has been taken."""
    server_of(app, settings).run(sockets=[listening])
