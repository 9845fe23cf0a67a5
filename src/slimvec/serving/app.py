"""The application: routes over models, behind the gate."""

from collections.abc import Collection, Sequence
from contextlib import asynccontextmanager
from typing import TextIO

from fastapi import FastAPI

import slimvec
from slimvec.serving.analysis_routes import analysis_routes
from slimvec.serving.embedding import Desk
from slimvec.serving.errors import ErrorResponse, add_handlers
from slimvec.serving.gate import Gate
from slimvec.serving.keys import ApiKeys
from slimvec.serving.logs import RequestLog
from slimvec.serving.metrics import Metrics
from slimvec.serving.openai_routes import openai_routes
from slimvec.serving.page_routes import is_page, page_routes
from slimvec.serving.report_routes import report_routes
from slimvec.serving.report_schemas import ShownReport
from slimvec.serving.rerank_routes import rerank_routes
from slimvec.serving.search_routes import ServedIndex, search_routes
from slimvec.serving.served import Models
from slimvec.serving.settings import ServerSettings
from slimvec.serving.status_routes import status_routes
from slimvec.serving.tei_routes import tei_routes

_ERRORS = {
    400: "The request is wrong; its message says where.",
    401: "No key, or one that is not known.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    422: "The model has no vector for the text.",
    429: "Too much is waiting; Retry-After says when to come back.",
    503: "The server is shutting down.",
    504: "No answer in time.",
}


def create_app(
    models: Models,
    settings: ServerSettings,
    *,
    index: ServedIndex | None = None,
    reports: Sequence[ShownReport] = (),
    keys: ApiKeys | None = None,
    hosts: Collection[str] = (),
    log_to: TextIO | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        models: That are served; closed with it.
        settings: Limits and defaults.
        index: That is searched; None for none.
        reports: Probe reports on the models.
        keys: That open it; None leaves it open.
        hosts: Names that requests may call the server by; empty for any.
        log_to: Where its log goes; None for nowhere.
    """
    metrics = Metrics(models)
    desk = Desk(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI):  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield
        models.close()

    app = FastAPI(
        title="slimvec",
        version=slimvec.__version__,
        description="Text embeddings by small language models.",
        docs_url=None,  # FastAPI's page loads its scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses={status: {"model": ErrorResponse, "description": meaning} for status, meaning in _ERRORS.items()},
    )
    app.include_router(status_routes(models, metrics))
    for routes in (openai_routes, tei_routes, rerank_routes, analysis_routes):
        app.include_router(routes(models, desk))
    app.include_router(search_routes(index, desk))
    app.include_router(report_routes(reports))
    app.include_router(page_routes(app.openapi))
    add_handlers(app)
    app.add_middleware(
        Gate,
        log=RequestLog(metrics, app.openapi()["paths"], log_to),
        keys=keys,
        hosts=hosts,
        open_paths=is_page,
        max_body_bytes=settings.max_body_bytes,
        body_seconds=settings.body_seconds,
    )
    return app
