"""Retrieval sets as folders: how they are found, read and written."""

import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from slimvec.data.records import check_text
from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.data.tables import Row, iter_lines, iter_rows, located
from slimvec.data.writers import write_rows
from slimvec.errors import InputError
from slimvec.numbers import finite_number

_ROW_SUFFIXES = (".jsonl", ".jsonl.gz")
_STEMS = ("corpus", "queries", "qrels")
Item = TypeVar("Item", Document, Query)
_MAX_GRADE = 2**31 - 1


def find_retrieval_sets(folder: str | Path) -> list[Path]:
    """List the retrieval sets in a folder: the folder itself, or those of its subfolders that hold one, by name.

    Raises:
        InputError: there is no such folder, or no set in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", expected="a folder with corpus, queries and qrels")
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = [path for path in candidates if _is_retrieval_set(path)]
    if not found:
        raise InputError(
            f"{folder} holds no retrieval set",
            expected="corpus, queries and qrels as .jsonl or .jsonl.gz, there or in its subfolders",
        )
    return found[:1] if found[0] == folder else found


def read_retrieval_set(
    folder: str | Path, *, name: str | None = None, split: str = "test", strict: bool = False
) -> RetrievalSet:
    """Read a retrieval set from a folder.

    Queries without a relevant document are left out and counted, as BEIR keeps the queries of all splits in one file.
    Where a document is graded twice for a query (judges disagreed) the last line counts, as in the loaders of
    BEIR and mteb. Documents without any text, and judgements of what is not there, are left out and counted.

    Args:
        folder: In one of the two layouts.
        name: Name of the set; default the folder's.
        split: Which of BEIR's qrels to read.
        strict: Refuse them instead.

    Raises:
        InputError: a file is missing or malformed, an id occurs twice, `strict` finds something, or no query can be
            scored. The message names file and line.
    """
    folder = Path(folder)
    listed = _read_items(_find(folder, "corpus"), partial(_document, strict=strict))
    documents = {id_: document for id_, document in listed.items() if document.content}
    queries = _read_items(_find(folder, "queries"), _query)
    qrels, num_regraded, num_missing = _read_qrels(_find_qrels(folder, split), documents, queries, strict=strict)
    scored = {q: grades for q, grades in qrels.items() if any(grade > 0 for grade in grades.values())}
    return RetrievalSet(
        name=name or folder.absolute().name,
        documents=tuple(documents.values()),
        queries=tuple(query for query in queries.values() if query.id in scored),
        qrels=scored,
        num_unjudged=len(queries) - len(scored),
        num_regraded=num_regraded,
        num_empty=len(listed) - len(documents),
        num_missing=num_missing,
    )


def _is_retrieval_set(folder: Path) -> bool:
    has_rows = {stem: any((folder / (stem + suffix)).is_file() for suffix in _ROW_SUFFIXES) for stem in _STEMS}
    return has_rows["corpus"] and has_rows["queries"] and (has_rows["qrels"] or (folder / "qrels").is_dir())


def _find(folder: Path, stem: str) -> Path:
    for suffix in _ROW_SUFFIXES:
        if (folder / (stem + suffix)).is_file():
            return folder / (stem + suffix)
    raise InputError(f"{folder} has no {stem}.jsonl or {stem}.jsonl.gz", expected="corpus, queries and qrels")


def _find_qrels(folder: Path, split: str) -> Path:
    if not (folder / "qrels").is_dir():
        return _find(folder, "qrels")
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in (folder / "qrels").glob("*.tsv"))) or "none"
        raise InputError(f"{path} does not exist", expected=f"a split that is there: {there}")
    return path


def _read_items(path: Path, parse: Callable[[Row], Item]) -> dict[str, Item]:
    items: dict[str, Item] = {}
    for row in iter_rows(path):
        try:
            item = parse(row)
        except InputError as error:
            raise located(error, row.place) from error
        if item.id in items:
            raise InputError(f"{row.place}: id {item.id} occurs a second time", expected="ids that occur once")
        items[item.id] = item
    return items


def _document(row: Row, *, strict: bool) -> Document:
    title, text = (_text(row.values.get(name), name) for name in ("title", "text"))
    document = Document(_id(row, "id", "_id"), text, title, *_labels(row))
    if strict:
        check_text(document.content, "title and text together")
    return document


def _query(row: Row) -> Query:
    return Query(_id(row, "id", "_id"), check_text(row.values.get("text"), "text"), *_labels(row))


def _text(value: object, name: str) -> str:
    return "" if value is None or (isinstance(value, str) and not value.strip()) else check_text(value, name)


def _labels(row: Row) -> tuple[str | None, str | None]:
    """Language and alignment."""
    language, align = row.values.get("lang"), row.values.get("align")
    return None if language is None else str(language), None if align is None else str(align)


def _id(row: Row, *names: str) -> str:
    for name in names:
        value = row.values.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    raise InputError(f"no {' or '.join(names)}", expected="an id, a text or a whole number")


def _read_qrels(
    path: Path, documents: Mapping[str, Document], queries: Mapping[str, Query], *, strict: bool
) -> tuple[dict[str, dict[str, int]], int, int]:
    """Grades by document by query, how often a later line changed a grade, and judgements of what is not there."""
    qrels: dict[str, dict[str, int]] = {}
    num_regraded, num_missing = 0, 0
    judgements = _tsv_judgements(path) if path.suffix == ".tsv" else _json_judgements(path)
    for place, query_id, document_id, grade in judgements:
        if strict and query_id not in queries:
            raise InputError(f"{place}: unknown query {query_id}", expected="an id from the queries")
        if strict and document_id not in documents:
            raise InputError(f"{place}: unknown document {document_id}", expected="an id from the corpus")
        if query_id not in queries or document_id not in documents:
            num_missing += 1
            continue
        grades = qrels.setdefault(query_id, {})
        num_regraded += grades.get(document_id, grade) != grade
        grades[document_id] = grade
    return qrels, num_regraded, num_missing


def _json_judgements(path: Path) -> Iterator[tuple[str, str, str, int]]:
    for row in iter_rows(path):
        try:
            ids = _id(row, "query_id", "query-id"), _id(row, "doc_id", "corpus-id")
            yield row.place, *ids, _grade(row.values.get("score"))
        except InputError as error:
            raise located(error, row.place) from error


def _tsv_judgements(path: Path) -> Iterator[tuple[str, str, str, int]]:
    for number, (place, line) in enumerate(iter_lines(path)):
        cells = line.split("\t")
        if len(cells) != 3:
            raise InputError(f"{place}: {len(cells)} columns", expected="query, document and grade, with tabs between")
        if number == 0 and not _is_number(cells[2]):
            continue  # the headings
        try:
            yield place, cells[0], cells[1], _grade(cells[2])
        except InputError as error:
            raise located(error, place) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _grade(value: object) -> int:
    number = finite_number(float(value) if isinstance(value, str) and _is_number(value) else value)
    if number is None or abs(number) > _MAX_GRADE or number % 1:
        raise InputError(f"score {reprlib.repr(value)}", expected=f"a whole number, at most {_MAX_GRADE:,}")
    return int(number)


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
