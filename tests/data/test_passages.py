import json

import pytest

from slimvec.data.bad_rows import BadRows
from slimvec.data.readers import read_passages, read_records
from slimvec.data.records import Record, parse_record, record_row
from slimvec.errors import InputError
from tests.data.test_records_and_readers import write

PASSAGES = {"a": "first", "b": "second", "7": "third"}


def test_ids_become_the_texts_of_the_passages(tmp_path):
    rows = [{"id": "a", "text": "first"}, {"id": "b", "text": "of two", "title": "Second"}, {"id": 7, "text": "third"}]
    passages = write(tmp_path / "passages.jsonl", *map(json.dumps, rows))
    assert read_passages(passages) == {"a": "first", "b": "Second of two", "7": "third"}
    lines = [
        {"query": "q", "positive_id": "a", "negative_ids": ["b", 7, "b"], "lang": "en"},
        {"query": "r", "positive_ids": ["b", "a"], "negative_id": 7},
        {"query": "s", "positive": "written out", "negative_ids": ["a"]},
    ]
    path = write(tmp_path / "qa.jsonl", *map(json.dumps, lines))
    expected = [
        Record("q", ("first",), ("Second of two", "third"), language="en", source="qa"),
        Record("r", ("Second of two", "first"), ("third",), source="qa", titles=("Second",)),
        Record("s", ("written out",), ("first",), source="qa"),
    ]
    assert list(read_records(path, passages=passages)) == expected
    assert list(read_records(path, passages=read_passages(passages))) == expected
    assert parse_record(record_row(expected[1])) == expected[1]
    own = {"query": "q", "positive_id": "b", "title": "Another"}
    assert parse_record(own, passages=read_passages(passages)).titles == ("Another",)


@pytest.mark.parametrize(
    ("row", "passages", "message"),
    [
        ({"query": "q", "positive_id": "a"}, None, "positive_id without passages; expected the file that holds their"),
        ({"query": "q", "positive_id": "x"}, PASSAGES, "positive_id 'x' is not among the passages; expected an id"),
        ({"query": "q", "positive_ids": 1.5}, PASSAGES, "positives is a float .*expected an id or a list of ids"),
        ({"query": "q", "positive_id": "a", "positive": "p"}, PASSAGES, "both positive and positive_id"),
        ({"query": "q", "positive_id": "a", "negative_ids": ["a"]}, PASSAGES, "'first' is a positive and a negative"),
    ],
)
def test_wrong_ids_are_named(row, passages, message):
    with pytest.raises(InputError, match=message):
        parse_record(row, passages=passages)


def test_an_unknown_id_can_be_skipped_but_missing_passages_cannot(tmp_path):
    lines = ['{"query": "q", "positive_id": "a"}', '{"query": "q", "positive_id": "x"}']
    path = write(tmp_path / "qa.jsonl", *lines)
    bad = BadRows("skip")
    assert len(list(read_records(path, passages=PASSAGES, bad=bad))) == 1
    assert bad.kinds == {"passages": 1}
    with pytest.raises(InputError, match=r"qa.jsonl:1: positive_id without passages"):
        list(read_records(path, bad=BadRows("skip")))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (['{"text": "t"}'], "p.jsonl:1: no id"),
        (['{"id": "a", "text": ""}'], "p.jsonl:1: text is empty"),
        (['{"id": 1, "text": "t"}', '{"id": "1", "text": "t"}'], "p.jsonl:2: id 1 occurs a second time"),
    ],
)
def test_wrong_passages_are_named(rows, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_passages(write(tmp_path / "p.jsonl", *rows))


def test_a_record_survives_its_row():
    full = Record("q", ("p", "o"), ("n",), (1.0, 0.5, 0.25), task="t", language="bo", source="s", group="g")
    assert parse_record(record_row(full)) == full
    assert record_row(Record("q", ("p",))) == {"query": "q", "positives": ["p"]}
