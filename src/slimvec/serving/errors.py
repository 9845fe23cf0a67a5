"""Errors as the OpenAI API has them: `{"error": {"message", "type", "param", "code"}}`, whatever went wrong."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from slimvec.engine.requests import ClosedError, OverloadedError
from slimvec.errors import InputError, SlimvecError
from slimvec.search.store import IndexDataError

_MAX_MESSAGE = 500


class ErrorBody(BaseModel):
    """What is wrong.

    Attributes:
        message: What was found, what was expected and what to do.
        type: `invalid_request_error`, `authentication_error`, `rate_limit_error` or `server_error`.
        param: The field of the request that it is about, if it is about one.
        code: A word for programs.
    """

    message: str
    type: str
    param: str | None = None
    code: str


class ErrorResponse(BaseModel):
    """The body of every answer that is an error.

    Attributes:
        error: What is wrong.
        error_type: The same in a word, as text-embeddings-inference has it.
    """

    error: ErrorBody
    error_type: str


_CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    415: "unsupported_media_type",
    421: "unknown_host",
    422: "unprocessable",
    429: "overloaded",
    503: "unavailable",
    504: "timeout",
}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_TEI_TYPES = {413: "Validation", 422: "Backend", 424: "Backend", 429: "Overloaded", 503: "Unhealthy"}


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: HTTP status.
        message: For people, in one line.
        param: Field of the request.
        code: A word for programs; default by the status.
        headers: Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param = status, message, param
        self.code = code or _CODES.get(status, "server_error" if status >= 500 else "invalid_request")
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Give the answer."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        body = ErrorResponse(
            error=ErrorBody(message=_shown(self.message), type=kind, param=self.param, code=self.code),
            error_type=_TEI_TYPES.get(self.status, "Validation" if self.status < 500 else "Backend"),
        )
        return Response(body.model_dump_json(), self.status, self.headers, media_type="application/json")


def as_api_error(error: Exception) -> ApiError:
    """Put an error of ours into the API's terms."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, OverloadedError):
        return ApiError(429, str(error), headers={"Retry-After": str(max(1, round(error.seconds)))})
    if isinstance(error, ClosedError):
        return ApiError(503, str(error), headers={"Retry-After": "5"})
    if isinstance(error, IndexDataError):
        return ApiError(500, str(error), code="index_unreadable")
    if isinstance(error, InputError):
        return ApiError(400, str(error))
    if isinstance(error, SlimvecError):
        return ApiError(422, str(error))
    return ApiError(500, "the server failed; its log says where", code="internal_error")


def add_handlers(app: FastAPI) -> None:
    """Have every error of an application answered in this form."""

    async def ours(_: Request, error: Exception) -> Response:
        return as_api_error(error).response()

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid_request(error.errors()).response()

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException | HTTPException)
        return ApiError(error.status_code, _http_message(error), headers=error.headers).response()

    app.add_exception_handler(ApiError, ours)
    app.add_exception_handler(SlimvecError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(StarletteHTTPException, http)


def invalid_request(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """Say what is wrong with a request; nothing of its values is repeated but the names of its fields."""
    first = errors[0]
    _, *place = map(str, first["loc"])  # behind where it was: the body, the query, a header
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not JSON: {first.get('ctx', {}).get('error', message)}", code="invalid_json")
    if first["type"] == "extra_forbidden":
        message = "unknown field; expected one that the API's page (/docs) names"
    if first["type"] == "model_attributes_type" or (first["type"] == "missing" and not place):
        message = "expected a JSON object, sent with Content-Type: application/json"
    more = f" (and {len(errors) - 1} more faults)" if len(errors) > 1 else ""
    name = ".".join(place)
    return ApiError(400, f"{name}: {message}{more}" if name else f"{message}{more}", param=name or None)


def _http_message(error: StarletteHTTPException) -> str:
    """Say an error of the framework's own."""
    if error.status_code == 404:
        return "there is nothing at this address; /docs lists what there is"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("allow") or (error.headers or {}).get("Allow")
        return f"this address takes {allowed}" if allowed else "this address does not take that method"
    return str(error.detail or HTTPStatus(error.status_code).phrase)


def _shown(text: str) -> str:
    """Keep a message short, in one line, and Unicode."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= _MAX_MESSAGE else f"{line[: _MAX_MESSAGE - 3]}..."
