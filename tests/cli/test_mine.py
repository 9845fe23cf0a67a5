import gzip
import json
from pathlib import Path

import pytest

from slimvec.cli.mine import KEYS
from slimvec.data.readers import read_records
from slimvec.data.records import Record
from slimvec.engine.embedder import Embedder

NOUNS = ("door", "tree", "boat", "lamp", "rope", "wall", "cup", "sail")


@pytest.fixture
def pairs(tmp_path):
    """Sixteen records; each noun is asked for twice with different answers."""
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"query": f"where is the {noun}", "positive": f"the {noun} is in room {number}", "lang": "en", "license": "x"}
        for noun in NOUNS
        for number in range(2)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_negatives_of_a_model(slimvec, model, pairs, only):
    arguments = ("mine", pairs, "-o", "out/m.jsonl.gz", "-m", model, "-n", 3, "--relative-margin", 0)
    result = slimvec(*arguments, "--json").json
    assert set(result) == set(KEYS)
    assert (result["num_records"], result["num_candidates"], result["num_short"], result["num_skipped"]) == (
        16,
        16,
        0,
        0,
    )
    assert (result["first_rank"], result["last_rank"], result["num_negatives"]) == (3, 6, 48)
    only("pairs.jsonl", "out/m.jsonl.gz", "out/m.jsonl.gz.report.json")
    records = list(read_records("out/m.jsonl.gz"))
    embedder = Embedder.load(model)
    for record, before in zip(records, read_records(pairs), strict=True):
        assert (record.query, record.positives, record.language) == (before.query, before.positives, "en")
        noun = record.query.split()[-1]
        assert len(record.negatives) == 3
        assert not any(noun in text for text in record.negatives)
        texts = [*record.positives, *record.negatives]
        cosines = embedder.similarity(embedder.embed_queries([record.query]), embedder.embed_documents(texts))[0]
        assert record.scores == pytest.approx(cosines.tolist(), abs=1e-4)
    report = json.loads(Path("out/m.jsonl.gz.report.json").read_text())
    assert report["scorer"]["sha256"] == result["scorer"]["sha256"]
    assert report["settings"]["relative_margin"] is None
    assert report["bad_rows"] == {"num_skipped": 0, "kinds": {}, "examples": []}
    again = slimvec("mine", pairs, "-o", "again.jsonl", "-m", model, "-n", 3, "--relative-margin", 0)
    assert again.code == 0, again.err
    assert Path("again.jsonl").read_bytes() == gzip.decompress(Path("out/m.jsonl.gz").read_bytes())


def test_negatives_of_bm25_from_a_corpus_for_people(slimvec, pairs):
    Path("corpus.txt").write_text("".join(f"a {noun} of wood\nthe {noun} again\n" for noun in NOUNS), encoding="utf-8")
    outcome = slimvec(
        "mine",
        pairs,
        "-o",
        "m.jsonl",
        "--bm25",
        "--corpus",
        "corpus.txt",
        "-n",
        2,
        "--first-rank",
        1,
        "--relative-margin",
        0,
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines() == [
        "16 records, 16 texts searched, ranks 1 to 4: 32 negatives",
        "m.jsonl: 16 records with negatives; m.jsonl.report.json: the report",
    ]
    for record in read_records("m.jsonl"):
        noun = record.query.split()[-1]
        assert sorted(record.negatives) == [f"a {noun} of wood", f"the {noun} again"]
    report = json.loads(Path("m.jsonl.report.json").read_text())
    assert (report["dropped"], report["num_missing"], report["num_known"]) == ({}, 32, 0)


def test_bad_rows_stop_the_run_or_are_counted(slimvec, pairs):
    pairs.write_text(pairs.read_text() + '{"query": "no answer"}\n{\n', encoding="utf-8")
    outcome = slimvec("mine", pairs, "-o", "m.jsonl", "--bm25")
    assert outcome.code == 2
    assert outcome.error.startswith(f"error: {pairs}:17: no field positive or positives; expected one of them")
    outcome = slimvec("mine", pairs, "-o", "m.jsonl", "--bm25", "--on-bad", "skip")
    assert outcome.code == 0
    assert f"2 bad rows left out (fields 1, json 1); the first: {pairs}:17: no field" in outcome.err
    assert json.loads(Path("m.jsonl.report.json").read_text())["bad_rows"]["kinds"] == {"fields": 1, "json": 1}
    assert (
        slimvec("mine", pairs, "-o", "m.jsonl", "--bm25", "--on-bad", "skip", "--force", "--json").json["num_skipped"]
        == 2
    )


def test_several_files_share_what_is_known(slimvec, tmp_path):
    rows = {"a": ("red", "red apple"), "b": ("red", "red brick"), "c": ("blue", "blue red sky")}
    for name, (query, positive) in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"query": query, "positive": positive}) + "\n")
    assert slimvec("mine", "a.jsonl", "b.jsonl", "c.jsonl", "-o", "m.jsonl", "--bm25", "--first-rank", 1).code == 0
    made = list(read_records("m.jsonl"))
    assert [record.source for record in made] == ["a", "b", "c"]
    assert [record.negatives for record in made] == [("blue red sky",), ("blue red sky",), ()]


