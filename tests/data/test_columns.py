"""Columns of other libraries are read as fields of a record, or named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimvec.data.bad_rows import BadRows
from slimvec.data.readers import read_records
from slimvec.errors import InputError

USER = "user"
ROWS = {
    "slimvec": {"query": "q", "positives": ["p"], "negatives": ["n", "m"]},
    "triplet": {"anchor": "q", "positive": "p", "negative": "n", "negative_1": "m"},
    "tuple": {"query": "q", "positive": "p", "negative_2": "m", "negative_1": "n"},
    "marked pair": {"sentence1": "q", "sentence2": "p", "label": 1, "negatives": ["n", "m"]},
    "question": {"question": "q", "answer": "p", "hard_negatives": ["n", "m"]},
    "FlagEmbedding": {"query": "q", "pos": ["p"], "neg": ["n", "m"], "id": "7", "type": "normal"},
    "Tevatron": {
        "query_id": "1",
        "query": "q",
        "positive_passages": [{"docid": "1", "title": "", "text": "p"}],
        "negative_passages": [{"docid": "2", "title": "", "text": "n"}, {"docid": "3", "text": "m"}],
    },
    "swift": {"query": "q", "response": "p", "rejected_response": ["n", "m"], "label": 1.0},
    "swift messages": {
        "messages": [{"role": USER, "content": "q"}],
        "positive_messages": [[{"role": USER, "content": "p"}]],
        "negative_messages": [[{"role": USER, "content": "n"}], [{"role": USER, "content": "m"}]],
    },
    "own first": {"query": "q", "positive": "p", "negatives": ["n", "m"], "answer": "42", "question": "x"},
}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_every_naming_gives_the_same_record(row, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    write(path, row) if suffix == "jsonl" else pq.write_table(pa.Table.from_pylist([row]), path)
    bad = BadRows()
    (record,) = read_records(path, bad=bad)
    assert (record.query, record.positives, record.negatives) == ("q", ("p",), ("n", "m"))
    assert bad.unread_columns() == []


def test_scores_prompts_titles_and_ids(tmp_path):
    flag = {"query": "q", "pos": ["p"], "neg": ["n"], "pos_scores": [0.9], "neg_scores": [0.1], "prompt": "Find it: "}
    tevatron = {"query": "q", "positive_document_ids": ["1"], "negative_document_ids": ["2"]}
    titled = {"query": "q", "positive_passages": [{"title": "T", "text": "p"}]}
    path = write(tmp_path / "a.jsonl", flag, tevatron, titled)
    passages = {"1": "one", "2": "two"}
    first, second, third = read_records(path, passages=passages)
    assert (first.scores, first.task) == ((0.9, 0.1), "Find it: ")
    assert (second.positives, second.negatives) == (("one",), ("two",))
    assert (third.positives, third.titles) == (("T p",), ("T",))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_columns_not_read_are_named_once(suffix, tmp_path):
    rows = [{"query": "q", "positive": "p", "hard_neg": "n", "url": "u"}] * 3
    path = tmp_path / f"a.{suffix}"
    write(path, *rows) if suffix == "jsonl" else pq.write_table(pa.Table.from_pylist(rows), path)
    bad = BadRows()
    assert len(list(read_records(path, bad=bad))) == 3
    assert bad.unread_columns() == [f"{path}: columns not read: hard_neg, url"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"sentence1": "a", "sentence2": "b", "label": 0}, "label 0, which says that this is not a pair; expected 1"),
        ({"query": "a", "positive": "b", "label": False}, "label False, which says that this is not a pair"),
        ({"query": "a", "response": "b", "label": 0.8}, "label 0.8; expected 1, a pair; .* kind: graded"),
        ({"query": "a", "positive": "b", "label": "contradiction"}, "label contradiction; expected 1"),
        ({"sentence1": "a", "sentence2": "b", "score": 0.1}, "score beside sentence1 and sentence2"),
        ({"query": "a", "positive": "b", "neg": ["c"], "negatives": ["d"]}, "both negatives and neg; expected one"),
        ({"anchor": "a", "query": "b", "positive": "c"}, "both query and anchor"),
        ({"messages": [], "response": "b"}, "messages with 0 entries"),
    ],
)
def test_no_pair_is_ever_a_positive(row, message, tmp_path):
    path = write(tmp_path / "a.jsonl", {"query": "q", "positive": "p"}, row)
    with pytest.raises(InputError, match=rf"a.jsonl:2: {message}"):
        list(read_records(path))
    bad = BadRows("skip")
    assert [record.query for record in read_records(path, bad=bad)] == ["q"]
    assert bad.num_skipped == 1
