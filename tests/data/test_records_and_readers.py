import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.readers import read_records
from slimvec.data.records import Record, parse_record, record_row
from slimvec.data.texts import read_items, read_texts
from slimvec.errors import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)


def write(path, *lines):
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
    return path


def as_row(record):
    return {
        "query": record.query,
        "positives": list(record.positives),
        "negatives": list(record.negatives),
        "titles": list(record.titles),
        "task": record.task,
        "lang": record.language,
        "source": record.source,
    }


@st.composite
def records(draw):
    texts = draw(st.lists(TEXT, min_size=2, max_size=6, unique=True))
    cut = draw(st.integers(1, len(texts)))
    return Record(
        draw(TEXT),
        tuple(texts[:cut]),
        tuple(texts[cut:]),
        task=draw(st.none() | TEXT),
        language=draw(st.none() | st.sampled_from(["en", "bo"])),
        source=draw(st.sampled_from(["here", "there"])),
        titles=tuple(draw(st.lists(TEXT, max_size=2, unique=True))),
    )


@given(st.lists(records(), min_size=1, max_size=5))
def test_records_survive_every_format(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("records")
    lines = [json.dumps(as_row(record), ensure_ascii=False).encode() for record in made]
    write(folder / "a.jsonl", *lines)
    with gzip.open(folder / "a.jsonl.gz", "wb") as file:
        file.write(b"\n".join(lines))
    schema = pa.schema(
        [
            ("query", pa.string()),
            ("positives", pa.list_(pa.string())),
            ("negatives", pa.list_(pa.string())),
            ("titles", pa.list_(pa.string())),
            ("task", pa.string()),
            ("lang", pa.string()),
            ("source", pa.string()),
        ]
    )
    pq.write_table(pa.Table.from_pylist([as_row(record) for record in made], schema=schema), folder / "a.parquet")
    for name in ("a.jsonl", "a.jsonl.gz", "a.parquet"):
        assert list(read_records(folder / name)) == made


def test_pairs_and_triplets_of_the_common_forms():
    assert parse_record({"query": "q", "positive": "p", "lang": "bo", "id": 7}, source="s") == Record(
        "q", ("p",), language="bo", source="s"
    )
    assert parse_record({"query": "q", "positive": "p", "negatives": ["n", "m", "n"]}).negatives == ("n", "m")
    assert parse_record({"query": "q", "positive": "p", "negative": "n"}).negatives == ("n",)
    assert parse_record({"query": "q", "positives": ["p"], "negatives": ["n"], "scores": [1, 0.5]}).scores == (1, 0.5)


@pytest.mark.parametrize(
    ("given", "titles"),
    [({"title": "T"}, ("T",)), ({"titles": ["T", "", "U", None, "T"]}, ("T", "U")), ({"title": " "}, ()), ({}, ())],
)
def test_titles_are_read_and_empty_ones_left_out(given, titles):
    record = parse_record({"query": "q", "positive": "p", **given})
    assert record.titles == titles
    assert parse_record(record_row(record)) == record


def test_a_negative_that_is_a_positive_is_left_out_unless_none_would_be_left():
    assert parse_record({"query": "q", "positive": "p", "negatives": ["p", "n"]}).negatives == ("n",)
    with pytest.raises(InputError, match="'p' is a positive and a negative; expected one of the two"):
        parse_record({"query": "q", "positive": "p", "negatives": ["p"]})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no field query; expected query and positive; the row has no fields"),
        ({"query": "q", "text": "t"}, "no field positive or positives; expected one of them; the row has query, text"),
        ({"query": " ", "positive": "p"}, "query is empty; expected some text; leave it out"),
        ({"query": 3, "positive": "p"}, r"query is a int \(3\); expected a string"),
        (
            {"query": "q", "positive": "p", "scores": [10**400]},
            r"scores is \[10+\.\.\.; expected a list of finite numbers",
        ),
        ({"query": "q", "positive": ""}, "positive is empty"),
        ({"query": "q", "positives": []}, "no positive; expected at least one"),
        ({"query": "q", "positives": 1.5}, r"positives is a float \(1.5\); expected a text or a list of texts"),
        ({"query": "q", "positive": "p", "positives": ["p"]}, "both positive and positives; expected one of them"),
        ({"query": "q", "positive": "p", "negatives": [None]}, r"negative is a NoneType \(None\); expected a string"),
        ({"query": "q", "positive": "p", "scores": ["x"]}, r"scores is \['x'\]; expected a list of finite numbers"),
        ({"query": "q", "positive": "p", "scores": [1, 2]}, "2 scores; expected one for each of the 1 texts, or none"),
        ({"query": "q", "positive": "p", "scores": [float("nan")]}, "expected a list of finite numbers"),
        ({"query": "q\ud800", "positive": "p"}, r"query has half a surrogate pair, \\ud800"),
    ],
)
def test_wrong_rows_are_named(row, message):
    with pytest.raises(InputError, match=message):
        parse_record(row)


