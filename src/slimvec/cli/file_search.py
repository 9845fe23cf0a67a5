"""Searching the texts of one file, embedded anew each time: `slimvec search --documents`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.blocks import embed_all
from slimvec.cli.hits import Hit, best_hits, hits_table
from slimvec.cli.models import load_embedder, other_language_model
from slimvec.cli.options import Loading
from slimvec.cli.terminal import Result, Terminal
from slimvec.data.texts import Item, check_text_file, read_items

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from slimvec.engine.language_model import LanguageModel
    from slimvec.search.generative import GenerativeHit


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
    """Search the texts of a file by vectors, and show the hits.

    Args:
        terminal: Shows progress and hits.
        queries: What is asked.
        documents: The file.
        model: As for `Embedder.load`.
        top: Most hits of each query.
        task: As for `Embedder.embed`.
        field: Field with the text.
        loading: How it is loaded.
        generate: Share of the score that is by n-grams the language model writes; default none.
        language_model: The model that writes; default the one that embeds.
    """
    check_text_file(documents)
    with terminal.task(f"reading {documents}"):
        items = list(read_items(documents, field=field))
    embedder = load_embedder(terminal, model, loading)
    other = other_language_model(terminal, language_model, dtype=loading.dtype)
    with terminal.task("embedding", total=len(items) + len(queries), unit="texts") as progress:
        query_vectors, num_cut = embed_all(embedder, queries, role="query", task=task, progress=progress)
        vectors, num_truncated = embed_all(embedder, items, role="document", task=task, progress=progress, titles=True)
    cosines = embedder.similarity(query_vectors, vectors)
    found = (
        best_hits(cosines, items, top=top)
        if generate is None
        else _generated_hits(
            terminal, other or embedder.language_model, queries, items, cosines, top=top, share=generate
        )
    )
    for query, hits in zip(queries, found, strict=True):
        terminal.print(hits_table(query.text, hits))
    limit = f"{embedder.spec.max_tokens} tokens"
    terminal.truncated(num_cut, "queries", limit)
    terminal.truncated(num_truncated, "documents", limit)
    return {
        "results": [{"query": query.text, "hits": hits} for query, hits in zip(queries, found, strict=True)],
        "num_documents": len(items),
        "num_truncated": num_truncated,
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
            found.append([_hit(rank, items[hit.document], row[hit.document], hit) for rank, hit in enumerate(hits, 1)])
            progress.advance(1)
    return found


def _hit(rank: int, item: Item, cosine: float, found: "GenerativeHit") -> Hit:
    """Lay a document out with the n-grams it was found by."""
    ngrams = tuple(ngram.strip() for ngram in found.ngrams)
    return Hit(rank, round(float(cosine), 4), item.id, item.title, item.text, ngrams)
