"""Bodies of the routes that search an index."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from slimvec.search.readers.kinds import Kind
from slimvec.search.searching import RankingName

MAX_HITS = 100
_Path = Annotated[str, Field(min_length=1, max_length=1000)]
_Day = Annotated[str, Field(max_length=10)]


class SearchRequest(BaseModel):
    """A question to an index.

    Attributes:
        query: What is asked.
        top: Most hits.
        ranking: `vector` by meaning, `text` by words (BM25), `hybrid` by the ranks of both.
        paths: Patterns, one of which the path of a file fits: `docs/*.md`.
        kinds: Kinds of file.
        after: Only files changed on this day or later: `2026-11-29`, or `30d` for 30 days ago.
        before: Only files changed before this day.
        task: A task the model knows, or an instruction, for the query's prompt.
        rerank: How many of the best the model reads once more together with the query; 0 for none.
        exact: Compare all vectors, though there is an approximate index.
        highlight: Who chooses the sentence to show where no word of the query is: `model`, or nobody (`words`).
    """

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    top: Annotated[int, Field(strict=True, ge=1, le=MAX_HITS)] = 10
    ranking: RankingName = "hybrid"
    paths: Annotated[list[_Path], Field(max_length=50)] = []
    kinds: Annotated[list[Kind], Field(max_length=50)] = []
    after: _Day | None = None
    before: _Day | None = None
    task: str | None = Field(default=None, max_length=4096)
    rerank: Annotated[int, Field(strict=True, ge=0, le=MAX_HITS)] = 0
    exact: Annotated[bool, Field(strict=True)] = False
    highlight: Literal["model", "words"] = "model"


class IndexInfo(BaseModel):
    """The index of a server.

    Attributes:
        served: Whether there is one; all else is null without.
        name: Name of its folder.
        model: Name of its model here; null when another model has made it anew since the server started.
        identity: Identity of that model.
        num_chunks: Chunks in it.
        num_bytes: What it takes on disk.
        vectors: How they are held: `float32`, `int8` or `binary`.
        chunk_tokens: Most tokens of a chunk.
        recall: Measured share of the nearest ten that its approximate index finds; null while search is exact.
        kinds: Kinds of file that can be asked for.
    """

    served: bool
    name: str | None = None
    model: str | None = None
    identity: str | None = None
    num_chunks: int | None = None
    num_bytes: int | None = None
    vectors: str | None = None
    chunk_tokens: int | None = None
    recall: float | None = None
    kinds: list[Kind] = []


class Chunk(BaseModel):
    """A chunk of a document.

    Attributes:
        number: Within its file, from 0.
        text: It.
        heading: What it stands under.
        page: Page number.
        first_line: Line where it begins.
    """

    number: int
    text: str
    heading: str
    page: int | None
    first_line: int | None


class DocumentChunks(BaseModel):
    """A document as its index holds it.

    Attributes:
        path: Path of its file.
        kind: Kind of file.
        title: May be empty.
        num_chunks: Chunks of the document.
        chunks: Those asked for, in their order.
    """

    path: str
    kind: str
    title: str
    num_chunks: int
    chunks: list[Chunk]
