import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimvec.data.bad_rows import BadRows
from slimvec.data.readers import read_records
from slimvec.errors import InputError
from tests.data.test_records_and_readers import write

GOOD = '{"query": "q", "positive": "p"}'
BAD = {
    "{": "json",
    "[1]": "json",
    "": "json",
    '{"query": "q"}': "fields",
    '{"query": 1, "positive": "p"}': "fields",
    '{"query": " ", "positive": "p"}': "text",
    '{"query": "q", "positive": "p", "negatives": ["p", "p"]}': "negatives",
    '{"query": "q", "positive": "p", "scores": [1, 2]}': "scores",
    '{"query": "\\ud800", "positive": "p"}': "encoding",
    b'{"query": "\xff", "positive": "p"}': "encoding",
}


@pytest.mark.parametrize(("line", "kind"), BAD.items())
def test_a_bad_row_is_an_error_or_a_counted_skip(line, kind, tmp_path):
    path = write(tmp_path / "bad.jsonl", GOOD, line, GOOD)
    with pytest.raises(InputError, match=r"bad.jsonl:2"):
        list(read_records(path, bad=BadRows()))
    bad = BadRows("skip")
    assert len(list(read_records(path, bad=bad))) == 2
    report = bad.report()
    assert (report.num_skipped, report.kinds) == (1, {kind: 1})
    assert report.examples[0].startswith(f"{path}:2: ")
    assert bad.summary() == f"1 bad rows left out ({kind} 1); the first: {report.examples[0]}"


def test_every_row_is_either_given_or_counted(tmp_path):
    path = write(tmp_path / "bad.jsonl", GOOD, *BAD, GOOD, *list(BAD) * 2)
    bad = BadRows("skip")
    assert len(list(read_records(path, bad=bad))) == 2
    assert bad.num_skipped == 3 * len(BAD)
    assert len(bad.report().examples) == 20


def test_a_file_that_breaks_off_gives_what_comes_before_and_is_counted(tmp_path):
    rows = [json.dumps({"query": f"question {number} {number**7}", "positive": "p"}) for number in range(3000)]
    whole = gzip.compress("\n".join(rows).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    bad = BadRows("skip")
    assert 0 < len(list(read_records(tmp_path / "cut.jsonl.gz", bad=bad))) < 3000
    assert bad.kinds == {"file": 1}
    for name in ("no.jsonl.gz", "no.parquet"):
        (tmp_path / name).write_bytes(b"neither of the two")
        bad = BadRows("skip")
        assert list(read_records(tmp_path / name, bad=bad)) == []
        assert bad.kinds == {"file": 1}


def test_an_empty_source_is_an_error_or_counted(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputError, match=r"empty.jsonl has no rows; expected at least one record"):
        list(read_records(tmp_path / "empty.jsonl"))
    bad = BadRows("skip")
    assert list(read_records(tmp_path / "empty.jsonl", bad=bad)) == []
    assert bad.kinds == {"empty": 1}


def test_a_source_without_a_good_row_is_an_error_even_when_bad_rows_are_skipped(tmp_path):
    path = write(tmp_path / "other.jsonl", '{"title": "q", "body": "a"}', "{")
    with pytest.raises(InputError, match=r"not one of the 2 rows of .*other.jsonl is good; the last: .*:2: no JSON"):
        list(read_records(path, bad=BadRows("skip")))
    with pytest.raises(InputError, match=r"missing.jsonl does not exist"):
        list(read_records(tmp_path / "missing.jsonl", bad=BadRows("skip")))


def test_a_parquet_text_that_is_no_utf8_is_one_bad_row(tmp_path):
    def column(values):
        return pa.array(values, pa.binary()).view(pa.string())

    table = pa.table({"query": column([b"a", b"\xff", b"c"]), "positive": column([b"p", b"p", b"p"])})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a.parquet row 2: a text is no UTF-8"):
        list(read_records(tmp_path / "a.parquet"))
    bad = BadRows("skip")
    assert [record.query for record in read_records(tmp_path / "a.parquet", bad=bad)] == ["a", "c"]
    assert bad.kinds == {"encoding": 1}


def test_an_unknown_policy():
    with pytest.raises(InputError, match=r"policy 'ignore' for bad rows; expected error or skip"):
        BadRows("ignore")
