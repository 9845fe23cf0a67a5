"""`/v1/embeddings` and `/v1/models`, as OpenAI's clients call them."""

import base64
import time
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter, Response

from slimvec.serving.details import details_of
from slimvec.serving.embedding import Asked, Desk, Inputs
from slimvec.serving.errors import ApiError
from slimvec.serving.openai_schemas import (
    EmbeddingsRequest,
    EmbeddingsResponse,
    ModelCard,
    ModelList,
)
from slimvec.serving.served import Models, ServedModel
from slimvec.text.embeddings import Embeddings
from slimvec.text.prompts import Role

TRUNCATED, INPUT_TYPE = "X-Slimvec-Truncated", "X-Slimvec-Input-Type"


def openai_routes(models: Models, desk: Desk) -> APIRouter:
    """Give the routes."""
    router, started = APIRouter(prefix="/v1", tags=["OpenAI"]), int(time.time())

    @router.post("/embeddings", response_model=EmbeddingsResponse, summary="Embed texts")
    async def embeddings(asked: EmbeddingsRequest) -> Response:
        model, named_role = models.find(asked.model)
        if named_role and asked.input_type not in (None, named_role):
            message = f"{asked.input_type} for the model {model.name}:{named_role}; expected one input type"
            raise ApiError(400, message, param="input_type")
        role = asked.input_type or named_role or desk.settings.input_type
        cut = desk.settings.long_texts == "cut" if asked.truncate is None else asked.truncate
        answer = await desk.embed(
            model, inputs_of(asked.input), Asked(role, asked.task, dims=asked.dimensions, cut=cut)
        )
        if len(answer.bad) == len(answer.vectors):
            raise ApiError(422, f"text {answer.bad[0].number} {answer.bad[0].reason}", param="input")
        body = await desk.in_thread(lambda: _body(answer, asked, model, role))
        return Response(body, headers=headers_of(answer, role), media_type="application/json")

    @router.get("/models", summary="List the models, with what decides their vectors")
    async def list_models() -> ModelList:
        return ModelList(data=[_card(model, started, desk.settings.input_type) for model in models])

    @router.get("/models/{name:path}", summary="Describe a model")
    async def describe_model(name: str) -> ModelCard:
        return _card(models.find(name)[0], started, desk.settings.input_type)

    return router


def inputs_of(given: str | list[str] | list[int] | list[list[int]]) -> Inputs:
    """Give an input of any shape as a list of texts, or of token ids."""
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], int):
        return [[id_ for id_ in given if isinstance(id_, int)]]
    return given


def headers_of(answer: Embeddings, role: Role) -> dict[str, str]:
    """Tell in an answer's headers what was done about its texts."""
    return {INPUT_TYPE: role, TRUNCATED: str(answer.num_truncated)}


def _body(answer: Embeddings, asked: EmbeddingsRequest, model: ServedModel, role: Role) -> bytes:
    """Write the answer."""
    reasons = {text.number: f"the text {text.reason}" for text in answer.bad}
    vectors = np.ascontiguousarray(answer.vectors, dtype="<f4")
    data: list[dict[str, Any]] = []
    for number, vector in enumerate(vectors):
        entry: dict[str, Any] = {"object": "embedding", "index": number, "embedding": None}
        if number in reasons:
            entry["error"] = reasons[number]
        elif asked.encoding_format == "base64":
            entry["embedding"] = base64.b64encode(vector.tobytes()).decode()
        else:
            entry["embedding"] = vector
        data.append(entry)
    num_tokens = answer.num_tokens
    body = {
        "object": "list",
        "data": data,
        "model": model.name,
        "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens},
        "input_type": role,
        "truncated": np.flatnonzero(answer.truncated > 0).tolist(),
        "identity": model.identity.sha256,
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _card(model: ServedModel, created: int, input_type: Role) -> ModelCard:
    """Describe a model."""
    details = details_of(model, input_type)
    return ModelCard(id=model.name, created=created, slimvec=details)
