"""Runs in stages: each starts from the last one's model, none is done twice, and a kill changes nothing."""

import json
import os
import random
import signal

import pytest
import torch
from safetensors.torch import load_file

from slimvec.errors import InputError, TrainingError
from slimvec.files import atomic_folder
from slimvec.model.folder import load_model, save_model
from slimvec.model.manifest import read_manifest
from slimvec.training.recipe.reading import parse_recipe, recipe_yaml
from slimvec.training.run import training_run as run_module
from slimvec.training.run.training_run import TrainingRecord, train
from tests import tiny
from tests.training import support
from tests.training.test_run import train_killed

RECIPE = """\
base: {source: in-memory}
tuning: {rank: 4, alpha: 8}
loss: {temperature: 0.1}
optim: {lr: 0.01}
batch: {pairs: 6, max_query_tokens: 120, max_document_tokens: 120, micro_batch_tokens: 256, graph_tokens: 0}
run: {steps: 4, seed: 3, dtype: fp32, checkpoint_steps: 1}
validation: {count: 4, every_steps: 2}
stages:
  - name: weak
    data: [{path: weak.jsonl}]
    batch: {negatives: 0}
  - name: supervised
    data: [{path: mined.jsonl}]
    model: {attention: bidirectional}
    loss: {focal: 0.5}
    run: {epochs: 1}
  - name: distilled
    data: [{path: scored.jsonl}]
    tuning: {method: full}
    optim: {lr: 0.001}
    loss: {distill: {teacher: records}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A base, and data for the three stages."""
    folder = tmp_path_factory.mktemp("stages")
    save_model(tiny.embedding_model(), folder / "base")
    records = support.records()
    rows = [{"query": r.query, "positives": r.positives, "negatives": [*r.negatives, "not so"]} for r in records]
    write(folder / "weak.jsonl", [{"query": row["query"], "positives": row["positives"]} for row in rows])
    write(folder / "mined.jsonl", rows)
    write(folder / "scored.jsonl", [row | {"scores": [0.9] + [0.2] * len(row["negatives"])} for row in rows])
    return folder


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def recipe(folder):
    def make(*overrides):
        return parse_recipe(RECIPE, overrides=[f"base.source={folder / 'base'}", f"data_root={folder}", *overrides])

    return make


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """The weights of a run that nothing disturbs."""
    output = tmp_path_factory.mktemp("whole") / "out"
    train(recipe(), output)
    return weights(output)


def test_three_stages_in_one_run(tmp_path, recipe, folder):
    events = []
    result = train(recipe(), tmp_path / "out", on_step=[events.append])
    assert result.finished
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert [(event.stage, event.step) for event in events] == [
        *(("weak", step) for step in (1, 2, 3, 4)),
        *(("supervised", step) for step in (1, 2, 3, 4)),
        *(("distilled", step) for step in (1, 2, 3, 4)),
    ]
    assert result.progress.step == 12
    assert result.progress.tokens == sum(event.tokens for event in events)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert [(line["stage"], line["step"]) for line in steps] == [(event.stage, event.step) for event in events]
    assert [line["step"] for line in lines if "measures" in line] == [0, 2, 4] * 3
    made = load_model(tmp_path / "out")
    assert made.spec.attention == "bidirectional"
    assert read_manifest(tmp_path / "out").base.source == str(folder / "base")
    record = TrainingRecord.model_validate(made.training_record)
    assert [(stage.name, stage.num_held_out) for stage in record.stages] == [
        ("weak", 4), ("supervised", 4), ("distilled", 4),
    ]  # fmt: skip
    assert [source.path for source in record.data] == [
        str(folder / name) for name in ("weak.jsonl", "mined.jsonl", "scored.jsonl")
    ]
    assert record.stages[2].recipe.tuning.method == "full"
    assert record.stages[0].progress.first_score is not None


def test_a_stage_starts_from_the_last_ones_model(tmp_path, recipe):
    settings = recipe("stages.1.run={steps: 1}", "stages.1.optim={lr: 1.0e-7}", "stages.1.model=null")
    two = settings.model_copy(update={"stages": settings.stages[:2]})
    one = settings.model_copy(update={"stages": settings.stages[:1]})
    train(two, tmp_path / "two")
    train(one, tmp_path / "one")
    texts = [record.query for record in support.records()]
    vectors = []
    for name in ("one", "two"):
        made = load_model(tmp_path / name)
        with torch.inference_mode():
            vectors.append(made(made.tokenizer.tokenize(texts).pack()))
    torch.testing.assert_close(vectors[0], vectors[1], rtol=1e-4, atol=1e-5)


