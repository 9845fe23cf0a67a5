import json

import pytest

from slimvec.data.readers import read_records

ENGLISH = "The museum opens at nine and is closed on Mondays."
GERMAN = "Das Museum öffnet um neun und ist montags geschlossen."
RUN = " ".join(f"word{number}" for number in range(14))


def write(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path):
    return write(
        tmp_path / "pairs.jsonl",
        {"query": "when does it open", "positive": ENGLISH, "lang": "en"},
        {"query": "When does  it open", "positive": ENGLISH, "lang": "en"},
        {"query": "what", "positive": "…", "lang": "en"},
        {"query": "wann ist es offen", "positive": GERMAN, "lang": "en"},
        {"query": "what runs", "positive": f"see {RUN}", "lang": "en"},
    )


def queries(path):
    return [record.query for record in read_records(path)]


def test_cleaning_a_file(slimvec, data, tmp_path):
    done = slimvec("clean", data, "-o", "out.jsonl.gz", "--json")
    assert done.json == {
        "output": "out.jsonl.gz",
        "report": "out.jsonl.gz.report.json",
        "num_records": 5,
        "num_written": 3,
        "num_merged": 0,
        "dropped": {"exact_duplicate": 1, "empty": 1},
        "num_contaminated": None,
        "num_skipped": 0,
    }
    assert queries(tmp_path / "out.jsonl.gz") == ["when does it open", "wann ist es offen", "what runs"]
    report = json.loads((tmp_path / "out.jsonl.gz.report.json").read_text(encoding="utf-8"))
    assert report["cleaning"]["sources"][0]["source"] == "pairs"
    assert report["settings"]["near_duplicates"] == 0.9


def test_rules_can_be_set(slimvec, data, tmp_path):
    done = slimvec("clean", data, "-o", "out.jsonl", "--set", "language.check=drop", "--set", "exact_duplicates=no",
                   "--set", "near_duplicates=null", "--json")  # fmt: skip
    assert done.json["dropped"] == {"empty": 1, "language": 1}
    assert queries(tmp_path / "out.jsonl")[:2] == ["when does it open", "When does  it open"]


def test_records_that_evaluation_data_has_are_left_out_or_reported(slimvec, data, tmp_path):
    evaluation = write(
        tmp_path / "test.jsonl", {"text": f"{RUN} and a tail of other words that make it long {'x ' * 20}"}
    )
    done = slimvec("clean", data, "-o", "a.jsonl", "--against", evaluation, "--json")
    assert (done.json["num_contaminated"], done.json["num_written"]) == (1, 2)
    assert "what runs" not in queries(tmp_path / "a.jsonl")
    done = slimvec("clean", data, "-o", "b.jsonl", "--against", evaluation, "--keep-contaminated", "--json")
    assert (done.json["num_contaminated"], done.json["num_written"]) == (1, 3)
    done = slimvec("clean", data, "-o", "c.jsonl", "--against", evaluation, "--run-words", "15", "--json")
    assert done.json["num_contaminated"] == 0
    shown = slimvec("clean", data, "-o", "d.jsonl", "--against", evaluation)
    assert "texts" in shown.out
    assert "d.jsonl: 2 of 5 records; d.jsonl.report.json: the report" in shown.out


def test_bad_rows_are_an_error_or_counted(slimvec, data, only):
    with data.open("a", encoding="utf-8") as file:
        file.write("{\n")
    assert "pairs.jsonl:6: no JSON" in slimvec("clean", data, "-o", "out.jsonl").err
    only("pairs.jsonl")
    done = slimvec("clean", data, "-o", "out.jsonl", "--on-bad", "skip", "--json")
    assert done.json["num_skipped"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "near_duplicates"], "setting 'near_duplicates'; expected key=value, as in near_duplicates=0.8"),
        (["--set", "min_letters=2"], "setting min_letters: expected less than or equal to 1; the rules are"),
        (["--set", "letters=2"], "setting letters: Extra inputs are not permitted; the rules are min_query_chars"),
        (["--set", "copies=[", "-q"], "the value of setting 'copies=[' is not valid YAML"),
        (["--set", "copies=1", "--set", "copies.a.b=1", "-q"], "setting 'copies.a.b=1'; expected key=value"),
        (["--set", "min_query_chars=99"], "none of the 5 records is left; expected at least one; loosen the rules"),
        (["--against", "none"], "none does not exist"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(slimvec, data, only, options, message):
    done = slimvec("clean", data, "-o", "out.jsonl", "-q", *options)
    assert done.code == 2
    assert message in done.error
    only("pairs.jsonl")
