import json
from pathlib import Path

import pytest

from slimvec.cli.filter import KEYS
from slimvec.data.readers import read_records


@pytest.fixture
def pairs(tmp_path):
    """Forty pairs that share a word, and two that do not belong together."""
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"query": f"word{n} there", "positive": f"here is word{n}", "source": "good", "lang": "en"} for n in range(40)
    ]
    rows += [{"query": f"word{n} again", "positive": f"nothing about {n + 7}", "source": "bad"} for n in range(2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_pairs_that_belong_together_are_kept(slimvec, pairs, only):
    result = slimvec("filter", pairs, "-o", "f.jsonl", "--bm25", "-k", 3, "--dropped", "d.jsonl", "--json").json
    assert set(result) == set(KEYS)
    only("pairs.jsonl", "f.jsonl", "d.jsonl", "f.jsonl.report.json")
    assert (result["num_records"], result["num_kept"], result["num_dropped"], result["self_test"]) == (42, 40, 2, None)
    assert [record.source for record in read_records("d.jsonl")] == ["bad", "bad"]
    assert [line["k"] for line in result["at"]] == [1, 3, 5, 10, 20, 50, 100]
    assert [line["dropped"]["count"] for line in result["at"]] == [2, 2, 2, 2, 2, 0, 0]
    report = json.loads(Path("f.jsonl.report.json").read_text())
    assert report["by_source"]["bad"] == {
        "num_records": 2,
        "dropped": dict.fromkeys(["1", "3", "5", "10", "20"], 2) | {"50": 0, "100": 0},
    }
    assert report["by_language"]["en"]["num_records"] == 40
    assert report["by_language"][""]["num_records"] == 2
    again = slimvec("filter", "f.jsonl", "-o", "g.jsonl", "--bm25", "-k", 3, "--json").json
    assert (again["num_kept"], again["num_dropped"]) == (40, 0)


def test_the_self_test_for_people(slimvec, pairs):
    outcome = slimvec("filter", pairs, "-o", "f.jsonl", "--bm25", "-k", 5, "--self-test", "--plant", 0.5)
    assert outcome.code == 0, outcome.err
    lines = [line.split() for line in outcome.out.splitlines()]
    assert outcome.out.startswith("40 of 42 records kept at k = 5, 42 texts searched\n")
    assert "wrong pairs caught" in outcome.out
    assert ["5", "2", "4.8%", "100.0%", "[84.5%,", "100.0%]"] in [line[:6] for line in lines]
    assert "k = 5 of only 42 texts says little; a larger --corpus or a smaller k says more" in outcome.err


def test_a_model_filters_too(slimvec, model, pairs):
    result = slimvec("filter", pairs, "-o", "f.jsonl", "-m", model, "-k", 50, "--self-test", "--json").json
    assert (result["num_kept"], result["num_candidates"]) == (42, 42)
    assert result["self_test"]["num_planted"] == 4
    assert list(read_records("f.jsonl")) == list(read_records(pairs))


def test_nothing_left(slimvec, tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"query": "red sky", "positive": "blue"}\n{"query": "green", "positive": "red"}\n'
    )
    outcome = slimvec("filter", "a.jsonl", "-o", "f.jsonl", "--bm25", "-k", 1)
    assert outcome.code == 0
    assert "no record was kept" in outcome.err
    assert outcome.out.startswith("0 of 2 records kept")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: neither --model nor --bm25; expected one of them"),
        (["--bm25", "-k", 0], "error: Invalid value for '--k' / '-k': Input should be greater than or equal to 1"),
        (
            ["--bm25", "--dropped", "d.csv"],
            "error: output d.csv is of an unknown kind; expected a name ending in .jsonl",
        ),
        (["--bm25", "--dropped", "pairs.jsonl"], "error: output pairs.jsonl exists; expected a new path; pass --force"),
        (["--bm25", "hf:nowhere:a:b:c"], "error: hub dataset 'hf:nowhere:a:b:c'; expected hf:owner/name[@revision]"),
    ],
)
def test_wrong_use(arguments, message, slimvec, pairs, only):
    outcome = slimvec("filter", pairs.name, "-o", "f.jsonl", *arguments)
    assert outcome.code == 2
    assert outcome.error.startswith(message)
    only("pairs.jsonl")
