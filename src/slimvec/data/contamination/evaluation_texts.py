"""The texts that a model is scored on, from the files that hold them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slimvec.data.records import check_text
from slimvec.data.retrieval_files import find_retrieval_sets, read_retrieval_set
from slimvec.data.tables import Row, has_suffix, iter_lines, iter_rows, located
from slimvec.data.texts import check_text_file
from slimvec.errors import InputError

_TEXT_FIELDS = ("text", "s1", "s2", "sentence1", "sentence2", "query", "positive", "positives")


@dataclass(frozen=True, slots=True)
class EvaluationText:
    """A text of an evaluation set.

    Attributes:
        dataset: Name of the set.
        part: `queries`, `documents` or `texts`: a query met in training harms more than a document of the corpus.
        text: The text; of a document title and text together, as it is embedded.
        body: Text of a document that also has a title, without it, by which a copy is known too; else empty.
    """

    dataset: str
    part: str
    text: str
    body: str = ""


def read_evaluation_texts(path: str | Path) -> Iterator[EvaluationText]:
    """Read the texts of an evaluation set, or of several.

    Args:
        path: A folder with a retrieval set, or with several in its subfolders; or a file of texts: `.txt` (one a
            line), or `.jsonl`, `.jsonl.gz` or `.parquet` with `text` (classification), `s1` and `s2` or `sentence1`
            and `sentence2` (STS), or `query` and `positive` (pairs).

    Raises:
        InputError: there is no such file or folder, a folder holds no retrieval set, a row has none of the fields,
            or there are no texts.
    """
    path = Path(path)
    if path.is_dir():
        for folder in find_retrieval_sets(path):
            yield from _retrieval_texts(folder)
        return
    check_text_file(path)
    stem = path.name.split(".")[0]
    name = f"{path.absolute().parent.name}/{stem}"
    empty = True
    for text in _file_texts(path):
        yield EvaluationText(name, "texts", text)
        empty = False
    if empty:
        raise InputError(f"{path} has no texts", expected="at least one")


def _retrieval_texts(folder: Path) -> Iterator[EvaluationText]:
    dataset = read_retrieval_set(folder)
    for query in dataset.queries:
        yield EvaluationText(dataset.name, "queries", query.text)
    for document in dataset.documents:
        yield EvaluationText(dataset.name, "documents", document.content, document.text if document.title else "")


def _file_texts(path: Path) -> Iterator[str]:
    if has_suffix(path, (".txt",)):
        yield from (line for _, line in iter_lines(path) if line.strip())
        return
    for row in iter_rows(path, fields=_TEXT_FIELDS):
        yield from _row_texts(row)


def _row_texts(row: Row) -> Iterator[str]:
    names = [name for name in _TEXT_FIELDS if row.values.get(name) is not None]
    if not names:
        raise InputError(
            f"{row.place}: no field with a text",
            expected=f"one of {', '.join(_TEXT_FIELDS)}",
            do=f"the row has {', '.join(map(str, row.values)) or 'no fields'}",
        )
    for name in names:
        value = row.values[name]
        for text in value if isinstance(value, list) else [value]:
            try:
                yield check_text(text, name)
            except InputError as error:
                raise located(error, row.place) from error
