"""Whole runs from a recipe to a folder, the interrupted and the killed among them."""

import hashlib
import json
import os
import random
import shutil
import signal
import threading
import time

import pytest
import torch

from slimvec.errors import InputError, ModelError
from slimvec.model.folder import load_model, save_model
from slimvec.model.manifest import read_manifest
from slimvec.text.prompts import Prompts
from slimvec.training.recipe.reading import read_recipe, recipe_yaml
from slimvec.training.run.training_run import train
from tests import tiny
from tests.forking import Child
from tests.training import support


def vectors(folder):
    made = load_model(folder)
    with torch.inference_mode():
        return made(made.tokenizer.tokenize([r.query for r in support.records()]).pack())


@pytest.mark.parametrize("tuning", ["{rank: 4, merge: true}", "{rank: 4, merge: false}", "{method: full}"])
def test_the_folder_holds_model_recipe_data_and_metrics(tmp_path, base, pairs, recipe, tuning):
    settings = recipe(f"tuning={tuning}", "loss.mrl_dims=[32, 16]")
    losses = []
    result = train(settings, tmp_path / "out", on_step=[lambda event: losses.append(event.loss)])
    assert result.finished
    assert result.progress.step == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert read_recipe(tmp_path / "out" / "recipe.yaml") == settings
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == losses
    made = load_model(tmp_path / "out")
    assert made.spec.trained_dims == (32, 16)
    (data,) = made.training_record["data"]
    assert (data["path"], data["sha256"]) == (str(pairs), hashlib.sha256(pairs.read_bytes()).hexdigest())
    assert (data["num_records"], data["num_used"]) == (24, 24)
    assert float((vectors(tmp_path / "out") - vectors(base)).abs().max()) > 0.01


def test_a_base_without_prompts_gets_instructed_queries_and_others_keep_theirs(tmp_path, recipe):
    for name, prompts, wanted in (("a", {}, "Instruct"), ("b", {"query": "ask: "}, "ask: ")):
        save_model(tiny.embedding_model(prompts=prompts), tmp_path / name)
        train(recipe(f"base.source={tmp_path / name}", "run.steps=1"), tmp_path / f"{name}-out")
        assert load_model(tmp_path / f"{name}-out").spec.prompts.query.startswith(wanted)


def test_a_model_trained_without_prompts_keeps_none(tmp_path, recipe):
    train(recipe('model={prompts: {query: ""}}', "run.steps=1"), tmp_path / "bare")
    train(recipe(f"base.source={tmp_path / 'bare'}", "run.steps=1"), tmp_path / "on")
    assert load_model(tmp_path / "on").spec.prompts == Prompts()


def test_training_goes_on_from_a_trained_adapter(tmp_path, recipe):
    train(recipe("tuning.merge=false"), tmp_path / "first")
    train(recipe(f"base.source={tmp_path / 'first'}", "run.steps=1", "optim.lr=1e-9"), tmp_path / "second")
    torch.testing.assert_close(vectors(tmp_path / "second"), vectors(tmp_path / "first"), rtol=1e-4, atol=1e-5)


def test_an_adapter_is_trained_on_as_an_adapter_of_its_own_base(tmp_path, recipe, base):
    train(recipe("tuning.merge=false"), tmp_path / "first")
    begun = recipe(f"base.source={tmp_path / 'first'}", "tuning.merge=false", "run.steps=1", "optim.lr=1e-9")
    train(begun, tmp_path / "second")
    torch.testing.assert_close(vectors(tmp_path / "second"), vectors(tmp_path / "first"), rtol=1e-4, atol=1e-5)
    train(recipe(f"base.source={tmp_path / 'second'}", "tuning.merge=false"), tmp_path / "third")
    shutil.rmtree(tmp_path / "first")
    shutil.rmtree(tmp_path / "second")
    assert read_manifest(tmp_path / "third").base.source == str(base)
    assert float((vectors(tmp_path / "third") - vectors(base)).abs().max()) > 0.01


def test_an_adapter_is_trained_on_in_one_that_is_as_large_or_larger(tmp_path, recipe):
    train(recipe("tuning.merge=false", "run.steps=1"), tmp_path / "first")
    base = f"base.source={tmp_path / 'first'}"
    for wrong, found in (("rank=3", "rank 3"), ("first_layer=1", "rank 0")):
        message = rf"{found} for .*layers\.0\..*, which has an adapter of rank 4; expected at least as much"
        with pytest.raises(ModelError, match=message):
            train(recipe(base, "tuning.merge=false", f"tuning.{wrong}"), tmp_path / "second")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first"]
    larger = ("tuning.rank=6", "tuning.alpha=3", "tuning.embedding_rank=3", "tuning.dropout=0.1")
    train(recipe(base, "tuning.merge=false", "run.steps=1", "optim.lr=1e-9", *larger), tmp_path / "second")
    torch.testing.assert_close(vectors(tmp_path / "second"), vectors(tmp_path / "first"), rtol=1e-4, atol=1e-5)


