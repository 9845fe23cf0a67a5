import json
import os
import shlex
import signal

import pytest

from slimvec.cli.train import KEYS
from slimvec.engine.embedder import Embedder

WORDS = ("file", "list", "time", "number", "folder", "error", "socket", "tree", "colour", "letter", "page", "house")
RECIPE = """\
base:
  source: {model}
data:
  - path: pairs.jsonl
tuning: {{rank: 2, alpha: 4}}
batch: {{pairs: 4, max_query_tokens: 200, max_document_tokens: 200}}
model: {{max_tokens: 200}}
run: {{steps: 3, dtype: fp32}}
"""


@pytest.fixture
def recipe(tmp_path, model):
    rows = [{"query": f"a {word}", "positive": f"about the {word}"} for word in WORDS]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(model=json.dumps(str(model))), encoding="utf-8")
    return path


def test_a_model_comes_out_that_other_commands_take(slimvec, recipe, texts):
    result = slimvec("train", recipe, "--output", "out", "--json").json
    assert set(result) == set(KEYS)
    assert (result["output"], result["steps"]) == ("out", 3)
    assert result["num_trained"] > 0
    assert result["first_loss"] != result["last_loss"]
    assert Embedder.load("out").dims == 32
    assert slimvec("search", "files", "-m", "out", "-d", texts, "--json").json["num_documents"] == 4


def test_overrides_win_over_the_recipe(slimvec, recipe):
    assert slimvec("train", recipe, "run.steps=1", "optim.lr=0.01", "-o", "out", "--json").json["steps"] == 1


def test_people_are_told_what_came_out(slimvec, recipe):
    outcome = slimvec("train", recipe, "run.steps=1", "-o", "out")
    assert outcome.out.startswith("1 steps, ")
    assert outcome.out.splitlines()[1:] == [
        "4.0 pairs a step of 4 asked, 3.0 negatives a pair",
        "out: the model, its recipe and metrics.jsonl",
    ]
    assert outcome.err == ""


def test_a_dtype_that_is_slow_here_is_trained_in_and_told_with_its_factor(slimvec, recipe, monkeypatch):
    monkeypatch.setattr(
        "slimvec.training.step.dtypes.slowness", lambda dtype: "52 times as long" if dtype.itemsize == 2 else ""
    )
    outcome = slimvec("train", recipe, "run.steps=1", "run.dtype=bf16", "-o", "out")
    assert (outcome.code, outcome.err) == (0, "52 times as long\n")


def stop_after_first_step(monkeypatch):
    from slimvec.cli import training

    step = training._Follower.step

    def stopping(self, event):
        step(self, event)
        if event.step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training._Follower, "step", stopping)


def test_ctrl_c_saves_and_says_how_to_go_on(slimvec, recipe, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after_first_step(patch)
        outcome = slimvec("train", recipe, "run.seed=7", "-o", "out dir", "--json")
    command = f"slimvec train {recipe} run.seed=7 --output 'out dir' --resume"
    assert outcome.stopped == f"stopped after step 1; it is saved; go on with: {command}"
    result = slimvec(*shlex.split(command)[1:], "--json").json
    assert result["steps"] == 3
    assert Embedder.load("out dir").dims == 32


def test_a_stopped_run_is_not_overwritten_by_chance(slimvec, recipe, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after_first_step(patch)
        slimvec("train", recipe, "-o", "out")
    outcome = slimvec("train", recipe, "-o", "out")
    assert outcome.code == 2
    assert outcome.error.endswith("go on with --resume, or start over with --force")


BAD_RECIPES = {
    "unknown key": (["optim.rate=1"], "override 'optim.rate=1': unknown key 'optim.rate'; expected one of lr, warmup"),
    "contradiction": (["run.epochs=2"], "steps and epochs are all given"),
    "bad value": (["optim.lr=fast"], "override 'optim.lr=fast': optim.lr is 'fast'; expected a valid number"),
    "no override": (["nonsense"], "override 'nonsense'; expected section.key=value"),
    "missing data": (["data.0.path=gone.jsonl"], "gone.jsonl does not exist; expected a file; check the path"),
    "unknown base": (["base.source=/no/where"], "/no/where"),
    "mrl dims": (["loss.mrl_dims=[64]"], "mrl_dims go up to 64, and the model has 32 dims"),
    "attention": (["model.attention=bidirectional"], "was trained with causal attention"),
}


@pytest.mark.parametrize("case", BAD_RECIPES)
def test_bad_recipes_are_told_in_one_line(case, slimvec, recipe, only):
    overrides, message = BAD_RECIPES[case]
    outcome = slimvec("train", recipe, *overrides, "-o", "out", "--json")
    assert outcome.code == 2
    assert message in outcome.error
    only("recipe.yaml", "pairs.jsonl")


def test_a_bad_record_is_named_with_its_line(slimvec, recipe, tmp_path, only):
    with (tmp_path / "pairs.jsonl").open("a") as file:
        file.write('{"query": "x", "positive": ""}\n')
    outcome = slimvec("train", recipe, "-o", "out")
    assert outcome.code == 2
    assert outcome.error == "error: pairs.jsonl:13: positive is empty; expected some text; leave it out"
    only("recipe.yaml", "pairs.jsonl")


def test_an_existing_output_needs_force(slimvec, recipe, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    outcome = slimvec("train", recipe, "-o", "out")
    assert (outcome.code, outcome.error) == (
        2,
        "error: output out exists; expected a new path; pass --force to replace it",
    )
    assert (tmp_path / "out" / "mine").is_file()
    assert slimvec("train", recipe, "run.steps=1", "-o", "out", "--force").code == 0
    assert not (tmp_path / "out" / "mine").exists()
