"""slimvec's own models: adapters in the package on a built-in base, found by name, refused when they were changed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slimvec import Embedder
from slimvec.errors import FetchError, LicenceWarning
from slimvec.files import sha256_of
from slimvec.model import builtin
from slimvec.model.adapters import add_lora
from slimvec.model.builtin import BUILTINS, PACKAGED, TOKENIZER_FILES, Builtin
from slimvec.model.cache import entry_folder
from slimvec.model.folder import load_model, save_model
from slimvec.model.golden import read_golden
from slimvec.model.head import Head
from slimvec.model.manifest import read_manifest
from slimvec.model.sources import fetch, find_source
from slimvec.model.spec import DenseLayer, LoraSettings
from tests import tiny


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """An adapter with a head on a tiny base, both with names of their own; gives its folder and its vectors."""
    base, whole, folder = tmp_path / "base", tmp_path / "whole", tmp_path / "models"
    save_model(tiny.embedding_model(), base)
    monkeypatch.setitem(BUILTINS, "tiny-base", Builtin((), ("model.safetensors",), "00" * 32, "Apache-2.0"))
    resolve = builtin.resolve_builtin

    def resolved(name, *, progress):
        return base if name == "tiny-base" else resolve(name, progress=progress)

    monkeypatch.setattr(builtin, "resolve_builtin", resolved)
    monkeypatch.setattr("slimvec.model.sources.resolve_builtin", resolved)
    model = load_model("tiny-base")
    layers = (DenseLayer(in_dims=32, out_dims=8, bias=False, activation="Identity"),)
    model.head, model.spec = Head(layers, 32), model.spec.replace(head=layers)
    add_lora(model.backbone, LoraSettings(rank=2))
    for name, parameter in model.backbone.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    save_model(model, whole, merged=False)
    shutil.copytree(whole, folder / "tiny-own", ignore=shutil.ignore_patterns(*TOKENIZER_FILES))
    digest = sha256_of(whole / "adapter_model.safetensors")
    own = Builtin((), ("adapter_model.safetensors",), digest, "Apache-2.0", base="tiny-base")
    monkeypatch.setitem(BUILTINS, "tiny-own", own)
    monkeypatch.setattr(builtin, "PACKAGED", folder)
    return folder / "tiny-own", Embedder.load(whole).embed_documents(["a cat", "the dog"])


@pytest.mark.parametrize("engine", ["auto", "transformers"])
def test_it_is_loaded_by_its_name(packaged, engine):
    embedder = Embedder.load("tiny-own", engine=engine)
    np.testing.assert_allclose(embedder.embed_documents(["a cat", "the dog"]), packaged[1], atol=1e-5)
    assert embedder.dims == 8


def test_it_is_fetched_and_found_and_built_anew_when_slimvec_brings_another(packaged):
    folder, _ = packaged
    assert find_source("tiny-own") is None
    assert fetch("tiny-own").folder == find_source("tiny-own") == entry_folder("tiny-own")
    (folder / "README.md").write_text("a card")
    assert not (entry_folder("tiny-own") / "README.md").exists()
    fetch("tiny-own")
    assert (entry_folder("tiny-own") / "README.md").read_text() == "a card"


def test_changed_files_are_refused(packaged):
    folder, _ = packaged
    (folder / "adapter_model.safetensors").write_bytes(b"another")
    with pytest.raises(FetchError, match=r"adapter_model.safetensors has SHA-256 .*; install slimvec again"):
        Embedder.load("tiny-own")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(FetchError, match="has SHA-256 none; expected"):
        Embedder.load("tiny-own")


@pytest.mark.usefixtures("packaged")
def test_terms_are_a_warning_the_first_time_a_model_is_asked_for(monkeypatch):
    monkeypatch.setattr(builtin, "_said", set())
    for name in ("tiny-own", "tiny-base"):
        monkeypatch.setitem(BUILTINS, name, replace(BUILTINS[name], licence="Terms of Use"))
    with pytest.warns(LicenceWarning) as given:
        Embedder.load("tiny-own")
    said = "tiny-own: its weights, and models made of them, are under the Terms of Use"
    assert [str(warning.message) for warning in given] == [said]  # for its base too
    Embedder.load("tiny-own")
    Embedder.load("tiny-base")


def test_terms_are_said_where_a_licence_has_more_than_a_text_to_keep():
    said = "its weights, and models made of them, are under the Gemma Terms of Use"
    assert BUILTINS["gemma3-270m"].terms == said
    assert BUILTINS["smollm2-135m"].terms == ""


OWN = [name for name, entry in BUILTINS.items() if entry.base is not None]


@pytest.mark.parametrize("name", OWN)
def test_models_that_come_with_slimvec(name):
    folder, entry = PACKAGED / name, BUILTINS[name]
    assert sha256_of(folder / entry.weights[0]) == entry.sha256
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 16 << 20
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.adapter
    assert manifest.base is not None
    assert manifest.base.source == entry.base
    assert read_golden(folder).dtype == "float32"
    said = [path for path in folder.rglob("*") if path.suffix in (".json", ".md", ".yaml")]
    assert all(str(Path.cwd()) not in path.read_text() for path in said)
    assert entry.licence in (folder / "README.md").read_text()
    assert json.loads((folder / "scores.json").read_text())["models"][name]
