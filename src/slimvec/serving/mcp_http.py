"""The tools of an index over HTTP, behind the same gate as the server's routes."""

from typing import TextIO

from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from slimvec.search.index import Index
from slimvec.serving.gate import Gate
from slimvec.serving.keys import ApiKeys
from slimvec.serving.logs import RequestLog
from slimvec.serving.mcp_server import mcp_server
from slimvec.serving.run import names_of
from slimvec.serving.settings import ServerSettings

PATH = "/mcp"


def mcp_app(
    index: Index, host: str, settings: ServerSettings, *, keys: ApiKeys | None, log_to: TextIO | None
) -> ASGIApp:
    """Build the application.

    Args:
        index: Open.
        host: It listens at; on a loopback address requests must call it by that, or localhost.
        settings: Limits of bodies.
        keys: That open it; None leaves it open.
        log_to: Where its log goes; None for nowhere.
    """
    names = [f"[{name}]" if ":" in name else name for name in names_of(host)]
    checked = TransportSecuritySettings(
        enable_dns_rebinding_protection=bool(names),
        allowed_hosts=[f"{name}:*" for name in names],
        allowed_origins=[f"http://{name}:*" for name in names],
    )
    app = mcp_server(index).streamable_http_app(
        streamable_http_path=PATH, json_response=True, stateless_http=True, transport_security=checked
    )
    return Gate(
        app,
        log=RequestLog(None, [PATH], log_to),
        keys=keys,
        hosts=(),
        open_paths=lambda _: False,
        max_body_bytes=settings.max_body_bytes,
        body_seconds=settings.body_seconds,
    )
