"""`/v1/search` over an index, and its documents: the same search as on the command line."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from slimvec.errors import ModelError
from slimvec.search.filters import Filters, parse_day
from slimvec.search.index import Index
from slimvec.search.readers.kinds import KINDS
from slimvec.search.results import SearchResult
from slimvec.search.searching import search as search_index
from slimvec.search.vectors import Vectors
from slimvec.serving.embedding import Asked, Desk
from slimvec.serving.errors import ApiError
from slimvec.serving.openai_routes import TRUNCATED
from slimvec.serving.search_schemas import Chunk, DocumentChunks, IndexInfo, SearchRequest
from slimvec.serving.served import Models, ServedModel

_CHUNKS_SHOWN = 400


@dataclass(frozen=True, eq=False)
class ServedIndex:
    """An index that is served.

    Attributes:
        index: It, open.
        model: The model that made it, which is served too.
    """

    index: Index
    model: ServedModel

    @classmethod
    def open(cls, folder: Path, models: Models) -> "ServedIndex":
        """Open an index with the model that made it, which must be among those that are served.

        Raises:
            InputError: there is no index.
            IndexDataError: it is damaged.
            ModelError: its model is not among them.
        """
        index = Index.open(folder)
        wanted = index.description.identity.sha256
        for model in models:
            if model.identity.sha256 == wanted:
                index = Index.open(folder, embedder=model.embedder)
                index.refresh()
                return cls(index, model)
        raise ModelError(
            f"{index.folder} was made by {index.description.model}, which is not served",
            expected="the model of the index among those of --model",
            do="leave --model out, or add that one",
        )


def search_routes(served: ServedIndex | None, desk: Desk) -> APIRouter:
    """Give the routes; without an index all but its description are refused."""
    router = APIRouter(prefix="/v1", tags=["Search"])

    def needed() -> ServedIndex:
        if served is None:
            raise ApiError(404, "no index is served; start the server with --index", code="no_index")
        return served

    @router.post("/search", summary="Search the index")
    async def search(asked: SearchRequest, response: Response) -> SearchResult:
        found, filters, vector, is_truncated = needed(), _filters(asked), None, False
        if asked.ranking != "text":
            vector, is_truncated = await _query_vector(desk, found.model, asked)
            response.headers[TRUNCATED] = str(int(is_truncated))

        def run() -> SearchResult:
            result = search_index(
                found.index, asked.query, top=asked.top, ranking=asked.ranking, filters=filters, task=asked.task,
                rerank=asked.rerank, exact=asked.exact, vector=vector, highlight_by_model=asked.highlight == "model",
            )  # fmt: skip
            return result.model_copy(update={"query_truncated": True}) if is_truncated else result

        if not asked.rerank and (asked.ranking == "text" or asked.highlight == "words"):
            return await desk.in_thread(run)
        read = asked.rerank * found.index.description.settings.chunk_tokens
        return await desk.call(found.model, run, num_tokens=read)

    @router.get("/index", summary="Describe the index")
    async def describe() -> IndexInfo:
        return IndexInfo(served=False) if served is None else await desk.in_thread(lambda: _described(served))

    @router.get("/documents", summary="Give the chunks of a document of the index")
    async def document(
        path: Annotated[str, Query(max_length=5000)], around: Annotated[int, Query(ge=0, le=10**9)] = 0
    ) -> DocumentChunks:
        index = needed().index
        rows = await desk.in_thread(lambda: list(index.chunks_of(path)))
        if not rows:
            raise ApiError(404, "the index has no such document", param="path", code="document_not_found")
        return _document(rows, around)

    return router


async def _query_vector(desk: Desk, model: ServedModel, asked: SearchRequest) -> tuple[Vectors, bool]:
    """Embed a query on the model's queue, as an index compares it: [D], and whether it was truncated.

    Raises:
        ApiError: it has no vector.
    """
    scaled = True if model.embedder.spec.similarity == "cosine" else None
    cut = desk.settings.long_texts == "cut"
    answer = await desk.embed(model, [asked.query], Asked("query", asked.task, normalize=scaled, cut=cut))
    if answer.bad:
        raise ApiError(422, f"the query {answer.bad[0].reason}", param="query")
    return answer.vectors[0], answer.num_truncated > 0


def _filters(asked: SearchRequest) -> Filters:
    """Read the filters of a request.

    Raises:
        InputError: a day that is none.
    """
    days = [None if day is None else parse_day(day) for day in (asked.after, asked.before)]
    return Filters(tuple(asked.paths), tuple(asked.kinds), *days)


def _described(served: ServedIndex) -> IndexInfo:
    """Describe an index as it is now."""
    index = served.index
    index.refresh()
    said = index.description
    return IndexInfo(
        served=True,
        name=index.folder.name,
        model=served.model.name if served.model.identity.sha256 == said.identity.sha256 else None,
        identity=said.identity.sha256,
        num_chunks=index.num_chunks,
        num_bytes=index.num_bytes,
        vectors=said.settings.vectors,
        chunk_tokens=said.settings.chunk_tokens,
        recall=said.approximation.recall if said.approximation else None,
        kinds=list(KINDS),
    )


def _document(rows: list[Mapping[str, Any]], around: int) -> DocumentChunks:
    """Give the chunks of a document around one of them."""
    first = max(0, min(around - _CHUNKS_SHOWN // 2, len(rows) - _CHUNKS_SHOWN))
    names = ("number", "text", "heading", "page", "first_line")
    shown = itertools.islice(rows, first, first + _CHUNKS_SHOWN)
    return DocumentChunks(
        path=rows[0]["path"],
        kind=rows[0]["kind"],
        title=rows[0]["title"] or "",
        num_chunks=len(rows),
        chunks=[Chunk(**{name: row[name] for name in names}) for row in shown],
    )
