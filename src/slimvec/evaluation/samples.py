"""Rows of a local set as the samples of a task: chosen, split into subsets, cut to size. No mteb here.

Parts of retrieval sets for machines on which whole sets would take hours: the same part for the same set.

Parts are easier than whole sets, and their scores are not those of whole sets: they compare models with each other.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, TypeVar

from slimvec.data.records import check_text
from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.data.tables import Row, iter_rows, located
from slimvec.errors import InputError
from slimvec.evaluation.suite import CandidateSource, TaskEntry
from slimvec.numbers import finite_number
from slimvec.ranking.bm25 import rank_lexically

Item = TypeVar("Item")
NUM_CANDIDATES = 100
"""Documents that are ranked again for a query, as in the reranking sets made from BEIR."""
_MIN_RANKED = 4
"""Pairs of a rank correlation with an interval."""
WHOLE = "default"
"""mteb's name for the only subset of a set."""


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


@dataclass(frozen=True)
class Samples:
    """Samples of a subset: columns of equal length.

    Attributes:
        columns: Values by mteb's name of the column.
        ids: By sample.
        train: Columns of a classifier's examples; empty where there is no classifier.
    """

    columns: Mapping[str, Sequence[Any]]
    ids: tuple[str, ...]
    train: Mapping[str, Sequence[Any]]


def folder_of(entry: TaskEntry, data: Path) -> Path:
    """The folder of a task's data.

    Raises:
        InputError: there is none.
    """
    folder = data / (entry.folder or entry.name)
    if not folder.is_dir():
        raise InputError(f"task {entry.name}: no folder {folder}", expected="its data", do="check --data")
    return folder


def read_samples(entry: TaskEntry, data: Path) -> dict[str, Samples]:
    """Read the samples of a task that is none of retrieval, by subset.

    Raises:
        InputError: the file cannot be read, a field is missing or malformed (with its place), or what is left has no
            score.
    """
    folder = folder_of(entry, data)
    columns = _columns(entry)
    rows = _grouped(entry, folder / entry.file)
    if entry.across:
        return {pair: _joined(entry, rows, pair) for pair in entry.across}
    train = _grouped(entry, folder / entry.train_file) if entry.kind == "classification" else {}
    found = {}
    for subset, group in rows.items():
        chosen = limited(group, entry.limit, lambda row: str(row.values.get(columns[0][1])))
        if entry.kind == "classification" and subset not in train:
            raise InputError(f"task {entry.name}: {entry.train_file} has no rows of subset {subset}", expected="some")
        examples = _examples(entry, train.get(subset, []))
        taught = _read(entry, examples, columns) if examples else {}
        found[subset] = Samples(_read(entry, chosen, columns), _ids(entry, chosen), taught)
        _check_scorable(entry, subset, found[subset])
    return found


def split_retrieval(entry: TaskEntry, whole: RetrievalSet) -> dict[str, RetrievalSet]:
    """Give a retrieval set by subset: a language, or a pair of them.

    Raises:
        InputError: nothing is left.
    """
    if entry.across:
        sets = {pair: _across(whole, *pair.split("-")) for pair in entry.across}
    elif entry.by is not None:
        sets = {name.rpartition("/")[2]: part for name, part in whole.by_language().items()}
    else:
        sets = {WHOLE: whole}
    _check_subsets(entry, sets)
    chosen = {name: sets[name] for name in (entry.subsets or sets)}
    if entry.merge_identical:
        chosen = {name: merge_identical(part) for name, part in chosen.items()}
    return {name: _limited(entry, part) for name, part in chosen.items()}


def query_names(ids: Sequence[str], called: Mapping[str, str]) -> list[str]:
    """Give queries the names they have in all languages, or keep their ids where those are not one each.

    Args:
        ids: Ids of the queries of a subset.
        called: What a query is called in all languages, by id; ids that are not in it stay.
    """
    names = [called.get(name, name) for name in ids]
    return names if len(set(names)) == len(names) else list(ids)


def sets_hash(sets: Mapping[str, RetrievalSet]) -> str:
    """Hash everything a score on retrieval sets depends on, by subset."""
    return hash_of([f"{name} {part.content_hash}" for name, part in sets.items()])


def hash_of(lines: Iterable[str]) -> str:
    """SHA-256 over lines, whatever their order."""
    return sha256("\0".join(sorted(lines)).encode()).hexdigest()


