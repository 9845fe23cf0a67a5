"""A decoder's first layers alone: against the whole model stopped by hand, in every form in which it is kept."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import PreTrainedTokenizerFast

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError
from slimvec.model.architectures import DECODERS
from slimvec.model.folder import load_model, save_model
from slimvec.model.identity import ModelIdentity
from slimvec.model.inspection import inspect_model
from slimvec.model.opening import open_model
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.training_run import train
from tests import tiny

RECIPE = """
base: {{source: {base}}}
model: {{num_layers: 2, attention: bidirectional, max_tokens: 60, prompts: {{query: ""}}}}
tuning: {{rank: 2, first_layer: 1, merge: {merge}}}
data: [{{path: {pairs}}}]
batch: {{pairs: 4, max_query_tokens: 60, max_document_tokens: 60}}
run: {{steps: 2, checkpoint_minutes: 0}}
stages:
  - {{name: one, optim: {{lr: 0.05}}}}
  - {{name: two, optim: {{lr: 0.02}}}}
"""
TEXTS = ["one two three", "on the tree", "a much longer text about files and folders and sockets", "x"]


def plain(folder, architecture="llama"):
    """Write a language model as others write them: no settings of ours."""
    tiny.hf_model(architecture).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tokenizer_backend(), pad_token="<pad>")
    tokenizer.save_pretrained(folder)
    return folder


def stopped_by_hand(folder, number, mode):
    """Mean the states that leave a layer of the whole model, after the final norm."""
    model = load_model(folder, attention=mode)
    hf_model = model.backbone.hf_model
    caught = []
    hook = hf_model.layers[number - 1].register_forward_hook(lambda *call: caught.append(call[2]))
    batch = model.tokenizer.tokenize(TEXTS).pack()
    with torch.inference_mode():
        model.backbone(batch)
        states = caught[0][0] if isinstance(caught[0], tuple) else caught[0]
        states = hf_model.norm(states).reshape(-1, model.backbone.dims)
    hook.remove()
    means = torch.stack([part.double().mean(0) for part in states.split(list(batch.lengths))])
    return torch.nn.functional.normalize(means, dim=-1).numpy()


@pytest.mark.parametrize("engine", ["fused", "transformers"])
@pytest.mark.parametrize("mode", tiny.MODES)
@pytest.mark.parametrize("architecture", DECODERS)
def test_the_states_of_a_layer_are_those_of_the_whole_model(tmp_path, architecture, mode, engine):
    folder = plain(tmp_path / "base", architecture)
    for number in (1, 2):
        embedder = Embedder.load(folder, num_layers=number, attention=mode, engine=engine, dtype="float32")
        assert embedder.engine.startswith(engine)
        np.testing.assert_allclose(embedder.embed(TEXTS).vectors, stopped_by_hand(folder, number, mode), atol=2e-6)


def test_all_layers_asked_for_are_all_layers(tmp_path):
    folder = plain(tmp_path / "base")
    whole, asked = (Embedder.load(folder, num_layers=number).embed(TEXTS).vectors for number in (None, 3))
    np.testing.assert_array_equal(asked, whole)


def trained(tmp_path, *, merge):
    folder = plain(tmp_path / "base")
    rows = [{"query": f"what is {n}", "positives": [f"the answer to {n}"]} for n in range(12)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = parse_recipe(RECIPE.format(base=folder, pairs=tmp_path / "pairs.jsonl", merge=str(merge).lower()))
    train(recipe, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("merge", [True, False])
def test_a_trained_model_of_the_first_layers_is_kept_as_one(tmp_path, merge):
    folder = trained(tmp_path, merge=merge)
    manifest = json.loads((folder / "slimvec.json").read_text())
    assert manifest["spec"].get("num_layers") == (None if merge else 2)
    fused, plainly = (Embedder.load(folder, engine=engine, dtype="float32") for engine in ("fused", "transformers"))
    np.testing.assert_allclose(fused.embed(TEXTS).vectors, plainly.embed(TEXTS).vectors, atol=2e-6)
    untrained = Embedder.load(tmp_path / "base", num_layers=2, attention="bidirectional", dtype="float32")
    assert np.abs(fused.embed(TEXTS).vectors - untrained.embed(TEXTS).vectors).max() > 1e-3
    with pytest.raises(ModelError, match="was saved with 2 layers; expected no other number, 3 was asked for"):
        open_model(folder, num_layers=3)
    assert open_model(folder, num_layers=2).config["num_hidden_layers"] == 2


def test_merged_weights_are_those_layers_alone_and_others_read_them(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    adapter = trained(tmp_path, merge=False)
    save_model(load_model(adapter), tmp_path / "merged")
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["num_hidden_layers"] == 2
    with safe_open(tmp_path / "merged" / "model.safetensors", "pt") as file:
        assert not any(".2." in name for name in file.keys())  # noqa: SIM118 (no mapping)
    ours = Embedder.load(adapter).embed(TEXTS).vectors
    np.testing.assert_allclose(Embedder.load(tmp_path / "merged").embed(TEXTS).vectors, ours, atol=2e-6)
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path / "merged"), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(theirs.encode(TEXTS), ours, atol=2e-6)


def test_another_depth_is_another_model(tmp_path):
    folder = plain(tmp_path / "base")
    whole, two = (open_model(folder, num_layers=number) for number in (None, 2))
    identities = [ModelIdentity.of(opened, dtype="float32") for opened in (whole, two)]
    assert identities[0].sha256 != identities[1].sha256
    assert any("num_layers" in line for line in identities[0].differences(identities[1]))
    assert {name.split("layers.")[1][0] for name in inspect_model(two).passed_over} == {"2"}
    assert not inspect_model(whole).passed_over


def test_the_language_model_is_whole(tmp_path):
    tiny.save_causal_model(tmp_path / "base")
    found = [
        Embedder.load(tmp_path / "base", num_layers=number).language_model.log_likelihood(TEXTS[:1], TEXTS[1:]).values
        for number in (None, 1)
    ]
    np.testing.assert_array_equal(*found)


def test_what_is_no_depth_is_refused(tmp_path):
    with pytest.raises(InputError, match="num_layers 4 of a model with 3 layers; expected at most 3"):
        open_model(plain(tmp_path / "decoder"), num_layers=4)
    with pytest.raises(InputError, match=r"num_layers 2 for architecture 'bert'; .*leave num_layers out"):
        open_model(plain(tmp_path / "encoder", "bert"), num_layers=2)
    with pytest.raises(InputError, match="num_layers"):
        open_model(tmp_path / "decoder", num_layers=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("objective.kind=ngrams", "num_layers 2 with ngrams that predicts tokens"),
        ("tuning.keep_language_model=true", "predicts tokens, from all layers; leave it out"),
        ("tuning.first_layer=2", r"first_layer 2 is not below model\.num_layers 2"),
    ],
)
def test_recipes_ask_first_layers_for_nothing_that_takes_all(change, message):
    recipe = "{base: {source: smollm2-135m}, model: {num_layers: 2}, data: [{path: x.jsonl}], run: {steps: 1}}"
    with pytest.raises(InputError, match=message):
        parse_recipe(recipe, overrides=[change])
