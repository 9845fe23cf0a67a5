"""What a search gives: hits, with where each stands and why; typed, and written as JSON."""

from datetime import datetime

from pydantic import computed_field

from slimvec.frozen import Frozen


class Highlight(Frozen):
    """What of a hit's text to show.

    Attributes:
        start: First character of the sentence that matches best.
        end: Character behind its last.
        by: Who chose it: `words` of the query, the `model` by its states of the sentence, or `start` when neither did.
        words: Places (start, end) of the query's words in the text.
    """

    start: int
    end: int
    by: str
    words: tuple[tuple[int, int], ...] = ()


class Explanation(Frozen):
    """Why a hit stands where it does.

    Attributes:
        vector_rank: Rank by vectors, from 1; None when it was not among those looked at.
        cosine: With the query; an estimate for int8 and binary vectors.
        text_rank: Rank by BM25.
        bm25: Score by BM25.
        words: Words of the query that it has.
        fused: Sum of 1 / (60 + rank) over both rankings.
        likelihood: log of the query's probability given the text, a token, where the hits were reranked.
        rerank: Score by likelihood and cosine, comparable within one query alone.
    """

    vector_rank: int | None = None
    cosine: float | None = None
    text_rank: int | None = None
    bm25: float | None = None
    words: tuple[str, ...] = ()
    fused: float | None = None
    likelihood: float | None = None
    rerank: float | None = None


class Hit(Frozen):
    """A chunk that was found.

    Attributes:
        rank: From 1.
        score: What it is ranked by: the cosine, BM25, the fused score or the reranker's.
        path: Path of its file, absolute.
        kind: Kind of file: text, markdown, html, pdf, docx, code or table.
        modified: When the file was changed, in UTC.
        number: Number of the chunk within its file, from 0.
        title: Title of the document; may be empty.
        heading: What it stands under, with ` > ` between.
        record: Id of the record in a table.
        page: Page number.
        first_line: Line of the file where it begins; number of the paragraph in .docx, of the row in a table.
        last_line: Line where it ends.
        start: First character in the document's text.
        end: Character behind its last.
        text: The chunk.
        highlight: What of the text to show.
        explanation: Why it is here.
    """

    rank: int
    score: float
    path: str
    kind: str
    modified: datetime
    number: int
    title: str
    heading: str
    record: str
    page: int | None
    first_line: int | None
    last_line: int | None
    start: int
    end: int
    text: str
    highlight: Highlight
    explanation: Explanation

    @computed_field  # type: ignore[prop-decorator]
    @property
    def place(self) -> str:
        """Where in its file it stands, in words a person can look up: `page 3`, `line 12`, `record 7`."""
        if self.page is not None:
            return f"page {self.page}"
        if self.record:
            return f"record {self.record}"
        if self.first_line is None:
            return ""
        unit = "paragraph" if self.kind == "docx" else "line"
        return f"{unit} {self.first_line}"


class SearchResult(Frozen):
    """Answers to a query.

    Attributes:
        query: As it was asked.
        ranking: `vector`, `text` or `hybrid`, and `+ rerank`.
        hits: Best first.
        num_searched: Chunks that the filters left.
        is_exact: Whether all of them were compared; else an approximate index was asked.
        recall: Share of the nearest ten that the approximate index was measured to find.
        query_truncated: Whether the query was longer than the model's limit and was truncated.
        prompt: What was written in front of the query.
        embed_seconds: Seconds of embedding the query.
        search_seconds: Seconds of everything else.
    """

    query: str
    ranking: str
    hits: tuple[Hit, ...]
    num_searched: int
    is_exact: bool
    recall: float | None
    query_truncated: bool = False
    prompt: str
    embed_seconds: float
    search_seconds: float
