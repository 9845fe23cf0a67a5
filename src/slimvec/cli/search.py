"""`slimvec search`: what answers a question, in an index or in a file of documents."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slimvec.cli.index import open_index
from slimvec.cli.index_hits import as_json, shown_hits
from slimvec.cli.options import DEFAULT_MODEL, Loading
from slimvec.cli.terminal import Result, Terminal
from slimvec.cli.values import exactly_one, none_of
from slimvec.data.records import check_text
from slimvec.data.texts import Item
from slimvec.errors import InputError

if TYPE_CHECKING:
    from slimvec.search.filters import Filters

KEYS = {
    "results": "for each query in turn: query, and hits, best first; with --documents rank, cosine, id, title, text "
    "and ngrams of each, with --index also path, place, score, highlight and explanation",
    "num_documents": "documents or chunks searched",
    "num_truncated": "documents that were longer than the model's limit and were truncated; with --index null",
    "prompt": "what was written in front of each query",
    "model": "the model's name",
}
RankingName = Literal["hybrid", "vector", "text"]


def search(
    terminal: Terminal,
    *,
    queries: list[str],
    index: Path | None = None,
    documents: Path | None = None,
    model: str | None = None,
    top: int = 5,
    ranking: RankingName = "hybrid",
    path: list[str] | None = None,
    kind: list[str] | None = None,
    after: str | None = None,
    before: str | None = None,
    rerank: int = 0,
    generate: float | None = None,
    language_model: str | None = None,
    exact: bool = False,
    explain: bool = False,
    task: str | None = None,
    field: str = "text",
    loading: Loading,
) -> Result:
    """Find what answers a question, by meaning and by words.

    With --index, your own files that `slimvec index` has read: each hit shows its file and place, and the sentence that
    matches, with the query's words in bold. The ranking is hybrid: vectors and BM25, fused by rank.

    With --documents, the texts of one file, by vectors alone; they are embedded anew each time, title and text
    together, and each hit shows its rank, its cosine with the query, and its title or first line. --generate adds
    generative retrieval: documents are also found by n-grams of theirs that the language model writes for the query.

    Positional:
        queries QUERY...: One or more questions, each in quotes.

    Options:
        documents -d FILE: Instead: a .txt (a text a line), .jsonl or .parquet file.
        model -m M: Default the one that made the index; with --documents {DEFAULT_MODEL}.
        top (from 1): Hits shown of each query.
        ranking: By meaning (vector), by words (text, BM25), or by the ranks of both (hybrid).
        path GLOB: Only files with such a path: docs, 'docs/*.md'.
        kind K: Only such files: text, markdown, html, pdf, docx, code, table.
        after DAY: Only files changed since: 2026-11-29, or 30d for 30 days.
        before DAY: Only files changed before that day.
        rerank N (from 0): So many of the best are read once more, with the query.
        generate SHARE (0 to 1): With --documents: have the language model write n-grams of the texts, for this share of
            the score; 1 is them alone.
        language_model M: With --generate: the model that writes, such as one trained by objective ngrams. Default the
            embedding model's own.
        exact: Compare all vectors, with no approximate index.
        explain: Say why each hit stands where it does.
    """
    exactly_one(index=index, documents=documents)
    asked = [
        Item(f"query {number}", str(number), check_text(text, f"query {number}"))
        for number, text in enumerate(queries, 1)
    ]
    if language_model is not None and generate is None:
        raise InputError("--language-model without --generate", expected="both, or neither")
    if documents is not None:
        from slimvec.cli.file_search import search_file

        none_of(
            "--documents", "it with --index alone", ranking=ranking != "hybrid", path=path, kind=kind, after=after,
            before=before, rerank=rerank, exact=exact, explain=explain,
        )  # fmt: skip
        return search_file(
            terminal, asked, documents, model=model or DEFAULT_MODEL, top=top, task=task, field=field,
            loading=loading, generate=generate, language_model=language_model,
        )  # fmt: skip
    if generate is not None:
        raise InputError("--generate with --index", expected="--documents, whose texts it can read whole")
    none_of("--index", "it with --documents alone", field=field != "text", dims=loading.dims)
    assert index is not None
    filters = _filters(path, kind, after, before)
    needs_model = model is not None or ranking != "text" or rerank > 0
    opened = open_index(terminal, index, model, loading, load=needs_model)
    results = []
    for query in queries:
        with terminal.task("searching"):
            result = opened.search(
                query, top=top, ranking=ranking, filters=filters, task=task, rerank=rerank, exact=exact
            )
        terminal.print(shown_hits(result, explain=explain))
        results.append(result)
    terminal.truncated(sum(result.query_truncated for result in results), "queries")
    return {
        "results": [as_json(result, explain=explain) for result in results],
        "num_documents": results[0].num_searched,
        "num_truncated": None,
        "prompt": results[0].prompt,
        "model": opened.description.model,
    }


def _filters(paths: list[str] | None, kinds: list[str] | None, after: str | None, before: str | None) -> "Filters":
    """Give the filters asked for.

    Raises:
        InputError: an unknown kind, or a day that is none.
    """
    from slimvec.search.filters import Filters, parse_day

    filters = Filters(
        paths=tuple(paths or ()),
        kinds=tuple(kinds or ()),
        after=None if after is None else parse_day(after),
        before=None if before is None else parse_day(before),
    )
    filters.where()
    return filters