def test_stages_train_one_adapter_which_is_saved_alone(tmp_path, recipe, folder):
    settings = recipe("tuning.merge=false", "stages.2.tuning={}", "stages.1.optim={lr: 1.0e-7}", "stages.1.model=null")
    two = settings.model_copy(update={"stages": settings.stages[:2]})
    one = settings.model_copy(update={"stages": settings.stages[:1]})
    train(two, tmp_path / "two")
    train(one, tmp_path / "one")
    adapters = [load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two")]
    assert adapters[0].keys() == adapters[1].keys()
    for name, tensor in adapters[0].items():  # the second stage hardly moved what the first one left
        torch.testing.assert_close(adapters[1][name], tensor, rtol=1e-4, atol=1e-5)
    assert any(not adapters[1][name].equal(tensor) for name, tensor in adapters[0].items())
    assert read_manifest(tmp_path / "two").base.source == str(folder / "base")


HEAD = "model.head=[{kind: dense, in_dims: 32, out_dims: 8, bias: false, activation: Identity}]"


@pytest.mark.parametrize("trained", [True, False])
def test_a_head_is_trained_beside_the_adapter_or_stays(tmp_path, recipe, trained):
    settings = recipe(
        "tuning.merge=false",
        "stages.2.tuning={}",
        HEAD,
        "stages.1.model=null",
        f"stages.1.tuning={{train_head: {trained}}}",
    )
    for count, name in ((1, "one"), (2, "two")):
        train(settings.model_copy(update={"stages": settings.stages[:count]}), tmp_path / name)
    heads = [load_model(tmp_path / name).head.state_dict() for name in ("one", "two")]
    assert heads[0]
    assert all(heads[1][key].equal(value) for key, value in heads[0].items()) is not trained


def test_finished_stages_are_not_done_again_and_another_recipe_is_refused(tmp_path, recipe, whole):
    def interrupt(event):
        if (event.stage, event.step) == ("supervised", 2):
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(recipe(), tmp_path / "out", on_step=[interrupt])
    assert (stopped.finished, stopped.progress.step) == (False, 6)
    workspace = tmp_path / "out.training"
    assert sorted(path.name for path in (workspace / "stages").iterdir()) == ["01-weak", "02-supervised.training"]
    with pytest.raises(TrainingError, match=r"stage weak in .*01-weak is of another recipe; expected the same; resume"):
        train(recipe("stages.0.optim.lr=0.5"), tmp_path / "out", resume=True)
    with pytest.raises(TrainingError, match="are of a run with another recipe or other data"):
        train(recipe("stages.1.optim.lr=0.5"), tmp_path / "out", resume=True)
    events = []
    train(recipe("stages.0.run.keep=5"), tmp_path / "out", resume=True, on_step=[events.append])
    assert [(event.stage, event.step) for event in events][:3] == [
        ("supervised", 3),
        ("supervised", 4),
        ("distilled", 1),
    ]
    assert weights(tmp_path / "out") == whole


def test_killed_between_two_stages(tmp_path, recipe, monkeypatch, whole):
    """The model of a stage is there and its checkpoints too: they are of a stage that is over, and do not count."""

    class KilledError(Exception):
        pass

    def keep_and_die(place, outcome):
        save_model(outcome.model, place.folder, training=outcome.record.model_dump(mode="json"))
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "keep_stage", keep_and_die)
        with pytest.raises(KilledError):
            train(recipe(), tmp_path / "out")
    events = []
    train(recipe(), tmp_path / "out", resume=True, on_step=[events.append])
    assert events[0].stage == "supervised"
    assert weights(tmp_path / "out") == whole


def test_killed_in_two_stages_and_resumed_ends_bit_by_bit_as_if_not(tmp_path, recipe, stage, whole):
    settings = recipe()
    (tmp_path / "r.yaml").write_text(recipe_yaml(settings))
    dice = random.Random(0)
    for name in ("supervised", "distilled"):
        train_killed(stage, tmp_path, name, dice.randint(1, 3), dice.uniform(0, 0.05))
    train(settings, tmp_path / "out", resume=True)
    assert weights(tmp_path / "out") == whole


def test_missing_data_of_a_later_stage_is_told_before_the_first_begins(tmp_path, recipe):
    with pytest.raises(InputError, match=r"gone.jsonl does not exist; expected a file"):
        train(recipe("stages.2.data=[{path: gone.jsonl}]"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_stage(tmp_path, recipe):
    with atomic_folder(tmp_path / "out.training" / "stages" / "01-weak") as building:
        save_model(tiny.embedding_model(), building, force=True, training={"no": "record"})
    with pytest.raises(TrainingError, match=r"01-weak is not a model of a stage; start over with --force"):
        train(recipe(), tmp_path / "out", resume=True)
