"""Whether the server lives, whether it takes requests, and what it counts."""

from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from slimvec.serving.errors import ApiError
from slimvec.serving.metrics import Metrics
from slimvec.serving.served import Models


class Health(BaseModel):
    """The server lives."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The server takes requests for these models."""

    status: Literal["ready"] = "ready"
    models: list[str]


def status_routes(models: Models, metrics: Metrics) -> APIRouter:
    """Give the routes."""
    router = APIRouter(tags=["Status"])

    @router.get("/health", summary="Whether the server lives")
    async def health() -> Health:
        return Health()

    @router.get("/ready", summary="Whether it takes requests")
    async def ready() -> Readiness:
        if not models.are_running:
            raise ApiError(503, "the server is shutting down; ask another one", headers={"Retry-After": "5"})
        return Readiness(models=[model.name for model in models])

    @router.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