def test_records_that_hold_ids(slimvec, tmp_path):
    (tmp_path / "p.jsonl").write_text("".join(f'{{"id": "p{n}", "text": "red {n}{n}"}}\n' for n in range(3)))
    (tmp_path / "q.jsonl").write_text('{"query": "red 11", "positive_id": "p1", "negative_ids": ["p0", "p2"]}\n')
    arguments = ("mine", "q.jsonl", "-o", "m.jsonl", "--bm25", "--first-rank", 1)
    assert slimvec(*arguments).error == (
        "error: q.jsonl:1: positive_id without passages; expected the file that holds their texts; name it as passages"
    )
    assert slimvec(*arguments, "--passages", "p.jsonl").code == 0
    (made,) = read_records("m.jsonl")
    assert made == Record("red 11", ("red 11",), ("red 00", "red 22"), made.scores, source="q")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: neither --model nor --bm25; expected one of them"),
        (["--bm25", "-m", "x"], "error: both --model and --bm25; expected one of them"),
        (["--bm25", "-o", "m.csv"], "error: output m.csv is of an unknown kind; expected a name ending in .jsonl or "),
        (["--bm25", "--report", "pairs.jsonl"], "error: output pairs.jsonl exists; expected a new path; pass --force"),
        (["--bm25", "--first-rank", 9, "--last-rank", 3], "error: first rank 9 is after last rank 3"),
        (["--bm25", "--first-rank", 50], "error: ranks from 50 in a corpus of 16 texts; expected ranks that it has"),
        (["--bm25", "--passages", "no.jsonl"], "error: no.jsonl does not exist; expected a file; check the path"),
        (["--bm25", "--corpus", "no.txt"], "error: no.txt does not exist; expected a file; check the path"),
        (["--bm25", "other.jsonl"], "error: other.jsonl does not exist; expected a file; check the path"),
    ],
)
def test_wrong_use(arguments, message, slimvec, pairs, only):
    outcome = slimvec("mine", pairs.name, "-o", "m.jsonl", *arguments)
    assert outcome.code == 2
    assert outcome.error.startswith(message)
    only("pairs.jsonl")


def test_a_run_goes_on_with_what_is_in_its_work_folder(slimvec, model, pairs):
    arguments = ("mine", pairs, "-m", model, "--work", "w")
    assert slimvec(*arguments, "-o", "a.jsonl").code == 0
    assert slimvec(*arguments, "-o", "b.jsonl", "--json").json["resumed"]
    assert slimvec(*arguments, "-o", "c.jsonl", "--dims", 4).error.startswith(
        "error: work folder w belongs to a run with another model; expected the same data and model; pass --restart"
    )
    assert not slimvec(*arguments, "-o", "c.jsonl", "--dims", 4, "--restart", "--json").json["resumed"]


def test_ctrl_c_says_how_to_go_on(slimvec, pairs, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("slimvec.data.mining.run.find_best", interrupted)
    outcome = slimvec("mine", pairs, "-o", "m.jsonl", "--bm25")
    assert (outcome.code, outcome.error) == (130, "interrupted; run the same command again to go on from m.jsonl.work")
    monkeypatch.undo()
    assert slimvec("mine", pairs, "-o", pairs.parent / "m.jsonl", "--bm25", "--json").json["resumed"]
