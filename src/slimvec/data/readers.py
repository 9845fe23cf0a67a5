"""Training records from files and hub datasets, streamed."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from slimvec.data.bad_rows import BadRowError, BadRows
from slimvec.data.columns import Columns, canonical_row
from slimvec.data.hub import HUB_PREFIX, hub_source, iter_hub_rows
from slimvec.data.records import RECORD_FIELDS, PassageTexts, Record, check_text, parse_record
from slimvec.data.tables import Row, iter_rows, located
from slimvec.errors import InputError

Passages = str | Path | Mapping[str, str]
"""A file of passages, or what `read_passages` made of it."""


def read_records(
    path: str | Path,
    *,
    source: str | None = None,
    passages: Passages | None = None,
    bad: BadRows | None = None,
) -> Iterator[Record]:
    """Read training records, one at a time.

    Args:
        path: A `.jsonl`, `.jsonl.gz` or `.parquet` file with the fields `parse_record` knows, or the columns that
            `slimvec.data.columns` reads as them, or a hub dataset as `hf:owner/name[@revision][:config][:split]`.
        source: Source of the records that name none; default the file's name, or its folder's for a file called
            `train`; for a hub dataset its name.
        passages: Texts by id for rows that hold ids: a file, or what `read_passages` gave.
        bad: Policy and count. By default, and with the policy `error`, the first bad row is an error. With `skip` bad
            rows are left out and counted there, and so are the rest of a file that breaks off and a source without
            rows. A source of which not one row is good stays an error: it is the wrong file, or has other fields.

    Raises:
        InputError: the file is missing or of another kind, not one of its rows is good, or, by policy, a row is
            malformed (with its place), the file breaks off or has no rows.
        FetchError: a hub dataset cannot be had.
    """
    bad, columns = bad or BadRows(), Columns(RECORD_FIELDS)
    texts = read_passages(passages) if isinstance(passages, str | Path) else passages
    source = _default_source(path) if source is None else source
    num_good, num_before, files_before = 0, bad.num_skipped, bad.kinds["file"]
    for row in _record_rows(path, bad, columns):
        bad.unread[str(path)] = tuple(columns.unread)
        try:
            record = parse_record(canonical_row(row.values), source=source, passages=texts)
        except BadRowError as error:
            bad.add(error.at(row.place))
            continue
        except InputError as error:
            raise located(error, row.place) from error
        yield record
        num_good += 1
    broken = bad.kinds["file"] - files_before
    num_bad = bad.num_skipped - num_before - broken
    if num_good == 0 and (num_bad or not broken):  # a file that breaks off at its start is counted already
        _refuse_empty(path, bad, num_bad)


def read_passages(path: str | Path) -> PassageTexts:
    """Read the passages that rows with ids refer to.

    Args:
        path: A `.jsonl`, `.jsonl.gz` or `.parquet` file with `id` (or `_id`), `text` and, if there is one, `title`,
            which goes in front of the text with a space between, as in retrieval sets.

    Raises:
        InputError: the file cannot be read, a passage has no id or no text, or an id occurs twice.
    """
    passages: dict[str, str] = {}
    titles: dict[str, str] = {}
    for row in iter_rows(Path(path), fields=("id", "_id", "title", "text")):
        id_ = row.values.get("id", row.values.get("_id"))
        if not isinstance(id_, str | int) or id_ == "":
            raise InputError(f"{row.place}: no id", expected="an id, a text or a whole number")
        if str(id_) in passages:
            raise InputError(f"{row.place}: id {id_} occurs a second time", expected="ids that occur once")
        try:
            text = check_text(row.values.get("text"), "text")
            title = check_text(row.values["title"], "title") if row.values.get("title") else ""
        except InputError as error:
            raise located(error, row.place) from error
        passages[str(id_)] = f"{title} {text}".strip() if title else text
        if title:
            titles[str(id_)] = title
    if not passages:
        raise InputError(f"{path} has no rows", expected="at least one passage")
    return PassageTexts(passages, titles)


def _default_source(path: str | Path) -> str:
    """What records are called that name no source."""
    if str(path).startswith(HUB_PREFIX):
        return hub_source(str(path)).name
    path = Path(path)
    stem = path.name.split(".")[0]
    return path.absolute().parent.name if stem == "train" else stem


def _record_rows(path: str | Path, bad: BadRows, columns: Columns) -> Iterator[Row]:
    """Read rows; `columns` learns the names of all that they have."""
    is_hub = str(path).startswith(HUB_PREFIX)
    return columns.watch(iter_hub_rows(str(path)) if is_hub else iter_rows(Path(path), fields=columns, bad=bad))


def _refuse_empty(path: str | Path, bad: BadRows, num_rows: int) -> None:
    """Take note of a source without a single good row; where there were rows it is an error whatever the policy."""
    if num_rows:
        raise InputError(
            f"not one of the {num_rows:,} rows of {path} is good; the last: {bad.latest}",
            expected="rows with query and positive",
            do="check the file and its fields",
        )
    bad.add(BadRowError("empty", f"{path} has no rows", expected="at least one record"))
