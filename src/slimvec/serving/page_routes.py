"""The pages: the web page with its script and style, and the API's page. Nothing on them comes from elsewhere."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, HTTPException, Response

from slimvec.serving.api_page import api_page

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may do: run and load what this server itself sends, and nothing that stands in a text."""
HEADERS = {"Content-Security-Policy": _CSP, "X-Frame-Options": "DENY"}
_TYPES = {
    **dict.fromkeys(("app.js", "dom.js", "api.js", "search.js", "analysis.js", "probes.js"), "text/javascript"),
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_OPEN = ("/", "/docs", "/openapi.json")


def is_page(path: str) -> bool:
    """Whether an address is a page's, which needs no key: the page asks for one."""
    return path in _OPEN or path.startswith("/static/")


def page_routes(document: Callable[[], dict[str, Any]]) -> APIRouter:
    """Give the routes.

    Args:
        document: Gives the application's OpenAPI document.
    """
    router, assets = APIRouter(include_in_schema=False), files("slimvec.serving") / "web"

    @router.get("/")
    async def page() -> Response:
        return Response((assets / "index.html").read_bytes(), headers=HEADERS, media_type="text/html; charset=utf-8")

    @router.get("/static/{name}")
    async def asset(name: str) -> Response:
        if name not in _TYPES:
            raise HTTPException(404)
        return Response((assets / name).read_bytes(), headers=HEADERS, media_type=_TYPES[name])

    @router.get("/docs")
    async def api() -> Response:
        return Response(api_page(document()), headers=HEADERS, media_type="text/html; charset=utf-8")

    return router
