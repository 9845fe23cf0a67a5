"""Parts of retrieval sets for machines on which whole sets would take hours: the same part for the same set.

Parts are easier than whole sets, and their scores are not those of whole sets: they compare models with each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TypeVar

from slimvec.data.retrieval import Document, Query, RetrievalSet

Item = TypeVar("Item")


def limited(items: Sequence[Item], limit: int | None, name: Callable[[Item], str]) -> list[Item]:
    """Give the items whose names have the smallest hashes, in their own order: the same ones whatever else is there."""
    if limit is None or len(items) <= limit:
        return list(items)
    keys = [_place(name(item)) for item in items]
    kept = sorted(range(len(items)), key=lambda number: (keys[number], number))[:limit]
    return [items[number] for number in sorted(kept)]


def part_of(
    whole: RetrievalSet, *, queries: int | None = None, documents: int | None = None, characters: int | None = None
) -> RetrievalSet:
    """Take a part of a set.

    Its queries are the first by a hash of their ids (of their `align` where they have one), as long as their relevant
    documents fit into the number asked for; its documents are these, and the first of the others up to that number.

    Args:
        whole: The set.
        queries: Most queries; default all that fit.
        documents: Most documents; default all.
        characters: Longest text of a document; longer ones are cut.
    """
    relevant: set[str] = set()
    chosen: list[Query] = []
    for query in sorted(whole.queries, key=_place_of):
        wanted = relevant | {name for name, grade in whole.qrels[query.id].items() if grade > 0}
        if (queries is None or len(chosen) < queries) and (documents is None or len(wanted) <= documents):
            chosen.append(query)
            relevant = wanted
    ids = {query.id for query in chosen}
    order = sorted(whole.documents, key=lambda document: (document.id not in relevant, _place_of(document)))
    kept = {document.id for document in order[:documents]}
    return replace(
        whole,
        documents=tuple(
            replace(document, text=document.text[:characters]) for document in whole.documents if document.id in kept
        ),
        queries=tuple(query for query in whole.queries if query.id in ids),
        qrels={
            name: {document: grade for document, grade in grades.items() if document in kept}
            for name, grades in whole.qrels.items()
            if name in ids
        },
    )


def _place_of(item: Query | Document) -> bytes:
    return _place(item.align or item.id)


def _place(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()
