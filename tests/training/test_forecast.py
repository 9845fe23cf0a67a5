"""Forecasts: counts that are those of the real model, and costs that follow the settings."""

import pytest
import torch

from slimvec.errors import InputError
from slimvec.model.adapters import add_lora
from slimvec.model.folder import save_model
from slimvec.model.shapes import count_weights, read_shape
from slimvec.model.spec import LoraSettings
from slimvec.training.run.forecast import forecast, measure_layer, tokens_per_step
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


def test_known_shapes_are_the_published_ones():
    assert count_weights(read_shape("Qwen/Qwen2-0.5B")).total == 494_032_768
    assert count_weights(read_shape("gemma3-270m")).total == 268_098_176


def test_a_shape_from_a_folder_and_one_that_nobody_knows(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    assert read_shape(str(tmp_path / "base"))["hidden_size"] == 32
    assert read_shape("some/unknown", config=tmp_path / "base")["hidden_size"] == 32
    with pytest.raises(InputError, match="the shape of some/unknown is not known: it is not on this machine"):
        read_shape("some/unknown")


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
