"""What a run computes in is settled when it begins, stored with it, and kept when it is resumed."""

import json
import os
import signal

import pytest
import torch

from slimvec.model.folder import save_model
from slimvec.model.manifest import read_manifest
from slimvec.training.recipe.reading import parse_recipe, read_recipe
from slimvec.training.run.training_run import train
from slimvec.training.step import dtypes
from tests import tiny
from tests.training import support

AUTO = support.RECIPE.replace(", dtype: fp32", "")


@pytest.fixture
def recipe(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    rows = ({"query": r.query, "positives": r.positives} for r in support.records())
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return parse_recipe(AUTO, overrides=[f"base.source={tmp_path / 'base'}", f"data.0.path={tmp_path / 'pairs.jsonl'}"])


def machine(monkeypatch, dtype):
    monkeypatch.setattr(dtypes, "compute_dtype", lambda: dtype)


def test_a_recipe_computes_in_what_the_machine_does(monkeypatch):
    run = parse_recipe(AUTO).run
    assert run.dtype == "auto"
    for dtype, name in [(torch.bfloat16, "bf16"), (torch.float32, "fp32")]:
        machine(monkeypatch, dtype)
        assert dtypes.run_dtype(run) == dtype
        assert dtypes.settled(parse_recipe(AUTO)).run.dtype == name
        assert dtypes.run_dtype(support.recipe("run.dtype=bf16").run) == torch.bfloat16


def test_stages_are_settled_alike_and_their_own_choice_is_theirs(monkeypatch):
    machine(monkeypatch, torch.bfloat16)
    stages = "stages=[{name: a}, {name: b, run: {dtype: auto, steps: 2}}, {name: c, run: {dtype: fp32}}]"
    found = dtypes.settled(parse_recipe(AUTO, overrides=[stages]))
    assert [stage.recipe.run.dtype for stage in found.stage_recipes()] == ["bf16", "bf16", "fp32"]
    assert [stage.recipe.run.steps for stage in found.stage_recipes()] == [6, 2, 6]


def test_a_resumed_run_keeps_its_dtype_on_another_machine(tmp_path, recipe, monkeypatch):
    def interrupt(event):
        if event.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    machine(monkeypatch, torch.bfloat16)
    assert not train(recipe, tmp_path / "out", on_step=[interrupt]).finished
    machine(monkeypatch, torch.float32)
    result = train(recipe, tmp_path / "out", resume=True)
    assert result.progress.step == 6
    assert read_recipe(tmp_path / "out" / "recipe.yaml").run.dtype == "bf16"
    manifest = read_manifest(tmp_path / "out")
    assert manifest.training["recipe"]["run"]["dtype"] == "bf16"
    assert [stage["recipe"]["run"]["dtype"] for stage in manifest.training["stages"]] == ["bf16"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_new_run_on_the_other_machine_settles_anew(tmp_path, recipe, monkeypatch):
    machine(monkeypatch, torch.float32)
    train(recipe.model_copy(update={"run": recipe.run.model_copy(update={"steps": 1})}), tmp_path / "out")
    assert read_recipe(tmp_path / "out" / "recipe.yaml").run.dtype == "fp32"


def test_a_dtype_that_was_asked_for_is_told_where_it_is_slow(monkeypatch):
    machine(monkeypatch, torch.float32)
    monkeypatch.setattr(dtypes, "slowness", lambda dtype: "slow" if dtype == torch.bfloat16 else "")
    assert dtypes.run_slowness(support.recipe("run.dtype=bf16")) == "slow"
    assert dtypes.run_slowness(support.recipe()) == dtypes.run_slowness(parse_recipe(AUTO)) == ""
    stages = "stages=[{name: a}, {name: b, run: {dtype: bf16}}]"
    assert dtypes.run_slowness(support.recipe(stages)) == "slow"
