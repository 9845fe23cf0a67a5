"""Searching the texts of one file, embedded anew each time: `slimvec search --documents`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.blocks import embed_all, read_file
from slimvec.cli.hits import Hit, best_hits, hits_table
from slimvec.cli.models import load_embedder, other_language_model
from slimvec.cli.options import Loading
from slimvec.cli.terminal import Result, Terminal
from slimvec.data.texts import Item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from slimvec.engine.language_model import LanguageModel


def search_file(
    terminal: Terminal,
    queries: Sequence[Item],
    documents: Path,
    *,
    model: str,
    top: int,
    task: str | None,
    field: str,
    loading: Loading,
    generate: float | None = None,
    language_model: str | None = None,
) -> Result:
    """Search the texts of a file by vectors, and show the hits. Arguments as for `search`."""
    items = read_file(terminal, documents, field=field)
    embedder = load_embedder(terminal, model, loading)
    other = other_language_model(terminal, language_model, dtype=loading.dtype)
    with terminal.task("embedding", total=len(items) + len(queries), unit="texts") as progress:
        asked = embed_all(embedder, queries, role="query", task=task, progress=progress)
        searched = embed_all(embedder, items, role="document", task=task, progress=progress, titles=True)
    cosines = embedder.similarity(asked.vectors, searched.vectors)
    if generate is None:
        found = best_hits(cosines, items, top=top)
    else:
        language = other or embedder.language_model
        found = _generated_hits(terminal, language, queries, items, cosines, top=top, share=generate)
    for query, hits in zip(queries, found, strict=True):
        terminal.print(hits_table(query.text, hits))
    limit = f"{embedder.spec.max_tokens} tokens"
    terminal.truncated(asked.num_truncated, "queries", limit)
    terminal.truncated(searched.num_truncated, "documents", limit)
    return {
        "results": [{"query": query.text, "hits": hits} for query, hits in zip(queries, found, strict=True)],
        "num_documents": len(items),
        "num_truncated": searched.num_truncated,
        "prompt": embedder.spec.prompts.render("query", task),
        "model": model,
    }


def _generated_hits(
    terminal: Terminal,
    language: "LanguageModel",
    queries: Sequence[Item],
    items: Sequence[Item],
    cosines: "NDArray[np.float32]",
    *,
    top: int,
    share: float,
) -> list[list[Hit]]:
    """Find documents by n-grams that a language model writes, fused with the cosines [Q, N]."""
    from slimvec.search.generative import GenerativeIndex

    index = GenerativeIndex(language)
    with terminal.task("sorting the n-grams of the texts"):
        index.add([item.content for item in items])
    found = []
    with terminal.task("writing n-grams", total=len(queries), unit="queries") as progress:
        for query, row in zip(queries, cosines, strict=True):
            hits = index.search(query.text, top=top, cosines=row, weight=share)
            ranked = enumerate(hits, start=1)
            found.append([Hit.of(items[h.document], rank, row[h.document], h.ngrams) for rank, h in ranked])
            progress.advance(1)
    return found