def test_a_malformed_line_is_named_with_its_number(tmp_path):
    good = '{"query": "q", "positive": "p"}'
    cases = {
        "{": "no JSON",
        "[1]": "a JSON list; expected a JSON object in every line",
        "": "an empty line; expected a JSON object in every line; remove it",
        '{"query": "q"}': "no field positive or positives",
        b'{"query": "\xff", "positive": "p"}': "byte 12 is 0xff, which is no UTF-8",
    }
    for line, message in cases.items():
        path = write(tmp_path / "bad.jsonl", good, line)
        reader = read_records(path)
        assert next(reader).query == "q"
        with pytest.raises(InputError) as caught:
            next(reader)
        assert f"bad.jsonl:2: {message}" in str(caught.value)


def test_source_is_the_file_or_the_folder_of_a_file_called_train(tmp_path):
    (tmp_path / "wiki").mkdir()
    line = '{"query": "q", "positive": "p"}'
    assert next(read_records(write(tmp_path / "wiki" / "train.jsonl", line))).source == "wiki"
    assert next(read_records(write(tmp_path / "faq.jsonl", line))).source == "faq"
    assert next(read_records(tmp_path / "faq.jsonl", source="mine")).source == "mine"


def test_files_that_cannot_be_read(tmp_path):
    whole = gzip.compress(b'{"query": "q", "positive": "p"}\n' * 1000)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-20])
    (tmp_path / "no.jsonl.gz").write_bytes(b"not gzip at all")
    (tmp_path / "no.parquet").write_bytes(b"not parquet at all")
    write(tmp_path / "a.csv", "a,b")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    cases = {
        "cut.jsonl.gz": "expected a whole gzip file",
        "no.jsonl.gz": "no.jsonl.gz cannot be read after line 0",
        "no.parquet": "no.parquet cannot be read after row 0",
        "a.csv": "a.csv is of an unknown kind; expected a name ending in .jsonl, .jsonl.gz, .parquet",
        "empty.jsonl": "empty.jsonl has no rows; expected at least one record",
        "missing.jsonl": "missing.jsonl does not exist; expected a file; check the path",
        ".": "is a folder; expected a file",
        "loop.jsonl": "loop.jsonl is a link that leads to no file; expected a file; check where it leads",
        "/dev/null": "/dev/null is a device or a pipe; expected a file, which can be read twice; write one first",
    }
    for name, message in cases.items():
        with pytest.raises(InputError) as caught:
            list(read_records(tmp_path / name))
        assert message in str(caught.value)


def test_a_pipe_behind_a_link_is_called_a_pipe():
    reading, writing = os.pipe()  # as the shell gives <(command), and /dev/stdin
    try:
        with pytest.raises(InputError, match="is a device or a pipe; expected a file, which can be read twice"):
            list(read_texts(f"/dev/fd/{reading}"))
    finally:
        os.close(reading)
        os.close(writing)


def test_a_title_goes_before_its_text_when_asked(tmp_path):
    rows = [{"title": "T", "text": "one"}, {"title": "U", "text": ""}, {"text": "three"}]
    write(tmp_path / "a.jsonl", *map(json.dumps, rows))
    assert [item.text for item in read_items(tmp_path / "a.jsonl", joined=True)] == ["T one", "U", "three"]
    with pytest.raises(InputError, match=r"a.jsonl:2: text is empty"):
        list(read_items(tmp_path / "a.jsonl"))


LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff"), min_size=1).filter(str.strip)


@given(st.lists(LINE, min_size=1, max_size=5))
def test_texts_survive_every_format(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("texts")
    write(folder / "a.txt", *texts)
    write(folder / "a.jsonl", *(json.dumps({"body": text}) for text in texts))
    pq.write_table(pa.table({"id": list(range(len(texts))), "body": texts}), folder / "a.parquet")
    assert list(read_texts(folder / "a.txt")) == texts
    assert list(read_texts(folder / "a.jsonl", field="body")) == texts
    assert list(read_texts(folder / "a.parquet", field="body")) == texts


def test_texts_from_windows(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert list(read_texts(tmp_path / "a.txt")) == ["one", "two"]


def test_texts_that_are_missing_or_empty_are_named(tmp_path):
    pq.write_table(pa.table({"body": ["a", None]}), tmp_path / "a.parquet")
    write(tmp_path / "a.jsonl", '{"text": "a"}', '{"body": "b"}')
    write(tmp_path / "a.txt", "a", " ", "b")
    (tmp_path / "empty.txt").touch()
    cases = [
        ("a.txt", "text", "a.txt:2: the line is empty; expected some text"),
        ("a.jsonl", "text", "a.jsonl:2: no field 'text'; expected the text there; name its field, one of body"),
        ("a.parquet", "text", "a.parquet row 1: no field 'text'; expected the text there; name its field, one of body"),
        ("a.parquet", "body", "a.parquet row 2: body is a NoneType (None); expected a string"),
        ("empty.txt", "text", "empty.txt has no texts; expected at least one"),
        ("a.csv", "text", "a.csv does not exist"),
    ]
    for name, field, message in cases:
        with pytest.raises(InputError) as caught:
            list(read_texts(tmp_path / name, field=field))
        assert message in str(caught.value)
