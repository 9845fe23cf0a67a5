"""Every tensor accounted for, by both engines and in training; files that are none; numbers that are none."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.model.adapters import add_lora
from slimvec.model.folder import load_model, save_model
from slimvec.model.spec import LoraSettings
from slimvec.model.weight_files import WeightFiles, refuse_not_finite
from tests.model.foreign import TEXTS, add_dense, foreign, theirs
from tests.tiny import ARCHITECTURES

DECODER_NORM, ENCODER_NORM = "layers.1.input_layernorm.weight", "encoder.layer.1.output.LayerNorm.weight"
ENCODERS = ("bert", "xlm-roberta")
TABLE = "embeddings.position_embeddings.weight"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of every architecture, as sentence-transformers writes it."""
    place = tmp_path_factory.mktemp("folders")
    return {name: foreign(place / name, name, _mode(name)) for name in ARCHITECTURES}


def _mode(architecture):
    return "bidirectional" if architecture in ENCODERS else "causal"


@pytest.fixture
def copy_of(folders, tmp_path):
    return lambda architecture: shutil.copytree(folders[architecture], tmp_path / architecture)


def rewrite(folder, change):
    """Change the tensors of a folder."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def refused(folder, message):
    """See that every way to load a folder refuses it in the same words, each in one line."""
    for load in (Embedder.load, lambda path: Embedder.load(path, engine="transformers"), load_model):
        with pytest.raises(ModelError, match=message) as caught:
            load(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_tensor_that_is_missing_or_left_over_is_named(architecture, copy_of):
    folder = copy_of(architecture)
    norm = ENCODER_NORM if architecture in ENCODERS else DECODER_NORM
    rewrite(folder, lambda tensors: tensors.pop(norm))
    refused(folder, f"the tensors of .* are not those of its config.json: 1 are missing, as {norm}; expected every")
    more = norm.replace("1", "7", 1)
    rewrite(folder, lambda tensors: tensors.update({norm: torch.ones(32), more: torch.ones(32)}))
    refused(folder, f"1 are not known to it, as {more}")


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_a_config_with_more_or_fewer_layers_is_refused(architecture, copy_of):
    folder = copy_of(architecture)
    config = json.loads((folder / "config.json").read_text())
    for layers, message in ((4, "are missing, as .*layers?.3."), (2, "are not known to it, as .*layers?.2.")):
        config.pop("layer_types", None)
        (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))
        refused(folder, message)


def test_other_prefixes_and_shapes_are_refused(copy_of):
    folder = copy_of("bert")

    def prefix(tensors):
        for name in list(tensors):
            tensors[f"query_encoder.{name}"] = tensors.pop(name)

    rewrite(folder, prefix)
    refused(folder, r"\d+ are missing, as embeddings\..*; \d+ are not known to it, as query_encoder\.")
    folder = copy_of("xlm-roberta")
    rewrite(folder, lambda tensors: tensors.pop(TABLE))
    refused(folder, f"1 are missing, as {TABLE}")
    rewrite(folder, lambda tensors: tensors.update({TABLE: torch.ones(9, 32)}))
    refused(folder, rf"1 are of another shape, as {TABLE}: \(9, 32\) for \(256, 32\)")
    folder = copy_of("llama")
    rewrite(folder, lambda tensors: tensors.update({"embed_tokens.weight": torch.ones(200, 32)}))
    refused(folder, r"1 are of another shape, as embed_tokens.weight: \(200, 32\) for \(264, 32\)")


def test_biases_are_those_of_the_config_in_both_engines(copy_of):
    folder = copy_of("llama")
    bias = "layers.0.self_attn.q_proj.bias"
    rewrite(folder, lambda tensors: tensors.update({bias: torch.ones(32)}))
    refused(folder, f"1 are not known to it, as {bias}")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_bias": True}))
    refused(folder, r"11 are missing, as layers.0.self_attn.k_proj.bias")


def test_a_pooler_a_head_and_computed_tables_may_come_or_be_missing(copy_of):
    folder = copy_of("bert")
    before = Embedder.load(folder).embed_documents(TEXTS)
    extra = {"pooler.dense.weight": torch.ones(32, 32), "cls.predictions.bias": torch.ones(264)}
    extra["embeddings.position_ids"] = torch.arange(256)[None]
    rewrite(folder, lambda tensors: (tensors.pop("pooler.dense.weight", None), tensors.pop("pooler.dense.bias", None)))
    np.testing.assert_array_equal(Embedder.load(folder).embed_documents(TEXTS), before)
    rewrite(folder, lambda tensors: tensors.update(extra))
    np.testing.assert_array_equal(Embedder.load(folder).embed_documents(TEXTS), before)
    folder = copy_of("llama")
    before = Embedder.load(folder).embed_documents(TEXTS)
    extra = {"lm_head.weight": torch.ones(264, 32), "layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    rewrite(folder, lambda tensors: tensors.update(extra))
    for engine in ("fused", "transformers"):
        np.testing.assert_allclose(Embedder.load(folder, engine=engine).embed_documents(TEXTS), before, atol=1e-5)


@pytest.mark.parametrize("architecture", ["qwen3", "bert"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_with_the_tensors_name(architecture, number, copy_of):
    folder = copy_of(architecture)
    name = "embeddings.word_embeddings.weight" if architecture == "bert" else "embed_tokens.weight"
    rewrite(folder, lambda tensors: tensors[name][7].fill_(number))
    refused(folder, f"{name} of .* has 32 of 8,448 numbers that are NaN or infinite; expected finite weights")


def test_adapters_and_heads_that_are_no_numbers_are_refused(copy_of, tmp_path):
    model = load_model(copy_of("qwen2"))
    add_lora(model.backbone, LoraSettings(rank=2))
    save_model(model, tmp_path / "adapter", merged=False)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({name: tensor / 0 for name, tensor in load_file(path).items()}, path)
    refused(tmp_path / "adapter", r"lora_A.weight of .*adapter_model.safetensors has 96 of 96 numbers that are NaN")
    folder = copy_of("bert")
    add_dense(folder, 32, 8)
    path = folder / "2_Dense" / "model.safetensors"
    save_file(load_file(path) | {"linear.bias": torch.full((8,), float("inf"))}, path)
    refused(folder, r"linear.bias of .*2_Dense has 8 of 8 numbers that are NaN or infinite")


def test_numbers_of_8_bits_are_looked_at_too():
    tensor = torch.tensor([1.0, -448.0, 0.0]).to(torch.float8_e4m3fn)
    refuse_not_finite(tensor, "a tensor")
    with pytest.raises(ModelError, match="a tensor has 1 of 3 numbers that are NaN or infinite; expected finite"):
        refuse_not_finite(torch.tensor([1.0, torch.nan, 0.0]).to(torch.float8_e4m3fn), "a tensor")


def test_finite_weights_are_looked_at_once_a_copy(copy_of, monkeypatch):
    folder = copy_of("llama")
    Embedder.load(folder)
    monkeypatch.setattr(torch, "aminmax", lambda _: pytest.fail("looked at twice"))
    Embedder.load(folder)


def test_weights_in_eight_bits_are_refused(copy_of):
    folder = copy_of("llama")
    name = "layers.0.mlp.up_proj.weight"
    rewrite(folder, lambda tensors: tensors.update({name: tensors[name].to(torch.int8)}))
    refused(folder, f"{name} of .* is int8; expected float32, bfloat16 or float16")


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_files_that_are_cut_empty_missing_or_pointers_are_one_line(architecture, copy_of):
    folder = copy_of(architecture)
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    for content, message in (
        (whole[:-100], "weights .*model.safetensors cannot be read: .*expected complete safetensors; copy"),
        (whole[:5], "weights .*model.safetensors cannot be read"),
        (b"", "model.safetensors is empty; expected weights; copy the folder again, whole"),
        (pointer, "model.safetensors is a pointer of git-lfs; expected the file itself; run git lfs pull"),
    ):
        path.write_bytes(content)
        refused(folder, message)
    path.unlink()
    refused(folder, "has no weights; expected model.safetensors or pytorch_model.bin; copy")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("[]", "index.json cannot be read"),
        ('{"weight_map": null}', "has the weight_map 'None'; expected a file by tensor"),
        ('{"weight_map": {"norm.weight": 7}}', "names the file 7; expected files beside it"),
        ('{"weight_map": {"norm.weight": "../x.safetensors"}}', "names the file '../x.safetensors'"),
        ('{"weight_map": {"norm.weight": "x.safetensors"}}', "x.safetensors cannot be read: No such file"),
        ('{"weight_map": {"a.weight": "part.safetensors"}}', "the index has a.weight, which is in none of its files"),
    ],
)
def test_an_index_that_is_none_is_one_line(index, message, copy_of):
    folder = copy_of("llama")
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)
    refused(folder, message)


@pytest.mark.parametrize("architecture", ["llama", "bert"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_bin_is_read_as_tensors_alone(architecture, zipped, copy_of):
    folder = copy_of(architecture)
    before = Embedder.load(folder).embed_documents(TEXTS)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    loaded = Embedder.load(folder)
    np.testing.assert_allclose(loaded.embed_documents(TEXTS), before, atol=1e-5)
    assert (theirs(folder)[1] * before).sum() > 0
    if architecture == "llama":
        assert loaded.engine.startswith("fused")
    path.write_bytes(path.read_bytes()[:-2000])
    refused(folder, "pytorch_model.bin is cut, or a pickle of more than tensors; nothing in it was run; expected")
    torch.save([1], path)
    refused(folder, "pytorch_model.bin holds something else than tensors by name")


class Hostile:
    """A pickle that would run a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_hostile_pickle_runs_nothing_and_its_refusal_does_not_say_how_to_run_it(copy_of, tmp_path):
    folder = copy_of("bert")
    (folder / "model.safetensors").unlink()
    torch.save({"x": Hostile(tmp_path / "ran")}, folder / "pytorch_model.bin")
    refused(folder, "nothing in it was run; expected tensors by name, or model.safetensors; take the model in safe")
    with pytest.raises(ModelError) as caught:
        WeightFiles(folder)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
