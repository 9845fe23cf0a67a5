"""Models from scratch: their tokenizer, their weights by the seed, and a whole run from random weights to vectors."""

import json
import os
import signal

import numpy as np
import pytest
import torch

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.model.folder import load_model
from slimvec.model.manifest import read_manifest
from slimvec.model.scratch import SPECIAL_TOKENS, Shape, TokenizerChoice
from slimvec.model.scratch_model import draw_model, train_tokenizer
from slimvec.model.shapes import count_weights
from slimvec.model.spec import ModelSpec
from slimvec.reports.amounts import parse_size
from slimvec.training.recipe.reading import parse_recipe, recipe_yaml
from slimvec.training.run.forecast import base_config, forecast
from slimvec.training.run.outline import outline_recipe
from slimvec.training.run.training_run import train
from tests import tiny
from tests.training import support

TEXTS = [f"{a} {b} {c}" for a in support.WORDS for b in support.WORDS for c in ("there", "here", "nowhere")]
SHAPE = Shape(hidden=32, layers=2, heads=4, kv_heads=2, intermediate=48, max_positions=128)
RECIPE = """\
base:
  shape: {hidden: 32, layers: 2, heads: 4, kv_heads: 2, intermediate: 48, max_positions: 128}
  tokenizer: {vocabulary: 300}
model: {max_tokens: 100, attention: causal, prompts: {query: ""}}
tuning: {method: full}
optim: {lr: 0.01, warmup: 0.1}
batch: {pairs: 6, max_query_tokens: 60, max_document_tokens: 60, micro_batch_tokens: 512}
run: {seed: 3, dtype: fp32, tokens: 1500}
stages:
  - name: pretrained
    data: [{path: texts.txt}]
    adaptation: {objective: next-token, max_tokens: 60, step_tokens: 150}
  - name: paired
    data: [{path: pairs.jsonl}]
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    rows = [{"query": record.query, "positives": record.positives} for record in support.records()]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(*overrides):
        return parse_recipe(RECIPE, overrides=[f"data_root={tmp_path}", *overrides])

    return make


ENCODER = ("stages.0.adaptation.objective=masked-token", "model.attention=bidirectional")


def draw(seed=0, mode="causal", choice=None):
    spec = ModelSpec(attention=mode, max_tokens=100)
    choice = choice or TokenizerChoice(vocabulary=300)
    return draw_model(SHAPE, choice, spec, texts=TEXTS, seed=seed, dtype=torch.float32)


def test_a_tokenizer_of_its_own():
    backend = train_tokenizer(TEXTS, 300)
    assert backend.get_vocab_size() == 300
    assert [backend.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3]
    for text in ("red cat there", "日本語 \N{SNOWMAN}", "a\tb"):
        encoded = backend.encode(text)
        assert (encoded.tokens[0], encoded.tokens[-1]) == ("<s>", "</s>")
        assert backend.decode(encoded.ids, skip_special_tokens=True) == text
    assert train_tokenizer(iter(TEXTS), 300).to_str() == backend.to_str()
    with pytest.raises(InputError, match=r"the texts give a vocabulary of 26\d tokens; expected 900, as"):
        train_tokenizer(["ab ab"], 900)


def test_weights_follow_the_seed_and_twins_begin_alike():
    state = torch.get_rng_state()
    first, again, other = draw(1), draw(1, "bidirectional"), draw(2)
    assert torch.equal(torch.get_rng_state(), state)
    assert (first.spec.attention, again.spec.attention) == ("causal", "bidirectional")
    for (name, one), two, three in zip(first.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three) == ("norm" in name)


def test_another_models_tokenizer(tmp_path):
    tiny.save_causal_model(tmp_path / "base")
    made = draw(choice=TokenizerChoice(source=str(tmp_path / "base")))
    assert made.tokenizer.backend.get_vocab_size() == made.backbone.config.vocab_size == tiny.VOCABULARY - 6
    assert made.backbone.hf_model.get_input_embeddings().padding_idx is None
    Embedder.from_model(made).save(tmp_path / "saved")
    assert Embedder.load(tmp_path / "saved").verify(tmp_path / "saved") > 0.999


def test_ids_that_a_tokenizer_leaves_out_have_a_row(tmp_path):
    tokenizer = json.loads(tiny.tokenizer_backend().to_str())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"] = max(vocabulary.values()) + 7
    tiny.save_causal_model(tmp_path / "base")
    (tmp_path / "base/tokenizer.json").write_text(json.dumps(tokenizer))
    made = draw(choice=TokenizerChoice(source=str(tmp_path / "base")))
    assert Embedder.from_model(made).embed(["a"]).vectors.shape == (1, 32)


@pytest.mark.parametrize("twin", [(), ENCODER], ids=["decoder", "encoder"])
def test_from_random_weights_to_vectors(tmp_path, recipe, twin):
    events = []
    result = train(recipe(*twin), tmp_path / "out", on_step=[events.append])
    losses = {stage: [e.loss for e in events if e.stage == stage] for stage in ("pretrained", "paired")}
    assert sum(losses["pretrained"][-3:]) < 0.9 * sum(losses["pretrained"][:3])
    assert sum(losses["paired"][-3:]) < sum(losses["paired"][:3])
    for stage in result.stages:
        own = [event for event in events if event.stage == stage.name]
        assert sum(event.tokens for event in own[:-1]) < 1500 <= stage.progress.tokens
        assert own[-1].share == 1
    manifest = read_manifest(tmp_path / "out")
    assert manifest.base.source == "random weights, seed 3"
    assert manifest.spec.attention == ("bidirectional" if twin else "causal")
    embedder = Embedder.load(tmp_path / "out")
    assert embedder.verify(tmp_path / "out") > 0.999
    assert np.isfinite(embedder.embed_documents(["red cat", "unseen \N{SNOWMAN}"])).all()


def test_resumed_equals_uninterrupted(tmp_path, recipe):
    def interrupt(event):
        if event.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    assert not train(recipe(), tmp_path / "out", on_step=[interrupt]).finished
    assert not train(recipe(), tmp_path / "out", resume=True, on_step=[interrupt]).finished
    train(recipe(), tmp_path / "out", resume=True)
    train(recipe(), tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "whole")]
    assert weights[0] == weights[1]
    assert load_model(tmp_path / "out").tokenizer.backend.get_vocab_size() == 300


def test_plan_and_outline_know_a_new_model(recipe):
    settings = recipe()
    config = base_config(settings.base)
    assert count_weights(config).total == sum(p.numel() for p in draw().parameters())
    first, second = (forecast(stage.recipe, config, memory=parse_size("4GB")) for stage in settings.stage_recipes())
    assert (first.tokens_per_step, first.keeps_graph, first.graph_tokens) == (150, True, None)
    assert first.bytes["scores"] > 0
    assert "scores" not in second.bytes
    outline = outline_recipe(settings)
    assert (outline.base, outline.base_found) == ("a new llama model", "random weights")
    assert [stage.objective for stage in outline.stages] == ["next-token", "contrastive"]
    assert [stage.tokens for stage in outline.stages] == [1500, 1500]
    with pytest.raises(InputError, match="no model 'nothing': no such folder or file"):
        outline_recipe(recipe("base.tokenizer={source: nothing}"))
    assert parse_recipe(recipe_yaml(settings)) == settings


def test_a_limit_of_texts_that_is_not_given_follows_the_models(recipe):
    settings = recipe("stages=[]", "data=[{path: texts.txt}]", "adaptation={objective: next-token}")
    assert settings.adaptation.max_tokens > settings.model.max_tokens
    assert parse_recipe(recipe_yaml(settings)) == settings


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["base.source=x"], "both are given; give one of source, shape"),
        (["base.shape=null"], "neither is given; give one of source, shape"),
        (["base.tokenizer=null"], "shape and tokenizer go together; give both or none"),
        (["base.tokenizer={vocabulary: 300, source: x}"], "give one of source, vocabulary"),
        (["base.tokenizer.vocabulary=259"], "base.tokenizer.vocabulary"),
        (["base.shape.heads=5"], "hidden 32 is not shared by 5 heads of an even width each"),
        (["base.shape.kv_heads=3"], "heads 4 are not shared by kv_heads 3"),
        (["model.max_tokens=129"], "max_tokens 129 is above the shape's max_positions 128"),
        (
            ["model.attention=bidirectional"],
            "by next-token with bidirectional attention reads the answer; set model.att",
        ),
        (["stages.0.adaptation.objective=masked-token"], "with causal attention has nothing to learn; set model.att"),
        (["stages.0.adaptation.max_tokens=101"], "max_tokens 101 is above the model's max_tokens 100"),
        (
            ["stages.0.data=[{path: texts.txt, rearrange: {rotate: 1}}]"],
            "rearrange belongs to pairs, and an adaptation has texts; leave one of them out",
        ),
        (["stages.0.adaptation.mask_share=0.2"], "mask_share with objective next-token, which masks nothing"),
        (["run.steps=3"], "steps and tokens are all given; give one of steps, tokens, epochs, max_minutes"),
    ],
)
def test_what_makes_no_sense_is_refused(recipe, overrides, message):
    with pytest.raises(InputError) as error:
        recipe(*overrides)
    assert message in str(error.value)