def test_output_that_exists(tmp_path, recipe):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"output .*out exists; expected a new path; pass --force"):
        train(recipe(), tmp_path / "out")
    assert train(recipe("run.steps=1"), tmp_path / "out", force=True).finished


def test_a_limit_takes_some_records_the_same_ones_each_time(tmp_path, recipe):
    settings = recipe("data.0.limit=8", "run.steps=1")
    for name in ("a", "b"):
        train(settings, tmp_path / name)
    records = [load_model(tmp_path / name).training_record for name in ("a", "b")]
    assert records[0]["data"][0]["num_used"] == 8
    assert torch.equal(vectors(tmp_path / "a"), vectors(tmp_path / "b"))


def test_widths_above_the_base(tmp_path, recipe):
    with pytest.raises(InputError, match=r"mrl_dims go up to 64, and the model has 32 dims; lower loss\.mrl_dims"):
        train(recipe("loss.mrl_dims=[64]"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_waits_for_resume_or_force(tmp_path, recipe):
    def interrupt(event):
        if event.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(recipe(), tmp_path / "out", on_step=[interrupt])
    assert not stopped.finished
    assert stopped.checkpoint.is_dir()
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"out\.training holds a run that was stopped; .*--resume, .*--force"):
        train(recipe(), tmp_path / "out")
    events = []
    assert train(recipe(), tmp_path / "out", resume=True, on_step=[events.append]).progress.step == 6
    assert [event.step for event in events] == [3, 4, 5, 6]
    train(recipe(), tmp_path / "whole")
    assert torch.equal(vectors(tmp_path / "out"), vectors(tmp_path / "whole"))


@pytest.mark.parametrize("tuning", ["{rank: 4, dropout: 0.1}", "{method: full}"])
def test_killed_at_any_moment_and_resumed_ends_bit_by_bit_as_if_not(tmp_path, recipe, stage, tuning):
    overrides = (f"tuning={tuning}", "run.steps=8", "run.checkpoint_steps=1", "batch.graph_tokens=0")
    (tmp_path / "r.yaml").write_text(recipe_yaml(recipe(*overrides)))
    dice = random.Random(tuning)
    train_killed(stage, tmp_path, "", dice.randint(2, 4), dice.uniform(0, 0.05))
    for name in ("out", "whole"):
        code, _ = Child(stage, tmp_path, "train", "r.yaml", "-o", name, "--resume").wait()
        assert code == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "whole")]
    assert weights[0] == weights[1]


def train_killed(stage, folder, name, step, seconds):
    """Train `r.yaml` into `out` in a process, killed so long after a step of a stage is written down."""

    def is_there():
        metrics = folder / "out.training/metrics.jsonl"
        lines = metrics.read_text().splitlines(keepends=True) if metrics.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return any(event["stage"] == name and event["step"] >= step for event in events if "loss" in event)

    child = Child(stage, folder, "train", "r.yaml", "-o", "out", "--resume")
    child.wait_until(is_there)
    time.sleep(seconds)
    child.kill()
    assert not (folder / "out").exists()


def test_a_second_training_into_the_same_output_is_refused_while_the_first_works(tmp_path, recipe):
    settings, seen = recipe(), []

    def second(event):
        if event.step == 2:
            thread = threading.Thread(target=attempt)
            thread.start()
            thread.join()

    def attempt():
        for resume in (False, True):
            with pytest.raises(
                InputError, match=rf"another process writes .*out: process {os.getpid()} on .*, since 20"
            ):
                train(settings, tmp_path / "out", resume=resume)
            seen.append(resume)

    assert train(settings, tmp_path / "out", on_step=[second]).finished
    assert seen == [False, True]


def test_a_run_that_failed_in_its_first_step_needs_no_force(tmp_path, recipe):
    def fail(_):
        raise RuntimeError("in the first step")

    with pytest.raises(RuntimeError, match="in the first step"):
        train(recipe(), tmp_path / "out", on_step=[fail])
    assert (tmp_path / "out.training").is_dir()
    assert train(recipe("optim.lr=0.002"), tmp_path / "out").finished
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
