"""Building the fused decoder from folders, old and new configs, and what it refuses, in words."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from slimvec.engine.fused import FusedDecoder, UnsupportedError
from slimvec.engine.fused.rope import RopeTables
from slimvec.engine.fused.spec import read_spec
from slimvec.errors import ModelError
from slimvec.model.architectures import DECODERS
from tests.engine.fused_models import ROPES, assert_close, build, reference
from tests.tiny import CONFIGS, VOCABULARY, random_batch

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 64,
    "vocab_size": VOCABULARY,
}


@pytest.fixture
def folder(tmp_path):
    model = build("llama", {key: value for key, value in LLAMA.items() if key != "model_type"})
    model.save_pretrained(tmp_path)
    return tmp_path


def decoder_of(folder, **settings):
    return FusedDecoder.from_folder(folder, causal=True, dtype=torch.float32, kernel="torch", **settings)


@pytest.mark.parametrize("architecture", DECODERS)
def test_a_folder_gives_the_same_decoder_as_the_model(architecture, tmp_path):
    model = build(architecture, dict(CONFIGS[architecture][1]))
    model.save_pretrained(tmp_path)
    batch = random_batch([9, 20, 1])
    decoder = decoder_of(tmp_path)
    assert_close(decoder(batch), reference(model, batch, causal=True), torch.float32)
    assert decoder.spec == FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="torch").spec


def test_shards_and_name_prefixes_do_not_matter(folder):
    batch = random_batch([12, 5])
    expected = decoder_of(folder)(batch)
    tensors = {f"model.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    tensors["lm_head.weight"] = torch.zeros(VOCABULARY, 32)
    (folder / "model.safetensors").unlink()
    halves = list(tensors)[::2], list(tensors)[1::2]
    for number, names in enumerate(halves):
        save_file({name: tensors[name] for name in names}, folder / f"part-{number}.safetensors")
    index = {name: f"part-{number}.safetensors" for number, names in enumerate(halves) for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    torch.testing.assert_close(decoder_of(folder)(batch), expected)


def test_weights_stored_in_half_precision_are_cast(folder):
    batch = random_batch([12, 5])
    expected = decoder_of(folder)(batch)
    for dtype in (torch.bfloat16, torch.float16):
        tensors = load_file(folder / "model.safetensors")
        save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, folder / "model.safetensors")
        torch.testing.assert_close(decoder_of(folder)(batch), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("rope", ROPES, ids=lambda rope: rope["rope_type"])
def test_old_configs_read_as_new_ones(rope):
    theta, scaling = rope["rope_theta"], {key: value for key, value in rope.items() if key != "rope_theta"}
    new = read_spec({**LLAMA, "rope_parameters": rope})
    assert read_spec({**LLAMA, "rope_theta": theta, "rope_scaling": scaling}) == new
    scaling["type"] = scaling.pop("rope_type")
    assert read_spec({**LLAMA, "rope_theta": theta, "rope_scaling": scaling}) == new


def test_old_gemma_configs_read_as_new_ones():
    shape = {**LLAMA, "model_type": "gemma3_text", "hidden_activation": "gelu_pytorch_tanh", "num_hidden_layers": 3}
    gemma = {**shape, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 7}
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    ropes = {"sliding_attention": {"rope_theta": 100.0}, "full_attention": {"rope_theta": 900.0}}
    new = read_spec({**gemma, "layer_types": kinds, "rope_parameters": ropes})
    old = {**gemma, "sliding_window_pattern": 2, "rope_theta": 900.0, "rope_local_base_freq": 100.0}
    assert read_spec(old) == new
    assert [layer.window for layer in new.layers] == [7, None, 7]
    assert [layer.rope.theta for layer in new.layers] == [100.0, 900.0, 100.0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "gpt2"}, "architecture 'gpt2'"),
        ({"hidden_act": "relu"}, "activation 'relu'"),
        ({"rms_norm_eps": None}, "the config has no rms_norm_eps"),
        ({"hidden_size": None}, "hidden_size is None"),
        ({"num_key_value_heads": 3}, "widths 32, 48, 4 heads of 8 over 3"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "rope type 'dynamic'"),
        ({"partial_rotary_factor": 0.5}, "rotary positions on a part of the head"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is set"),
        ({"model_type": "qwen3", "layer_types": ["full_attention"]}, "layer types ['full_attention'] for 2 layers"),
        (
            {"model_type": "qwen2", "layer_types": ["sliding_attention"] * 2},
            "sliding attention with window None",
        ),
    ],
)
def test_what_is_not_done_is_refused_with_its_reason(change, reason):
    with pytest.raises(UnsupportedError) as caught:
        read_spec({**LLAMA, **change})
    assert caught.value.reason == reason


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_weights_that_do_not_fit_are_refused(folder):
    extra = "layers.1.self_attn.q_norm.weight"
    rewrite(folder, lambda tensors: tensors.update({extra: torch.ones(8)}))
    with pytest.raises(UnsupportedError, match=f"weights that are not known, such as {extra}"):
        decoder_of(folder)
    rewrite(folder, lambda tensors: tensors.update({"layers.0.mlp.up_proj.weight": torch.ones(8, 8)}))
    with pytest.raises(UnsupportedError, match=r"layers.0.mlp.up_proj.weight is \(8, 8\), expected \(48, 32\)"):
        decoder_of(folder)
    rewrite(folder, lambda tensors: tensors.pop("layers.0.mlp.up_proj.weight"))
    with pytest.raises(UnsupportedError, match=r"the weights have no layers.0.mlp.up_proj.weight"):
        decoder_of(folder)
    rewrite(folder, lambda tensors: tensors.pop("embed_tokens.weight"))
    with pytest.raises(UnsupportedError, match="0 embeddings among the weights"):
        decoder_of(folder)


def test_unreadable_folders_are_named(folder, tmp_path):
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match=r"weights .* cannot be read: .*; expected complete safetensors"):
        decoder_of(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ModelError, match=r"config.json is no JSON object; expected a model folder"):
        decoder_of(folder)
    with pytest.raises(ModelError, match=r"nowhere has no config.json; expected a model folder"):
        decoder_of(tmp_path / "nowhere")


def test_rope_tables_grow_and_keep_their_rows():
    tables = RopeTables(read_spec(LLAMA).layers[0].rope)
    short = tables.upto(10)
    long = tables.upto(5000)
    assert long[0].shape[0] >= 5000
    for before, after in zip(short, long, strict=True):
        torch.testing.assert_close(after[: before.shape[0]], before)


def test_dtypes_and_kernels_that_are_not_there_are_refused(folder):
    with pytest.raises(UnsupportedError, match=r"dtype torch\.float16"):
        FusedDecoder.from_folder(folder, causal=True, dtype=torch.float16)
    assert decoder_of(folder).kernel_reason == "asked for"
