"""Searching the texts of one file, embedded anew each time: `slimvec search --documents`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from slimvec.cli.blocks import embed_all, truncation_remark
from slimvec.cli.hits import best_hits, hits_table
from slimvec.cli.inputs import Item, check_input, read_items
from slimvec.cli.models import load_embedder
from slimvec.cli.terminal import Result, Terminal


def search_file(
    terminal: Terminal,
    queries: Sequence[Item],
    documents: Path,
    *,
    model: str,
    top: int,
    task: str | None,
    field: str,
    dims: int | None,
    dtype: str,
    revision: str | None,
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
        dims: Width of the vectors.
        dtype: Dtype of the weights.
        revision: Revision of a hub name.
    """
    check_input(documents)
    with terminal.task(f"reading {documents}"):
        items = list(read_items(documents, field=field))
    embedder = load_embedder(terminal, model, revision=revision, dtype=dtype, dims=dims)
    with terminal.task("embedding", total=len(items) + len(queries), unit="texts") as progress:
        query_vectors, _ = embed_all(embedder, queries, role="query", task=task, progress=progress)
        vectors, num_truncated = embed_all(embedder, items, role="document", task=task, progress=progress, titles=True)
    found = best_hits(embedder.similarity(query_vectors, vectors), items, top=top)
    for query, hits in zip(queries, found, strict=True):
        terminal.print(hits_table(query.text, hits))
    if num_truncated:
        terminal.remark(truncation_remark(num_truncated, embedder.spec.max_tokens, "documents"))
    return {
        "results": [
            {"query": query.text, "hits": [asdict(hit) for hit in hits]}
            for query, hits in zip(queries, found, strict=True)
        ],
        "num_documents": len(items),
        "num_truncated": num_truncated,
        "prompt": embedder.spec.prompts.render("query", task),
        "model": model,
    }