def merge_identical(dataset: RetrievalSet) -> RetrievalSet:
    """Take queries of the same text for one: the first's id, the judgements of all."""
    first: dict[str, Query] = {}
    qrels: dict[str, dict[str, int]] = {}
    for query in dataset.queries:
        kept = first.setdefault(query.text, query)
        qrels.setdefault(kept.id, {}).update(dataset.qrels[query.id])
    return replace(dataset, queries=tuple(first.values()), qrels=qrels)


def _across(whole: RetrievalSet, query_language: str, document_language: str) -> RetrievalSet:
    """Queries of one language against documents of another.

    A query's documents are those of the query with the same `align` in the other language.
    """
    documents = tuple(document for document in whole.documents if document.language == document_language)
    ids = {document.id for document in documents}
    judged: dict[str, dict[str, int]] = {}
    for query in whole.queries:
        if query.language == document_language and query.align is not None:
            judged[query.align] = {name: grade for name, grade in whole.qrels[query.id].items() if name in ids}
    queries = [q for q in whole.queries if q.language == query_language and judged.get(q.align or "")]
    if not queries:
        languages = ", ".join(sorted({str(document.language) for document in whole.documents}))
        raise InputError(
            f"{whole.name}: no query in {query_language} whose align is also in {document_language}",
            expected=f"languages of the set: {languages}",
        )
    qrels = {query.id: judged[query.align or ""] for query in queries}
    return replace(whole, documents=documents, queries=tuple(queries), qrels=qrels, num_unjudged=0)


def _limited(entry: TaskEntry, dataset: RetrievalSet) -> RetrievalSet:
    if entry.documents is not None:
        return part_of(dataset, queries=entry.limit, documents=entry.documents, characters=entry.characters)
    queries = limited(dataset.queries, entry.limit, lambda query: query.align or query.id)
    cut = tuple(replace(document, text=document.text[: entry.characters]) for document in dataset.documents)
    qrels = {query.id: dataset.qrels[query.id] for query in queries}
    return replace(dataset, documents=cut, queries=tuple(queries), qrels=qrels)


def candidates(dataset: RetrievalSet, source: CandidateSource) -> tuple[RetrievalSet, dict[str, list[str]]]:
    """Make a set for reranking: a few documents for each query, and none that is no query's.

    Args:
        dataset: Documents, queries and judgements.
        source: `judged`: the documents judged for the query, for queries with good and bad ones among them; `bm25`: the
            `NUM_CANDIDATES` that BM25 finds.

    Raises:
        InputError: no query has both good and bad ones.
    """
    if source == "bm25":
        ranked = _lexical_candidates(dataset)
    else:
        ranked = {query: sorted(grades) for query, grades in dataset.qrels.items() if min(grades.values()) <= 0}
    if not ranked:
        raise InputError(
            f"{dataset.name} has no query with documents judged irrelevant",
            expected="grades of 0",
            do="use candidates: bm25",
        )
    named = {document for found in ranked.values() for document in found}
    queries = tuple(query for query in dataset.queries if query.id in ranked)
    documents = tuple(document for document in dataset.documents if document.id in named or source == "bm25")
    qrels = {query.id: dataset.qrels[query.id] for query in queries}
    return replace(dataset, documents=documents, queries=queries, qrels=qrels), ranked


def _lexical_candidates(dataset: RetrievalSet) -> dict[str, list[str]]:
    """Ids of the documents that BM25 ranks highest, by query."""
    contents = [document.content for document in dataset.documents]
    names = [document.id for document in dataset.documents]
    ranking = rank_lexically([query.text for query in dataset.queries], contents, names, num_kept=NUM_CANDIDATES + 1)
    if dataset.leaves_out_own:
        ranking = ranking.own_last([query.id for query in dataset.queries])
    return {query.id: ranking.ids(number)[:NUM_CANDIDATES] for number, query in enumerate(dataset.queries)}


def _columns(entry: TaskEntry) -> list[tuple[str, str, str]]:
    """Column of mteb's, field of ours, and what it holds."""
    pair = [("sentence1", entry.first, "text"), ("sentence2", entry.second, "text")]
    by_kind = {
        "sts": [*pair, ("score", entry.score, "number")],
        "pair_classification": [*pair, ("labels", entry.label, "binary")],
        "bitext": pair,
        "classification": [("text", entry.text, "text"), ("label", entry.label, "label")],
        "clustering": [("sentences", entry.text, "text"), ("labels", entry.label, "label")],
    }
    return by_kind[str(entry.kind)]


