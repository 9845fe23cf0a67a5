"""The identity of a model: the same wherever it lies, another with whatever changes its vectors."""

import shutil

import pytest
from safetensors.torch import load_file, save_file

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.model.adapters import add_lora
from slimvec.model.folder import load_model, save_model
from slimvec.model.identity import ModelIdentity
from slimvec.model.opening import open_model
from slimvec.model.rope_scaling import RopeScaling
from slimvec.model.spec import DenseLayer, LoraSettings, Pooling
from slimvec.text.prompts import Prompts
from tests import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("identity") / "m"
    save_model(tiny.embedding_model(), path)
    return path


def identity(folder, dtype="float32", **settings):
    return ModelIdentity.of(open_model(folder, **settings), dtype=dtype)


def test_a_copy_elsewhere_is_the_same_model(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    first, copy = identity(folder), identity(tmp_path / "copy")
    assert first == copy
    assert first.sha256 == copy.sha256
    assert first.differences(copy) == []
    assert Embedder.load(folder).identity == first


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"pooling": Pooling(mode="last")}, "pooling"),
        ({"dims": 8}, "dims"),
        ({"max_tokens": 64}, "max_tokens"),
        ({"prompts": Prompts(query="ask: ")}, "prompts"),
        ({"recency": 0.5}, "recency"),
        ({"rope": RopeScaling(kind="linear", factor=2)}, "weights"),
    ],
)
def test_each_setting_counts_and_is_named(folder, settings, named):
    first, other = identity(folder), identity(folder, **settings)
    assert first.sha256 != other.sha256
    assert [line.split()[0] for line in first.differences(other)] == [named]
    stored = first.vectors_sha256("e") == other.vectors_sha256("e")
    assert stored == (named == "prompts")  # they are part of each text's key in a cache


def test_attention_mode_counts(tmp_path):
    for mode in tiny.MODES:
        save_model(tiny.embedding_model(mode=mode), tmp_path / mode)
    first, other = (identity(tmp_path / mode) for mode in tiny.MODES)
    assert first.sha256 != other.sha256
    assert any(line.startswith("attention") for line in first.differences(other))


def test_a_changed_weight_counts(folder, tmp_path):
    path = tmp_path / "changed"
    shutil.copytree(folder, path)
    tensors = load_file(path / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] += 1
    save_file(tensors, path / "model.safetensors")
    assert identity(folder).differences(identity(path)) == ["weights"]


def test_adapters_and_heads_count(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    found = []
    for seed in range(2):
        model = load_model(tmp_path / "base")
        add_lora(model.backbone, LoraSettings(rank=2, alpha=4), seed=seed)
        save_model(model, tmp_path / f"adapter{seed}", merged=False)
        found.append(identity(tmp_path / f"adapter{seed}").weights)
    head = (DenseLayer(in_dims=32, out_dims=16),)
    for seed in range(2):
        save_model(tiny.embedding_model(head=head, seed=seed), tmp_path / f"head{seed}")
    shutil.copy(tmp_path / "head0" / "model.safetensors", tmp_path / "head1" / "model.safetensors")
    found += [identity(tmp_path / f"head{seed}").weights for seed in range(2)]
    assert len({*found, identity(tmp_path / "base").weights}) == 5


def test_int8_is_another_class_and_bfloat16_is_not(folder):
    exact, half, int8 = (identity(folder, dtype) for dtype in ("float32", "bfloat16", "int8"))
    assert exact.sha256 == half.sha256 != int8.sha256
    assert exact.differences(int8) == ["dtype float32 and int8"]
    assert len({one.vectors_sha256("e") for one in (exact, half, int8)}) == 3
    assert exact.vectors_sha256("e") != exact.vectors_sha256("another engine")


def test_it_survives_being_written(folder):
    first = identity(folder)
    read = ModelIdentity.model_validate_json(first.model_dump_json())
    assert (read, read.sha256) == (first, first.sha256)


def test_a_model_in_memory_has_none():
    with pytest.raises(ModelError, match="a model in memory has no identity; expected a model in a folder; save it"):
        _ = Embedder.from_model(tiny.embedding_model()).identity
