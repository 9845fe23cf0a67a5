"""`/embed` and `/info`, as clients of text-embeddings-inference call them."""

import numpy as np
import orjson
from fastapi import APIRouter, Response

import slimvec
from slimvec.serving.details import details_of
from slimvec.serving.embedding import Asked, Desk
from slimvec.serving.errors import ApiError
from slimvec.serving.openai_routes import headers_of, inputs_of
from slimvec.serving.served import Models
from slimvec.serving.tei_schemas import EmbeddingPooling, EmbedRequest, Info, ModelType
from slimvec.text.prompts import ROLES, Role


def tei_routes(models: Models, desk: Desk) -> APIRouter:
    """Give the routes."""
    router, settings = APIRouter(tags=["text-embeddings-inference"]), desk.settings

    @router.post("/embed", response_model=list[list[float]], summary="Embed texts")
    async def embed(asked: EmbedRequest) -> Response:
        model, named_role = models.find(asked.model) if asked.model else (models.first, None)
        role, task = _role_and_task(asked.prompt_name, named_role or settings.input_type)
        cut = settings.long_texts == "cut" if asked.truncate is None else asked.truncate
        how = Asked(role, task, dims=asked.dimensions, normalize=asked.normalize, cut=cut)
        answer = await desk.embed(model, inputs_of(asked.inputs), how)
        if answer.bad:  # this form has no place to say it of one text
            raise ApiError(422, f"text {answer.bad[0].number} {answer.bad[0].reason}", param="inputs")
        vectors = np.ascontiguousarray(answer.vectors)
        body = await desk.in_thread(lambda: orjson.dumps(vectors, option=orjson.OPT_SERIALIZE_NUMPY))
        return Response(body, headers=headers_of(answer, role), media_type="application/json")

    @router.get("/info", summary="Describe the server and its first model")
    async def info() -> Info:
        model = models.first
        details = details_of(model, settings.input_type)
        return Info(
            model_id=model.name,
            model_sha=details.identity,
            model_dtype=details.dtype,
            model_type=ModelType(embedding=EmbeddingPooling(pooling=details.pooling.standard_mode())),
            max_input_length=details.max_tokens,
            max_batch_tokens=model.scheduler.batch_tokens,
            max_client_batch_size=settings.max_texts,
            auto_truncate=settings.long_texts == "cut",
            version=slimvec.__version__,
            default_input_type=settings.input_type,
            slimvec=details,
        )

    return router


def _role_and_task(prompt_name: str | None, role: Role) -> tuple[Role, str | None]:
    """Read the name of a prompt: a role, or a task in the default role."""
    for known in ROLES:
        if prompt_name == known:
            return known, None
    return role, prompt_name
