"""A LoRA folded in as its base is read: the weights that PEFT gives, and nothing that PEFT would read otherwise."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from slimvec.engine import int8_texts, loading
from slimvec.engine.embedder import Embedder
from slimvec.engine.fused import FusedDecoder
from slimvec.engine.fused.lora import read_plain_lora
from slimvec.engine.fused.weights import open_folder
from slimvec.errors import ModelError
from slimvec.model import weight_files
from slimvec.model.adapters import add_lora, merge_lora
from slimvec.model.architectures import DECODERS
from slimvec.model.folder import load_opened, save_model
from slimvec.model.golden import GOLDEN_NAME
from slimvec.model.opening import ADAPTER_NAME, ADAPTER_WEIGHTS, open_model
from slimvec.model.spec import LoraSettings
from tests import tiny

BATCH = tiny.random_batch([7, 3, 1])


@pytest.fixture
def adapter(tmp_path):
    """Saves a base and an adapter on it that is not zero."""

    def make(architecture="llama", first_layer=1, embedding_rank=0):
        base = tiny.embedding_model(architecture)
        base.backbone.hf_model.to(torch.bfloat16)  # as bases are stored: numbers that either dtype has
        save_model(base, tmp_path / "base")
        model = load_opened(open_model(tmp_path / "base"))
        settings = LoraSettings(rank=3, alpha=4, first_layer=first_layer, embedding_rank=embedding_rank)
        add_lora(model.backbone, settings, seed=1)
        generator = torch.Generator().manual_seed(2)
        for name, parameter in model.backbone.named_parameters():
            if "lora_B" in name or "lora_embedding_B" in name:
                parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
        save_model(model, tmp_path / "adapter", merged=False)
        return tmp_path / "adapter"

    return make


def read(folder):
    return read_plain_lora(folder, open_folder(folder.parent / "base"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("first_layer", "embedding_rank"), [(0, 0), (2, 0), (0, 5), (1, 5)])
@pytest.mark.parametrize("architecture", DECODERS)
def test_the_states_are_those_of_peft_in_every_bit(adapter, architecture, first_layer, embedding_rank, dtype):
    opened = open_model(adapter(architecture, first_layer, embedding_rank))
    backbone = load_opened(opened, dtype=dtype).backbone
    merge_lora(backbone)
    made = {"causal": True, "dtype": dtype, "kernel": "torch"}
    expected = FusedDecoder.from_backbone(backbone.hf_model, **made)(BATCH)
    lora = read(opened.folder)
    assert lora is not None
    assert torch.equal(FusedDecoder.from_folder(opened.weights, **made, lora=lora)(BATCH), expected)
    assert not torch.equal(FusedDecoder.from_folder(opened.weights, **made)(BATCH), expected)


def test_numbers_of_8_bits_are_read_as_what_they_stand_for(adapter):
    folder = adapter(embedding_rank=5)
    (folder / GOLDEN_NAME).unlink()  # of the numbers before they were rounded
    tensors = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in load_file(folder / ADAPTER_WEIGHTS).items()}
    found = {}
    for dtype in (torch.float8_e4m3fn, torch.float32):
        save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, folder / ADAPTER_WEIGHTS)
        for engine in ("fused", "transformers"):
            embedder = Embedder.load(folder, engine=engine, dtype="float32")
            found[engine, dtype] = embedder.embed(["one two three"]).vectors
    for engine in ("fused", "transformers"):
        assert (found[engine, torch.float8_e4m3fn] == found[engine, torch.float32]).all()
    tensors[next(iter(tensors))] = torch.full((3, 32), torch.nan).to(torch.float8_e4m3fn)
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    with pytest.raises(ModelError, match="NaN"):
        Embedder.load(folder)


def test_a_model_with_an_adapter_is_loaded_without_transformers(adapter, monkeypatch):
    folder = adapter()
    expected = Embedder.load(folder, engine="transformers", dtype="float32").embed(["one two three"]).vectors

    def refused(*_, **__):
        raise AssertionError("transformers was asked")

    monkeypatch.setattr("slimvec.model.folder.load_opened", refused)
    found = Embedder.load(folder, dtype="float32").embed(["one two three"]).vectors
    assert abs(found - expected).max() < 1e-5


@pytest.mark.parametrize(
    "change",
    [
        {"peft_type": "LOHA"},
        {"bias": "all"},
        {"use_rslora": True},
        {"use_dora": True},
        {"rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {"q_proj": 2}},
        {"modules_to_save": ["norm"]},
        {"layers_to_transform": [0]},
        {"exclude_modules": ["q_proj"]},
        {"fan_in_fan_out": True},
        {"init_lora_weights": "pissa"},
        {"trainable_token_indices": [1]},
        {"r": 4},
        {"r": "3"},
        {"lora_alpha": None},
        {"target_modules": ["q_proj"]},
        {"target_modules": "("},
        {"target_modules": None},
        {"something_new": 1},
    ],
)
def test_other_adapters_are_left_to_peft(adapter, change):
    folder = adapter()
    assert read(folder) is not None
    path = folder / ADAPTER_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read(folder) is None


def _without_one(tensors):
    tensors.pop(next(iter(tensors)))


def _with_another(tensors):
    tensors["base_model.model.norm.lora_A.weight"] = torch.ones(3, 3)


def _of_another_shape(tensors):
    name = next(iter(tensors))
    tensors[name] = torch.ones(2, 2)


def _not_finite(tensors):
    next(iter(tensors.values()))[0, 0] = torch.nan


def _without_effect(tensors):
    for name, tensor in tensors.items():
        if "lora_B" in name:
            tensor.zero_()


@pytest.mark.parametrize(
    "change",
    [
        {"rank_pattern": {"embed_tokens": 4}},
        {"rank_pattern": {"embed_tokens": "5"}},
        {"rank_pattern": {"embed_tokens": 5, "q_proj": 3}},
        {"rank_pattern": None},
        {"rank_pattern": [5]},
        {"alpha_pattern": {"embed_tokens": -1.0}},
        {"alpha_pattern": {"embed_tokens": None}},
        {"target_modules": ["embed_tokens"]},
    ],
)
def test_other_adapters_on_embeddings_are_left_to_peft(adapter, change):
    folder = adapter(embedding_rank=5)
    assert read(folder) is not None
    path = folder / ADAPTER_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read(folder) is None


def test_an_adapter_on_embeddings_holds_none_of_the_base(adapter):
    tensors = load_file(adapter(embedding_rank=5) / ADAPTER_WEIGHTS)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if "embed" in name}
    assert shapes == {
        "base_model.model.embed_tokens.lora_embedding_A": (5, tiny.VOCABULARY),
        "base_model.model.embed_tokens.lora_embedding_B": (32, 5),
    }


@pytest.mark.parametrize("damage", [_without_one, _with_another, _of_another_shape, _not_finite])
def test_damaged_adapters_are_refused_as_they_were(adapter, damage):
    folder = adapter()
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    damage(tensors)
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    assert read(folder) is None
    with pytest.raises(ModelError, match=r"adapter|NaN"):
        Embedder.load(folder)


def test_an_adapter_that_changes_nothing_is_left_to_peft(adapter):
    folder = adapter()
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    _without_effect(tensors)
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    assert read(folder) is None


@pytest.mark.parametrize("name", [ADAPTER_NAME, ADAPTER_WEIGHTS])
def test_files_that_are_none_are_left_to_peft(adapter, name):
    folder = adapter()
    (folder / name).write_bytes(b"[1, 2")
    assert read(folder) is None
    (folder / name).unlink()
    assert read(folder) is None


@pytest.mark.parametrize(("form", "times"), [("safetensors", 2), ("zipped", 2), ("old", 1)])
def test_the_base_s_files_are_opened_once_and_once_more_for_a_map_that_stays(form, times, adapter, monkeypatch):
    folder = adapter()
    expected = Embedder.load(folder).embed(["one two three"]).vectors
    weights = folder.parent / "base" / "model.safetensors"
    if form != "safetensors":
        tensors = load_file(weights)
        weights.unlink()
        torch.save(tensors, weights.with_name("pytorch_model.bin"), _use_new_zipfile_serialization=form == "zipped")
    opened, real = [], weight_files._open
    monkeypatch.setattr(weight_files, "_open", lambda path: opened.append(path) or real(path))
    embedder = Embedder.load(folder)
    assert len(opened) == times
    assert (embedder.embed(["one two three"]).vectors == expected).all()


def test_int8_folds_it_in_too(adapter, monkeypatch):
    folder, seen = adapter(), []
    monkeypatch.setattr(int8_texts, "MIN_COSINE", 0.99)  # their few numbers move further than a real one's
    real = loading.read_plain_lora
    monkeypatch.setattr(loading, "read_plain_lora", lambda *a: seen.append(real(*a)) or seen[-1])
    embedder = Embedder.load(folder, dtype="int8")
    assert seen[0] is not None
    full = Embedder.load(folder).embed(["one two three"]).vectors
    assert (embedder.embed(["one two three"]).vectors * full).sum() > 0.99
