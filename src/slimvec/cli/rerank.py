"""`slimvec rerank`: the documents of a file, put in order for a question."""

from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.blocks import read_file
from slimvec.cli.hits import document_line, documents_table
from slimvec.cli.models import load_embedder, model_or_default, other_language_model
from slimvec.cli.options import Dtype, Loading
from slimvec.cli.terminal import Result, Terminal, named
from slimvec.data.records import check_text
from slimvec.data.texts import Item

if TYPE_CHECKING:
    from rich.console import RenderableType

    from slimvec.engine.reranking import Reranking

KEYS = {
    "results": "documents, best first: rank, score (comparable within this query alone), cosine and likelihood (log of "
    "the query's probability given the document, a token; each null where the weight leaves it out), id, title, text",
    "weight": "share of the likelihood",
    "num_documents": "documents reranked",
    "num_truncated": "documents that were longer than the limit and were truncated",
}
_JUDGES = ("cosine", "likelihood")


def rerank(
    terminal: Terminal,
    *,
    query: str,
    model: str | None = None,
    documents: Path,
    weight: float | None = None,
    language_model: str | None = None,
    top: int = 10,
    max_document_tokens: int | None = None,
    task: str | None = None,
    field: str = "text",
    dtype: Dtype = "auto",
    revision: str | None = None,
) -> Result:
    """Put the documents of a file in order for a question.

    The language model that the embedding model was trained from says how likely the question is given each document;
    that likelihood is fused with the cosine. It costs a pass over every document, so it is for the best few of a
    search. All documents are ordered; `--top` says how many are shown.

    Positional:
        query QUERY: A question, in quotes.

    Options:
        documents -d: The candidates, mostly a few tens: a .txt (a text a line), .jsonl, .jsonl.gz or .parquet file.
        weight W (0 to 1): Share of the likelihood: 1 is it alone, 0 the cosine alone. Default fitted.
        language_model M: Take likelihoods from this model; an encoder has none of its own.
        top (from 1): Documents shown.
        max_document_tokens N (from 1): Where documents are cut for the likelihood. Default as for vectors.
    """
    check_text(query, "the query")
    items = read_file(terminal, documents, field=field)
    model = model_or_default(terminal, model)
    embedder = load_embedder(terminal, model, Loading(dtype=dtype, revision=revision))
    other = other_language_model(terminal, language_model, dtype=dtype)
    with terminal.task("reranking", total=len(items), unit="documents") as progress:
        from slimvec.engine.reranking import WEIGHT

        ranked = embedder.rerank(
            query,
            [item.content for item in items],
            weight=WEIGHT if weight is None else weight,
            task=task,
            max_document_tokens=max_document_tokens,
            language_model=other,
            on_progress=progress.advance,
        )
    rows = _rows(ranked, items)
    terminal.print(_table(query, rows[:top]))
    limit = max_document_tokens or embedder.spec.max_tokens
    terminal.truncated(ranked.num_truncated, "documents", f"{limit} tokens")
    return {
        "results": rows,
        "weight": ranked.weight,
        "num_documents": len(items),
        "num_truncated": ranked.num_truncated,
    }


def _rows(ranked: "Reranking", items: list[Item]) -> list[Result]:
    """Describe the documents in their new order."""
    return [
        {
            "rank": rank,
            "score": round(found.score, 4),
            **{name: None if value is None else round(value, 4) for name, value in named(found, _JUDGES).items()},
            **named(items[found.index], ("id", "title", "text")),
        }
        for rank, found in enumerate(ranked, start=1)
    ]


def _table(query: str, rows: list[Result]) -> "RenderableType":
    """Lay out the documents: rank, both judges, headline and opening, a line each."""
    cells = ((row["rank"], [row[name] for name in _JUDGES], document_line(row["title"], row["text"])) for row in rows)
    return documents_table(query, cells, headings=_JUDGES)
