"""`slimvec synthesize` with a model of this machine; with a server it is in tests/data."""

import json
from pathlib import Path

import pytest

from slimvec.model.generation import Generated, LocalGenerator
from tests import tiny

ARGUMENTS = ("--kind", "sts", "--language", "en", "--num", "2", "--output", "out.jsonl")


@pytest.fixture
def writer(tmp_path):
    tiny.save_causal_model(tmp_path / "lm", max_position_embeddings=4096)
    return "lm"


def test_a_model_that_cannot_write_is_given_up_with_a_count(slimvec, writer):
    arguments = ("synthesize", "--local", writer, "--max-new-tokens", "3", *ARGUMENTS)
    outcome = slimvec(*arguments, "--quiet")
    assert outcome.code == 2
    assert outcome.error == (
        "error: 8 samples gave 0 of 2 records (refused: json 16); expected a model that can write them; try a stronger "
        "model, or fewer kinds and languages"
    )
    assert not Path("out.jsonl").exists()
    kept = sorted(Path("out.jsonl.answers").rglob("*.json"))
    assert len(kept) == 16
    times = [path.stat().st_mtime_ns for path in kept]
    assert slimvec(*arguments, "--quiet").error == outcome.error
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_what_a_local_model_writes_becomes_records(slimvec, writer, monkeypatch):
    def answer(_, messages, *, seed, temperature):
        assert messages[0]["content"].startswith("You are ")
        texts = [f"the {noun} of day {seed} at {temperature}" for noun in ("first bell", "second moon", "third river")]
        return Generated(json.dumps(dict(zip(("query", "positive", "negative"), texts, strict=True))), 100, 10)

    monkeypatch.setattr(LocalGenerator, "answer", answer)
    report = slimvec("synthesize", "--local", writer, *ARGUMENTS, "--temperature", "0.5", "--json", "--quiet").json
    assert (report["num_records"], report["num_requests"], report["refused"]) == (2, 2, {})
    assert (report["tokens_in"], report["tokens_out"], report["cost"]) == (200, 20, 0.0)
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["query"] for row in rows] == ["the first bell of day 0 at 0.5", "the first bell of day 2 at 0.5"]
    assert json.loads(Path("out.jsonl.report.json").read_text())["model"] == "lm"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "neither --endpoint nor --local; expected one of them"),
        (("--endpoint", "http://x", "--local", "m"), "both --endpoint and --local; expected one of them"),
        (("--endpoint", "http://x"), "--endpoint without --model; expected both, or --local M alone"),
        (("--local", "m", "--model", "m"), "--model without --endpoint; expected both, or --local M alone"),
    ],
)
def test_one_model_is_named(slimvec, arguments, message):
    assert slimvec("synthesize", *arguments, "--output", "out.jsonl").error == f"error: {message}"
