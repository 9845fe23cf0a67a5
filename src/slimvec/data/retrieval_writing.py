"""Retrieval sets into folders that `read_retrieval_set` reads back."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from slimvec.data.retrieval import RetrievalSet
from slimvec.data.writers import write_rows


def write_retrieval_set(dataset: RetrievalSet, folder: Path) -> None:
    """Write a retrieval set as `read_retrieval_set` reads it.

    Args:
        dataset: The set.
        folder: Exists, and is filled.
    """
    write_rows(folder / "corpus.jsonl", map(_row, dataset.documents))
    write_rows(folder / "queries.jsonl", map(_row, dataset.queries))
    judgements = [
        {"query_id": query, "doc_id": document, "score": grade}
        for query, grades in dataset.qrels.items()
        for document, grade in grades.items()
    ]
    write_rows(folder / "qrels.jsonl", judgements)


def _row(item: Any) -> dict[str, Any]:
    """Give the fields of a document or query that say something, under their names in files."""
    values = {"lang" if name == "language" else name: value for name, value in asdict(item).items()}
    return {name: value for name, value in values.items() if value not in (None, "")}
