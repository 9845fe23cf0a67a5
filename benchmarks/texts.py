"""Where the texts come from: the documentation of installed packages, or retrieval sets in a folder."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slimvec.data.python_sources import find_packages, installed_roots, read_entries
from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.data.retrieval_files import find_retrieval_sets, read_retrieval_set

_SEED = 27
_POOL = 6000
"""Entries read from installed packages: more than any workload needs."""


@dataclass(frozen=True, eq=False)
class TextPool:
    """Texts to cut workloads from.

    Attributes:
        source: Where they are from, for the result.
        short: Different texts of a sentence or so.
        long: Different texts of any length.
        retrieval: A retrieval set over such texts.
    """

    source: str
    short: tuple[str, ...]
    long: tuple[str, ...]
    retrieval: RetrievalSet


def read_pool(data: Path | None, *, num_retrieval: int) -> TextPool:
    """Read texts, in an order that does not depend on the machine as long as the files are the same.

    Args:
        data: A retrieval set or a folder of them; None for the documentation of installed packages.
        num_retrieval: Documents of the retrieval set, at most.

    Raises:
        InputError: there is no retrieval set in the folder, or it is malformed.
    """
    return _installed(num_retrieval) if data is None else _from_folder(data, num_retrieval)


def _installed(num_retrieval: int) -> TextPool:
    packages = find_packages(installed_roots())
    files = [(name, file) for name, paths in packages.items() for file in paths]
    random.Random(_SEED).shuffle(files)
    documents: dict[str, str] = {}
    for name, file in files:
        if len(documents) >= _POOL:
            break
        documents.update({entry.query: entry.document for entry in read_entries(name, file)})
    short, long = tuple(documents), tuple(dict.fromkeys(documents.values()))
    chosen = list(documents.items())[:num_retrieval]
    retrieval = RetrievalSet(
        name="installed documentation",
        documents=tuple(Document(str(number), text) for number, (_, text) in enumerate(chosen)),
        queries=tuple(Query(str(number), text) for number, (text, _) in enumerate(chosen)),
        qrels={str(number): {str(number): 1} for number in range(len(chosen))},
    )
    return TextPool("documentation of installed packages", short, long, retrieval)


def _from_folder(data: Path, num_retrieval: int) -> TextPool:
    sets = [read_retrieval_set(folder) for folder in find_retrieval_sets(data)]
    short = list(dict.fromkeys(query.text for dataset in sets for query in dataset.queries))
    long = list(dict.fromkeys(document.content for dataset in sets for document in dataset.documents))
    for texts in (short, long):
        random.Random(_SEED).shuffle(texts)
    names = ", ".join(dataset.name for dataset in sets)
    return TextPool(names, tuple(short), tuple(long), limit_set(sets[0], num_retrieval))


def limit_set(dataset: RetrievalSet, num_documents: int) -> RetrievalSet:
    """Cut a retrieval set: queries in order, as long as what is relevant to them fits, then other documents."""
    kept: dict[str, None] = {}
    queries: list[Query] = []
    for query in dataset.queries:
        relevant = [document for document, grade in dataset.qrels[query.id].items() if grade > 0]
        if len(kept.keys() | set(relevant)) <= num_documents:
            kept.update(dict.fromkeys(relevant))
            queries.append(query)
    for document in dataset.documents:
        if len(kept) >= num_documents:
            break
        kept[document.id] = None
    return RetrievalSet(
        name=dataset.name,
        documents=tuple(document for document in dataset.documents if document.id in kept),
        queries=tuple(queries),
        qrels={q.id: {d: grade for d, grade in dataset.qrels[q.id].items() if d in kept} for q in queries},
    )


def joined_to(texts: Sequence[str], num_characters: int) -> list[str]:
    """Join neighbours until each text has at least so many characters; what is left at the end is dropped."""
    joined: list[str] = []
    parts: list[str] = []
    for text in texts:
        parts.append(text)
        if sum(map(len, parts)) >= num_characters:
            joined.append("\n\n".join(parts))
            parts = []
    return joined