def _check_scorable(entry: TaskEntry, subset: str, samples: Samples) -> None:
    """Refuse samples that have no score, or the best one whatever the model."""
    if entry.kind == "bitext":
        return
    if entry.kind == "classification":
        values = samples.train["label"]
    else:
        values = samples.columns["score" if entry.kind == "sts" else "labels"]
    counts = Counter(values)
    fits, expected = {
        "sts": (len(values) >= _MIN_RANKED and len(counts) > 1, f"{_MIN_RANKED} pairs with different scores"),
        "pair_classification": (counts[1] > 1 and counts[0] > 0, "two pairs of label 1 and one of label 0"),
        "classification": (len(counts) > 1, "examples of two labels"),
        "clustering": (len(counts) > 1, "texts of two labels"),
    }[str(entry.kind)]
    if not fits:
        part = "" if subset == WHOLE else f", {subset}"
        found = f"task {entry.name}{part} has {len(values)} samples with {len(counts)} different values"
        raise InputError(found, expected=f"at least {expected}")


def _grouped(entry: TaskEntry, path: Path) -> dict[str, list[Row]]:
    """Rows of a file by subset."""
    groups: dict[str, list[Row]] = {}
    for row in iter_rows(path):
        if any(row.values.get(field) != value for field, value in entry.where.items()):
            continue
        if entry.by is not None and row.values.get(entry.by) is None:
            raise InputError(f"{row.place}: no field {entry.by!r}", expected="the subset there")
        groups.setdefault(WHOLE if entry.by is None else str(row.values[entry.by]), []).append(row)
    if not groups:
        wanted = ", ".join(f"{field} = {value}" for field, value in entry.where.items())
        raise InputError(f"{path} has no rows{' with ' + wanted if wanted else ''}", expected="at least one")
    _check_subsets(entry, groups)
    return {name: groups[name] for name in entry.subsets} if entry.subsets else groups


def _check_subsets(entry: TaskEntry, found: Iterable[str]) -> None:
    there = sorted(found)
    missing = next((name for name in entry.subsets if name not in there), None)
    if missing is not None:
        raise InputError(f"task {entry.name} has no subset {missing!r}", expected=f"one of {', '.join(there)}")


def _joined(entry: TaskEntry, rows: Mapping[str, list[Row]], pair: str) -> Samples:
    """Sentences of two languages with the same id, side by side."""
    if entry.id is None:
        raise InputError(f"task {entry.name}: across without id", expected="the field that joins the languages")
    sides = []
    for language in pair.split("-"):
        if language not in rows:
            raise InputError(f"task {entry.name} has no language {language!r}", expected=", ".join(sorted(rows)))
        sides.append({str(row.values.get(entry.id)): row for row in rows[language]})
    both = limited([name for name in sides[0] if name in sides[1]], entry.limit, str)
    field = [("text", entry.text, "text")]
    sentences = [_read(entry, [side[name] for name in both], field)["text"] for side in sides]
    return Samples({"sentence1": sentences[0], "sentence2": sentences[1]}, tuple(both), {})


def _examples(entry: TaskEntry, rows: list[Row]) -> list[Row]:
    """The examples of a classifier: of each label as many as are asked for."""
    if entry.examples is None:
        return rows
    labels: dict[str, list[Row]] = {}
    for row in rows:
        labels.setdefault(str(row.values.get(entry.label)), []).append(row)
    groups = [limited(own, entry.examples, lambda row: str(row.values.get(entry.text))) for own in labels.values()]
    return [row for group in groups for row in group]


def _read(entry: TaskEntry, rows: Sequence[Row], columns: Sequence[tuple[str, str, str]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {column: [] for column, _, _ in columns}
    for row in rows:
        for column, field, holds in columns:
            try:
                found[column].append(_value(row.values.get(field), field, holds, entry.characters))
            except InputError as error:
                raise located(error, row.place) from error
    return found


def _value(value: object, field: str, holds: str, characters: int | None) -> object:
    if holds == "text":
        return check_text(value, field)[:characters]
    if holds == "number" and (number := finite_number(value)) is not None:
        return number
    if holds == "binary" and value in (0, 1):
        return int(value)
    if holds == "label" and isinstance(value, str | int):
        return str(value)
    expected = {"number": "a number", "binary": "0 or 1", "label": "a label"}[holds]
    raise InputError(f"{field} is {value!r}", expected=expected)


def _ids(entry: TaskEntry, rows: Sequence[Row]) -> tuple[str, ...]:
    if entry.id is None:
        return tuple(str(number) for number in range(len(rows)))
    return tuple(str(row.values.get(entry.id, number)) for number, row in enumerate(rows))
