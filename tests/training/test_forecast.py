"""Forecasts: counts that are those of the real model, and costs that follow the settings."""

import numpy as np
import pytest
import torch

from slimvec.errors import InputError
from slimvec.model.adapters import add_lora
from slimvec.model.folder import save_model
from slimvec.model.shapes import count_weights, read_shape
from slimvec.model.spec import DenseLayer, LoraSettings
from slimvec.training.run import forecast as forecasting
from slimvec.training.run.forecast import forecast, measure_layer, tokens_per_step
from slimvec.training.run.kinds import KINDS, StageInput
from slimvec.training.run.parameters import count_trained, uncounted
from slimvec.training.run.preparation import prepare_model
from slimvec.training.step.events import Audience
from tests import tiny
from tests.training import support

SHAPE = {
    "model_type": "llama",
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_counts_are_those_of_the_real_model(architecture):
    made = tiny.backbone(architecture)
    counts = count_weights(made.config.to_dict())
    assert counts.total == sum(p.numel() for p in made.parameters())
    matrices = [m.weight for m in made.modules() if isinstance(m, torch.nn.Linear)]
    assert counts.linear == sum(m.numel() for m in matrices)
    add_lora(made, LoraSettings(rank=3, alpha=6))
    assert 3 * counts.sides == sum(p.numel() for n, p in made.named_parameters() if "lora_" in n)


HEAD = "model.head=[{kind: dense, in_dims: 32, out_dims: 8, bias: false, activation: Identity}, {kind: normalize}]"
LINEAR = "model.head=[{kind: dense, in_dims: 32, out_dims: 8, bias: false, activation: Identity}]"
TARGETS = "objective={kind: text-vectors, teachers: [TEACHER], axes: own, field: body}"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A base of 32 dims, and a model of 12 that has a head."""
    folder = tmp_path_factory.mktemp("models")
    save_model(tiny.embedding_model("gemma3_text"), folder / "base")
    save_model(tiny.embedding_model(head=(DenseLayer(in_dims=32, out_dims=12),)), folder / "teacher")
    return folder


@pytest.mark.parametrize(
    ("overrides", "extra"),
    [
        (["tuning.first_layer=1"], 0),
        (["tuning={embedding_rank: 5, first_layer: 1}"], 0),
        ([HEAD], 8 * 32),
        ([HEAD, "tuning.train_head=false"], 0),
        ([HEAD, "tuning={method: full}"], 8 * 32),
        (["objective={kind: anchor}"], 32 * 32),
        ([HEAD, "objective={kind: anchor}"], 8 * 32 + 32 * 8),
        ([HEAD, "objective={kind: ngrams}"], 0),
        ([HEAD, "adaptation={objective: next-token}", "tuning={method: full}"], 0),
        (["loss.distill={teacher: TEACHER, kind: mse}"], 12 * 32),
        (["loss.distill={teacher: TEACHER, kind: mse}", "model.dims=12"], 0),
        (["loss.distill={teacher: TEACHER, kind: kl}"], 0),
        ([LINEAR, TARGETS], 8 * 32 + 12 * 8),
        ([LINEAR, TARGETS, "objective.head_texts=12"], 12 * 8),
        ([LINEAR, TARGETS, "objective.axes=principal", "objective.head_texts=12", "tuning={method: full}"], 0),
    ],
)
def test_what_is_trained_is_what_a_run_trains(overrides, extra, models):
    given = [override.replace("TEACHER", str(models / "teacher")) for override in overrides]
    settings = support.recipe(f"base.source={models / 'base'}", *given)
    model = prepare_model(settings, before=None, records=(), notice=None, rehearse=lambda _: None)
    stage = StageInput(
        model,
        support.records(),
        np.zeros(24, np.int64),
        settings,
        Audience(),
        lambda _: support.LetterTeacher(),
    )
    work = KINDS[settings.kind](stage)
    own = [p for _, p in work.trainable.named_parameters() if p.requires_grad]
    trained = [*own, *(p for _, p in work.extra_parameters)]
    config = read_shape(str(models / "base"))
    counts = count_weights(config, first_layer=settings.tuning.first_layer)
    found = count_trained(settings, config, counts)
    assert found.total == sum(p.numel() for p in trained)
    assert found.head + found.objective == extra


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["loss.distill={teacher: x/y, kind: mse}"], "a projection to the width of x/y, which is not at hand, if it"),
        (["loss.distill={teacher: x/y, kind: mse, projection: true}"], "a projection to the width of x/y, which is n"),
        (["loss.distill={teacher: x/y, kind: mse, projection: false}"], "memory and time of x/y, asked in every step"),
        (["loss.distill={teacher: x/y, kind: kl}"], "memory and time of x/y, asked in every step, beside the model"),
        ([TARGETS.replace("TEACHER", "x/y, z")], "a projection to the width of x/y and z, which is not at hand, if it"),
        (["objective={kind: text-vectors, teachers: [x/y]}"], "memory and time of x/y, asked for the vectors of all t"),
    ],
)
def test_what_hangs_on_a_teacher_that_is_not_here_is_said_and_not_counted(overrides, said):
    settings = support.recipe(*overrides)
    assert count_trained(settings, SHAPE, count_weights(SHAPE)).objective == 0
    assert uncounted(settings, SHAPE)[0].startswith(said)


def test_a_teacher_that_is_here_is_counted(models):
    settings = support.recipe(f"loss.distill={{teacher: {models / 'teacher'}, kind: mse}}")
    assert [text.partition(" of ")[0] for text in uncounted(settings, SHAPE)] == ["memory and time"]
    assert uncounted(support.recipe(), SHAPE) == ()


def test_a_head_that_is_not_the_embedding_lies_in_memory():
    for overrides, tied, size in (
        (["objective={kind: ngrams}"], False, 4 * 1000 * 64),
        (["objective={kind: ngrams}"], True, 0),
        ([], False, 0),
        (["objective={kind: next-phrase, lm_weight: 0.1}"], False, 4 * 1000 * 64),
        (["objective={kind: next-phrase}"], False, 0),
    ):
        settings = support.recipe("run.dtype=fp32", *overrides)
        assert forecast(settings, {**SHAPE, "tie_word_embeddings": tied}).bytes["lm_head"] == size


def test_the_head_of_a_base_counts_where_all_is_trained(models):
    config = read_shape(str(models / "teacher"))
    for overrides, head in (("tuning={method: full}", 12 * 33), ("tuning={rank: 2}", 0)):
        settings = support.recipe(f"base.source={models / 'teacher'}", overrides)
        assert count_trained(settings, config, count_weights(config)).head == head


def test_known_shapes_are_the_published_ones():
    assert count_weights(read_shape("Qwen/Qwen2-0.5B")).total == 494_032_768
    assert count_weights(read_shape("gemma3-270m")).total == 268_098_176


def test_a_shape_from_a_folder_and_one_that_nobody_knows(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    assert read_shape(str(tmp_path / "base"))["hidden_size"] == 32
    assert read_shape("some/unknown", config=tmp_path / "base")["hidden_size"] == 32
    with pytest.raises(InputError, match="the shape of some/unknown is not known: it is not on this machine"):
        read_shape("some/unknown")


@pytest.mark.parametrize(("two", "expected"), [(0.5, 0.3), (0.2, 0.1), (0.1, 0.05)])
def test_a_layer_takes_time_even_where_two_seemed_as_fast_as_one(two, expected, monkeypatch):
    monkeypatch.setattr(forecasting, "_measure_sample", lambda *given: (given[2], 0.2 if given[2] == 1 else two))
    assert measure_layer(support.recipe(), SHAPE).seconds == pytest.approx(expected)


def test_a_layer_costs_what_its_width_says():
    settings = support.recipe("tuning={method: full}")
    narrow, wide = (measure_layer(settings, {**SHAPE, "intermediate_size": width}) for width in (96, 192))
    # A gated product keeps its two halves, the activation, their product and the input of the last matrix.
    assert 3 * 4 * 96 <= wide.kept_bytes - narrow.kept_bytes <= 6 * 4 * 96
    checkpointed = measure_layer(support.recipe("tuning={method: full}", "batch.gradient_checkpointing=true"), SHAPE)
    assert checkpointed.kept_bytes == pytest.approx(4 * 64, rel=0.05)
    assert checkpointed.layer_bytes == pytest.approx(narrow.kept_bytes, rel=0.05)


def test_a_forecast_adds_up_and_proposes_what_fits():
    settings = support.recipe("run.dtype=bf16", "tuning={method: full}", "batch.pairs=64", "batch.negatives=1")
    found = forecast(settings, SHAPE)
    trained = found.num_parameters
    assert found.num_trained == trained
    assert [found.bytes[part] for part in ("weights", "masters", "gradients", "moments")] == [
        2 * trained,
        4 * trained,
        4 * trained,
        8 * trained,
    ]
    assert found.tokens_per_step == tokens_per_step(settings) == 64 * (120 + 2 * 120)
    assert not found.keeps_graph
    assert found.seconds_per_step > 0
    assert found.micro_batch_tokens is None
    ample = forecast(settings, SHAPE, memory=1 << 40)
    assert (ample.micro_batch_tokens, ample.graph_tokens) == (16384, ample.tokens_per_step)
    none = forecast(settings, SHAPE, memory=1 << 20)
    assert (none.micro_batch_tokens, none.graph_tokens) == (None, 0)


def test_an_adapter_and_shares_take_less():
    lora = forecast(support.recipe(), SHAPE)
    assert lora.num_trained == 4 * count_weights(SHAPE).sides
    assert lora.bytes["folded"] == 4 * count_weights(SHAPE).linear
    whole = support.recipe("tuning={method: full}", "run.shard=true")
    one, four = (forecast(whole, SHAPE, num_processes=num) for num in (1, 4))
    assert four.bytes["moments"] * 4 == pytest.approx(one.bytes["moments"], abs=100)
    assert four.tokens_per_step < one.tokens_per_step
