"""`slimvec search`: the documents of a file that answer a question."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from slimvec.cli.blocks import embed_all, truncation_remark
from slimvec.cli.hits import best_hits, hits_table
from slimvec.cli.inputs import Item, check_input, read_items
from slimvec.cli.models import load_embedder
from slimvec.cli.options import DimsOption, DtypeOption, FieldOption, ModelOption, RevisionOption, TaskOption
from slimvec.cli.terminal import Result, Terminal
from slimvec.data.records import check_text

KEYS = {
    "results": "for each query in turn: query, and hits with rank, cosine, id, title and text, best first",
    "num_documents": "documents searched",
    "num_truncated": "documents that were longer than the model's limit and were truncated",
    "prompt": "what was written in front of each query",
}


def search(
    terminal: Terminal,
    *,
    queries: Annotated[list[str], typer.Argument(help="One or more questions, each in quotes.", metavar="QUERY...")],
    model: ModelOption,
    documents: Annotated[
        Path, typer.Option("--documents", "-d", help="A .txt (a text a line), .jsonl, .jsonl.gz or .parquet file.")
    ],
    top: Annotated[int, typer.Option(min=1, help="Hits shown of each query.")] = 5,
    task: TaskOption = None,
    field: FieldOption = "text",
    dims: DimsOption = None,
    dtype: DtypeOption = "auto",
    revision: RevisionOption = None,
) -> Result:
    """Search the documents of a file by meaning.

    The documents are embedded anew each time, title and text together. Each hit shows its rank, its cosine with the
    query, and its title or first line.
    """
    check_input(documents)
    with terminal.task(f"reading {documents}"):
        items = list(read_items(documents, field=field))
    asked = [
        Item(f"query {number}", str(number), check_text(text, f"query {number}"))
        for number, text in enumerate(queries, 1)
    ]
    embedder = load_embedder(terminal, model, revision=revision, dtype=dtype, dims=dims)
    with terminal.task("embedding", total=len(items) + len(asked), unit="texts") as progress:
        query_vectors, _ = embed_all(embedder, asked, role="query", task=task, progress=progress)
        vectors, num_truncated = embed_all(embedder, items, role="document", task=task, progress=progress, titles=True)
    found = best_hits(embedder.similarity(query_vectors, vectors), items, top=top)
    for query, hits in zip(queries, found, strict=True):
        terminal.print(hits_table(query, hits))
    if num_truncated:
        terminal.remark(truncation_remark(num_truncated, embedder.spec.max_tokens, "documents"))
    return {
        "results": [
            {"query": query, "hits": [asdict(hit) for hit in hits]} for query, hits in zip(queries, found, strict=True)
        ],
        "num_documents": len(items),
        "num_truncated": num_truncated,
        "prompt": embedder.spec.prompts.render("query", task),
    }
