"""`/rerank` as clients of text-embeddings-inference call it, and `/v1/rerank` as Cohere's and Jina's do."""

import math
from collections.abc import Sequence

from fastapi import APIRouter, Response

from slimvec.engine.reranking import WEIGHT, Reranking
from slimvec.errors import InputError, ModelError
from slimvec.serving.embedding import Desk
from slimvec.serving.errors import ApiError
from slimvec.serving.openai_routes import TRUNCATED
from slimvec.serving.openai_schemas import Usage
from slimvec.serving.rerank_schemas import (
    DocumentText,
    Rank,
    RankedDocument,
    RankedDocuments,
    RankedDocumentsRequest,
    RerankRequest,
)
from slimvec.serving.served import Models, ServedModel

WEIGHT_HEADER = "X-Slimvec-Likelihood-Weight"


def rerank_routes(models: Models, desk: Desk) -> APIRouter:
    """Give the routes."""
    router = APIRouter()

    @router.post("/rerank", summary="Put texts in order for a query", tags=["text-embeddings-inference"])
    async def rerank(asked: RerankRequest, response: Response) -> list[Rank]:
        model = models.find(asked.model)[0] if asked.model else models.first
        found = await _rerank(desk, model, asked.query, asked.texts, asked.weight, asked.truncate)
        response.headers[WEIGHT_HEADER] = f"{found.weight:g}"
        response.headers[TRUNCATED] = str(found.num_truncated)
        return [
            Rank(
                index=one.index,
                score=one.score if asked.raw_scores else _between(one.score),
                text=asked.texts[one.index] if asked.return_text else None,
            )
            for one in found
        ]

    @router.post("/v1/rerank", summary="Put documents in order for a query", tags=["Rerank"])
    async def ranked(asked: RankedDocumentsRequest) -> RankedDocuments:
        model = models.find(asked.model)[0]
        found = await _rerank(desk, model, asked.query, asked.documents, asked.weight, asked.truncate)
        results = [
            RankedDocument(
                index=one.index,
                relevance_score=_between(one.score),
                document=DocumentText(text=asked.documents[one.index]) if asked.return_documents else None,
                cosine=one.cosine,
                likelihood=one.likelihood,
            )
            for one in found
        ]
        return RankedDocuments(
            model=model.name,
            results=results[: asked.top_n],
            usage=Usage(prompt_tokens=found.num_tokens, total_tokens=found.num_tokens),
            weight=found.weight,
            num_truncated=found.num_truncated,
        )

    return router


async def _rerank(
    desk: Desk, model: ServedModel, query: str, texts: Sequence[str], weight: float | None, truncate: bool | None
) -> Reranking:
    """Rerank when the model's turn comes.

    Raises:
        InputError: texts that the model does not take, or that are too long where they shall not be cut.
    """
    desk.check_number(len(texts), "texts")
    if not query.strip():
        raise ApiError(400, "the query is empty; expected some text", param="query")
    cut = desk.settings.long_texts == "cut" if truncate is None else truncate
    tokenized = await desk.in_thread(lambda: model.scheduler.tokenize([*texts, query], "document", None))
    if tokenized.num_truncated and not cut:
        raise InputError(
            f"text {tokenized.truncated.index(True)} is too long",
            expected=f"at most {model.embedder.tokenizer.max_tokens:,} tokens",
            do="shorten it, or ask with truncate=true to have its end cut off",
        )
    *lengths, of_query = tokenized.lengths
    num_tokens = sum(lengths) + len(texts) * of_query
    return await desk.call(model, lambda: _by_what_it_can(model, query, texts, weight), num_tokens=num_tokens)


def _by_what_it_can(model: ServedModel, query: str, texts: Sequence[str], weight: float | None) -> Reranking:
    """Rerank by likelihood and cosine, or by the cosine alone where the model has no language model."""
    if weight is None:
        try:
            model.embedder.language_model  # noqa: B018  # loaded here once
        except ModelError:  # an encoder, or a model whose base is gone; the answer says weight 0
            weight = 0.0
    return model.embedder.rerank(query, texts, weight=WEIGHT if weight is None else weight)


def _between(score: float) -> float:
    """Put a score between 0 and 1, in the same order."""
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, score))))
