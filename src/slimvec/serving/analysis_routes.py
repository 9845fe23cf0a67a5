"""`/v1/compare` and `/v1/explain`: what vectors say about texts, for the web page and for programs."""

from dataclasses import asdict

import numpy as np
from fastapi import APIRouter

from slimvec.engine.explanation import ExplainedText, Explanation, Shares
from slimvec.serving.analysis_schemas import Attribution, CompareRequest, Comparison, ExplainRequest, Word
from slimvec.serving.embedding import Asked, Desk
from slimvec.serving.errors import ApiError
from slimvec.serving.served import Models


def analysis_routes(models: Models, desk: Desk) -> APIRouter:
    """Give the routes."""
    router, settings = APIRouter(prefix="/v1", tags=["Analysis"]), desk.settings

    @router.post("/compare", summary="Compare texts with each other")
    async def compare(asked: CompareRequest) -> Comparison:
        model, named_role = models.find(asked.model) if asked.model else (models.first, None)
        role = asked.input_type or named_role or settings.input_type
        answer = await desk.embed(model, asked.texts, Asked(role, cut=settings.long_texts == "cut"))
        if answer.bad:
            raise ApiError(422, f"text {answer.bad[0].number} {answer.bad[0].reason}", param="texts")
        similarity = model.embedder.similarity(answer.vectors, answer.vectors)
        return Comparison(
            model=model.name,
            similarity=similarity.tolist(),
            input_type=role,
            truncated=np.flatnonzero(answer.truncated > 0).tolist(),
        )

    @router.post("/explain", summary="Show which words make two texts near")
    async def explain(asked: ExplainRequest) -> Attribution:
        model = models.find(asked.model)[0] if asked.model else models.first
        pair = [asked.query, asked.document]
        tokenized = await desk.in_thread(lambda: model.scheduler.tokenize(pair, "document", None))
        found: Explanation = await desk.call(
            model, lambda: model.embedder.explain(*pair), num_tokens=sum(tokenized.lengths)
        )
        shown = found if asked.by_token else found.by_word()
        return Attribution(
            model=model.name,
            cosine=shown.cosine,
            query=_words(shown.query, shown.query_share()),
            document=_words(shown.document, shown.document_share()),
            num_truncated=shown.query.num_truncated + shown.document.num_truncated,
        )

    return router


def _words(side: ExplainedText, shares: Shares) -> list[Word]:
    """Describe the words of a text."""
    return [Word(**asdict(word), share=float(share)) for word, share in zip(side.tokens, shares, strict=True)]
