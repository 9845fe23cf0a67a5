"""A model folder that was changed after it was saved does not load: adapters, bases, weights, settings, bytes."""

import json
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError, ModelWarning
from slimvec.model import copy_check
from slimvec.model.adapters import add_lora
from slimvec.model.folder import load_model
from slimvec.model.golden import check_golden, write_golden
from slimvec.model.opening import open_model
from slimvec.model.spec import LoraSettings, Pooling
from tests.tiny import embedding_model

ENGINES = ["fused", "transformers"]


def disturb(model, size=0.2):
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, size)


def save_adapter(tmp_path, *, size=0.2, base="base"):
    Embedder.from_model(embedding_model()).save(tmp_path / base)
    model = load_model(tmp_path / base)
    add_lora(model.backbone, LoraSettings(rank=4))
    if size:
        disturb(model, size)
    Embedder.from_model(model).save(tmp_path / "adapted", merged=False, training={"steps": 3})
    return tmp_path / "adapted"


def rewrite(path, change):
    save_file(change(load_file(path)), path)


def edit_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: {f"renamed.{name}": x for name, x in t.items()},
            r"42 of 42 tensors missing, as .*; 42 of 42 .* not",
        ),
        (lambda t: dict(sorted(t.items())[: len(t) // 2]), "21 of 42 tensors missing, as"),
        (lambda t: {**t, "more": torch.ones(2)}, "1 of 43 tensors not known, as more"),
        (lambda t: {name: x[..., :1].contiguous() for name, x in t.items()}, "has the shape .* and its place"),
        (lambda t: {name: x * 0 for name, x in t.items()}, "was trained and changes nothing"),
        (lambda t: {name: x * 1.5 for name, x in t.items()}, "with the one in golden.json.*; expected at least 0.9999"),
    ],
    ids=["renamed", "half", "more", "cut", "zero", "scaled"],
)
def test_every_tensor_of_an_adapter_is_accounted_for(change, message, engine, tmp_path):
    folder = save_adapter(tmp_path)
    rewrite(folder / "adapter_model.safetensors", change)
    with pytest.raises(ModelError, match=message):
        Embedder.load(folder, engine=engine)


REFUSED = [
    ({"use_qalora": True}, "use_qalora True; expected False: an update by text or in blocks"),
    ({"modules_to_save": ["embed_tokens"]}, "expected none: weights beside the update"),
    ({"megatron_config": [1]}, "expected none: layers of another library"),
    ({"peft_type": "IA3"}, "peft_type 'IA3'; expected 'LORA': another kind of adapter"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_an_adapter_that_does_more_than_an_update_is_refused(changes, message, tmp_path):
    folder = save_adapter(tmp_path)
    edit_json(folder / "adapter_config.json", **changes)
    with pytest.raises(ModelError, match=message):
        open_model(folder)


def test_a_key_of_an_adapter_that_nobody_knows_is_a_warning(tmp_path):
    folder = save_adapter(tmp_path)
    assert open_model(folder).notices == ()
    edit_json(folder / "adapter_config.json", use_nothing=1)
    with pytest.warns(ModelWarning, match=r"adapter_config.json has a key 'use_nothing' that slimvec does not know"):
        open_model(folder)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_missing_file_of_an_adapter_is_not_looked_for_on_the_hub(name, tmp_path):
    folder = save_adapter(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"adapter .*adapted has no {name}"):
        Embedder.load(folder)


def test_an_edited_alpha_is_noticed(tmp_path):
    folder = save_adapter(tmp_path)
    edit_json(folder / "adapter_config.json", lora_alpha=3)
    with pytest.raises(ModelError, match=r"has a cosine of .* with the one in golden\.json"):
        Embedder.load(folder)


@pytest.mark.parametrize("engine", ENGINES)
def test_another_base_is_noticed_even_after_the_first_load(engine, tmp_path):
    folder = save_adapter(tmp_path)
    Embedder.load(folder, engine=engine)
    Embedder.from_model(embedding_model(seed=9)).save(tmp_path / "base", force=True)
    with pytest.raises(ModelError, match=r"golden\.json"):
        Embedder.load(folder, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_other_weights_in_the_place_of_those_saved_are_noticed(engine, tmp_path):
    for name, seed in (("one", 0), ("other", 1)):
        Embedder.from_model(embedding_model(seed=seed)).save(tmp_path / name)
    shutil.copyfile(tmp_path / "other/model.safetensors", tmp_path / "one/model.safetensors")
    with pytest.raises(ModelError, match="copy it again, whole"):
        Embedder.load(tmp_path / "one", engine=engine)
    with pytest.raises(ModelError, match="copy it again, whole"):
        load_model(tmp_path / "one")


def test_a_vector_that_is_nan_is_no_match(tmp_path):
    Embedder.from_model(embedding_model()).save(tmp_path / "model")
    content = json.loads((tmp_path / "model/golden.json").read_text())
    content["vectors"]["query"][3] = [float("nan")] * 32
    (tmp_path / "model/golden.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="cosine of nan"):
        Embedder.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("dtype", "cosines", "message"),
    [
        ("bfloat16", (0.97, 0.996, 0.996, 0.996), None),
        ("bfloat16", (0.95, 1, 1, 1), "cosine of 0.9500 .* expected at least 0.96, and 0.995 of half of the texts"),
        ("bfloat16", (0.99, 0.99, 1, 1), "cosine of 0.9900 .* expected at least 0.995"),
        ("bfloat16", (1, 1, 1, np.nan), "cosine of nan"),
        ("float32", (0.9998, 1, 1, 1), "cosine of 0.9998 .* expected at least 0.9999; its weights"),
    ],
)
def test_one_text_may_round_far_off_in_bfloat16_and_half_of_them_not(dtype, cosines, message, tmp_path):
    def turned(texts, _):
        return np.array([[cosine, np.sqrt(1 - cosine**2)] for cosine in cosines[: len(texts)]], dtype=np.float32)

    write_golden(tmp_path, lambda texts, _: np.array([[1.0, 0.0]] * len(texts)), dtype="float32", texts=list("abcd"))
    expected = nullcontext() if message is None else pytest.raises(ModelError, match=message)
    with expected:
        check_golden(tmp_path, turned, dtype=dtype, quick=False)


def test_a_copy_is_checked_once(tmp_path, monkeypatch):
    Embedder.from_model(embedding_model()).save(tmp_path / "model")
    calls = []
    genuine = copy_check.check_golden
    monkeypatch.setattr(copy_check, "check_golden", lambda *a, **k: calls.append(a) or genuine(*a, **k))
    for _ in range(2):
        Embedder.load(tmp_path / "model")
    assert len(calls) == 1
    shutil.copytree(tmp_path / "model", tmp_path / "copy")
    Embedder.load(tmp_path / "copy")
    assert len(calls) == 2
    (tmp_path / "copy/config.json").touch()
    Embedder.load(tmp_path / "copy")
    assert len(calls) == 3


def test_what_is_asked_for_at_loading_is_left_out_of_the_check(tmp_path):
    Embedder.from_model(embedding_model()).save(tmp_path / "model")
    loaded = Embedder.load(tmp_path / "model", pooling=Pooling(mode="last"), dims=8, max_tokens=20)
    assert loaded.embed_documents(["a text"]).shape == (1, 8)


def test_bfloat16_of_the_same_weights_passes(tmp_path):
    Embedder.from_model(embedding_model()).save(tmp_path / "model")
    Embedder.load(tmp_path / "model", dtype="bfloat16", engine="transformers")


def test_an_adapter_finds_its_base_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    Embedder.from_model(embedding_model()).save("models/base")
    model = load_model("models/base")
    add_lora(model.backbone, LoraSettings(rank=4))
    disturb(model)
    Embedder.from_model(model).save("models/adapted", merged=False)
    expected = Embedder.from_model(model).embed_documents(["a text"])
    monkeypatch.chdir("/")
    loaded = Embedder.load(tmp_path / "models/adapted")
    np.testing.assert_allclose(loaded.embed_documents(["a text"]), expected, atol=1e-5)


def test_a_path_below_a_folder_that_is_here_is_no_hub_name(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no model 'models/gone': no such folder or file"):
        Embedder.load("models/gone")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"no model 'notes.txt': a file of another kind; expected a folder, a .gguf"):
        Embedder.load("notes.txt")
