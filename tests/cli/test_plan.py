"""`slimvec plan`: what a recipe needs, for people and for machines."""

import json

import pytest

from slimvec.model.folder import save_model
from tests import tiny

RECIPE = """\
base: {source: base}
data: [{path: none.jsonl}]
batch: {pairs: 8, negatives: 0, max_query_tokens: 20, max_document_tokens: 30}
tuning: {rank: 2, alpha: 4}
run: {steps: 1, dtype: fp32}
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(tiny.embedding_model(), tmp_path / "base")
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path / "r.yaml"


def test_a_plan_for_people(slimvec, recipe):
    outcome = slimvec("plan", recipe, "--memory", "64GB")
    assert outcome.code == 0
    assert "a step: at most 400 tokens, " in outcome.out
    assert "the recipe fits 64.00 GB; batch.micro_batch_tokens=16384 batch.graph_tokens=" in outcome.out
    outcome = slimvec("plan", recipe, "--memory", "1MB")
    assert "1.0 MB are not enough for any piece; try batch.gradient_checkpointing=true" in outcome.out


def test_what_no_number_holds_is_said(slimvec, recipe):
    given = ("loss.distill={teacher: a/b, kind: mse}", "batch.negatives=1")
    line = (
        "not counted: a projection to the width of a/b, which is not at hand, if it needs one; memory and time of a/b"
    )
    assert line in slimvec("plan", recipe, *given).out
    assert "not counted" not in slimvec("plan", recipe).out


def write_pairs(path, num_answers, **more):
    """Write 16 pairs; each answer comes 16 / num_answers times."""
    rows = [{"query": f"q {n}", "positive": f"a {n % num_answers}", "lr": 1, **more} for n in range(16)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_pairs_negatives_and_columns_not_read_are_those_of_the_run(slimvec, recipe, tmp_path):
    write_pairs(tmp_path / "none.jsonl", 4, hard="x")
    line = "4.0 pairs a step of 8 asked, 3.0 negatives a pair"
    unread = "none.jsonl: columns not read: lr, hard\n"
    for command in (("plan",), ("train", "--dry-run"), ("train", "-o", "out")):
        outcome = slimvec(command[0], recipe, "batch.max_query_tokens=150", *command[1:])
        assert (outcome.code, outcome.err) == (0, unread)
        assert line in outcome.out
    (stage,) = slimvec("plan", recipe, "--json", "--quiet").json["stages"]
    assert (stage["filling"]["pairs"], stage["filling"]["negatives"]) == (4.0, 3.0)
    assert stage["sources"] == [
        {"path": "none.jsonl", "present": True, "num_records": 16, "unread": ["lr", "hard"]},
    ]


def test_queries_and_targets_of_a_step_are_said(slimvec, recipe, tmp_path):
    write_pairs(tmp_path / "none.jsonl", 16, title="T")
    rows = [{"text": f"plain {n}"} for n in range(4)]
    (tmp_path / "plain.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    overrides = (
        "objective={kind: ngrams, queries: 6, targets: 2, tokens: 7}",
        "data=[{path: none.jsonl}, {path: plain.jsonl}]",
        "batch={max_query_tokens: 40}",
        "run={epochs: 2, dtype: fp32}",
    )
    line = "6.7 queries a step, 13.3 targets of up to 7 tokens; 4 of 20 records are plain texts; 16 of 20 records have"
    for options in ((), ("--dry-run",)):
        outcome = slimvec("train" if options else "plan", recipe, *overrides, *options)
        assert outcome.code == 0, outcome.err
        assert f"{line} titles" in outcome.out
        assert outcome.err == "none.jsonl: columns not read: lr\n"
        assert ("ngrams, lora, the base's attention, 6 steps" in outcome.out) == bool(options)
    (stage,) = slimvec("plan", recipe, *overrides, "--memory", "64GB", "--json", "--quiet").json["stages"]
    assert (stage["filling"]["steps"], stage["filling"]["targets"]) == (3, 40 / 3)
    assert stage["tokens_per_step"] == 6 * 2 * 47
    assert stage["keeps_graph"]
    assert stage["graph_tokens"] is None
    assert stage["bytes"]["scores"]


@pytest.mark.parametrize("command", [["plan"], ["train", "--dry-run"], ["train", "-o", "out"]])
def test_steps_that_teach_nothing_are_refused(command, slimvec, recipe, tmp_path):
    write_pairs(tmp_path / "none.jsonl", 1)
    outcome = slimvec(command[0], recipe, 'model.prompts={query: ""}', *command[1:])
    assert outcome.code == 2
    assert outcome.error.startswith("error: 16 of 16 batches hold pairs without any negative, whose loss is 0")


def test_columns_that_class_examples_and_graded_pairs_have_no_use_for(slimvec, recipe, tmp_path):
    rows = [{"text": f"t {n}", "label": n % 3, "neg": "x", "id": n} for n in range(12)]
    (tmp_path / "classes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = slimvec("plan", recipe, "data.0.path=classes.jsonl", "data.0.kind=classes")
    assert (outcome.code, outcome.err) == (0, "classes.jsonl: columns not read: neg\n")
    rows = [{"s1": f"t {n}", "s2": f"u {n}", "score": n % 5, "genre": "news"} for n in range(12)]
    (tmp_path / "graded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = slimvec("plan", recipe, "data.0.path=graded.jsonl", "data.0.kind=graded", "loss.graded={}")
    assert (outcome.code, outcome.err) == (0, "graded.jsonl: columns not read: genre\n")


def test_a_config_that_is_no_folder_is_not_passed_over(slimvec, recipe):
    outcome = slimvec("plan", recipe, "--config", "r.yaml")
    assert outcome.code == 2
    assert outcome.error == "error: r.yaml is not a folder; expected a folder with a config.json"


def test_a_size_that_is_none(slimvec, recipe):
    outcome = slimvec("plan", recipe, "--memory", "much")
    assert (outcome.code, outcome.error) == (2, "error: memory 'much'; expected a size such as 24GB or 16GiB")
