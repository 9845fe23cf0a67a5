"""Token prediction: against a plain reference, learning, resumed, and refused where it means nothing."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from slimvec.errors import InputError, ModelError
from slimvec.model.causal_lm import CausalLM
from slimvec.model.folder import load_model, save_model
from slimvec.model.lm_head import LMHead, load_lm_head
from slimvec.model.opening import open_model
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.sources import distinct_texts, read_training_data
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.training_run import train
from slimvec.training.step.prediction import PredictionSteps, TrainableStates, mask_id
from tests import tiny
from tests.training import support

TEXTS = ["the cat sat on the mat", "a bird", "north and south are not the same", "red and blue " * 6]
ADAPTED = ("adaptation={mask_share: 0.3, max_tokens: 60, step_tokens: 80}", "model={attention: bidirectional}")
OBJECTIVES = {
    "masked-next-token": ADAPTED,
    "masked-token": ("adaptation={objective: masked-token, max_tokens: 60, step_tokens: 80}", ADAPTED[1]),
    "next-token": ("adaptation={objective: next-token, max_tokens: 60, step_tokens: 80}",),
}


def steps(texts=TEXTS, objective="masked-next-token", **changes):
    settings = support.recipe(*OBJECTIVES[objective], *(f"{key}={value}" for key, value in changes.items()))
    made = tiny.embedding_model("gemma3_text", settings.adaptation.attention)
    weight = made.backbone.hf_model.get_input_embeddings().weight
    return made, PredictionSteps(texts, settings, tokenizer=made.tokenizer, head=LMHead(lambda: weight))


def test_texts_end_at_the_models_limit_too():
    settings = support.recipe(*OBJECTIVES["next-token"])
    made = tiny.embedding_model("gemma3_text", "causal")
    short = Tokenizer(made.tokenizer.backend, max_tokens=9)
    work = PredictionSteps(TEXTS, settings, tokenizer=short, head=LMHead(lambda: torch.zeros(1)))
    assert max(map(len, work._sequences)) == 9
    assert work._truncated.any()


def plain_loss(made, work, number, objective):
    """The loss of a step, text by text and place by place, in float64 after the states."""
    batch = work._batch(number)
    head = made.backbone.hf_model.get_input_embeddings().weight
    mask = made.tokenizer.backend.token_to_id("_")
    losses = []
    for text, chosen in zip(batch.texts, batch.predicted, strict=True):
        tokens = work._sequences[text].tolist()
        seen = list(tokens)
        if objective != "next-token":
            seen = [mask if place in chosen else token for place, token in enumerate(tokens)]
        states = made.backbone(PackedBatch.from_sequences([seen]))
        for place in range(1, len(tokens)) if objective == "next-token" else chosen:
            read = states[place if objective == "masked-token" else place - 1]
            losses.append(-torch.log_softmax(head.double() @ read.double(), dim=0)[tokens[place]])
    return torch.stack(losses).mean()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("micro_batch_tokens", [1, 64, 4096])
def test_loss_and_gradient_equal_a_plain_reference(micro_batch_tokens, objective):
    made, work = steps(objective=objective, **{"batch.micro_batch_tokens": micro_batch_tokens})
    made.requires_grad_(True)
    trainee = TrainableStates(made)
    for number in range(work.num_steps(1)):
        made.zero_grad()
        wanted = plain_loss(made, work, number, objective)
        wanted.backward()
        grads = {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}
        made.zero_grad()
        step = work.backward(number, trainee)
        assert step.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
        assert step.random_cosine is None
        for name, parameter in made.named_parameters():
            if name in grads:
                torch.testing.assert_close(parameter.grad, grads[name], rtol=2e-3, atol=1e-5)


def test_special_tokens_are_not_predicted_at_their_own_place():
    settings = support.recipe(*OBJECTIVES["masked-token"], "adaptation.mask_share=0.9")
    tokenizer = Tokenizer(tiny.bracketing_backend(), max_tokens=60)
    work = PredictionSteps([*TEXTS, "x"], settings, tokenizer=tokenizer, head=LMHead(lambda: torch.zeros(1)))
    for number in range(work.num_steps(2)):
        batch = work._batch(number)
        for text, places in zip(batch.texts, batch.predicted, strict=True):
            assert all(0 < place < len(work._sequences[text]) - 1 for place in places)
    with pytest.raises(InputError, match="no text has a token to predict; expected longer texts"):
        PredictionSteps(
            ["a"], support.recipe(*ADAPTED), tokenizer=tiny.embedding_model().tokenizer, head=LMHead(torch.zeros)
        )


@given(st.integers(0, 100), st.integers(1, 9), st.integers(2, 200))
def test_every_text_once_an_epoch_and_steps_near_their_size(seed, num_texts, step_tokens):
    texts = [f"text {'x' * (7 * number % 40)}" for number in range(num_texts)]
    settings = support.recipe(*ADAPTED, f"run.seed={seed}", f"adaptation.step_tokens={step_tokens}")
    tokenizer = tiny.embedding_model().tokenizer
    work = PredictionSteps(texts, settings, tokenizer=tokenizer, head=LMHead(lambda: torch.zeros(1)))
    for epoch in range(2):
        batches = [work._batch(number) for number in range(work.num_steps(epoch), work.num_steps(epoch + 1))]
        assert sorted(np.concatenate([b.texts for b in batches]).tolist()) == list(range(num_texts))
        assert batches[-1].epoch == epoch + 1
        for batch in batches:
            masked = [
                (text, place) for text, places in zip(batch.texts, batch.predicted, strict=True) for place in places
            ]
            assert masked
            assert all(1 <= place < len(work._sequences[text]) for text, place in masked)
            assert sum(len(work._sequences[text]) for text in batch.texts) < step_tokens + 60
    other = PredictionSteps(texts, settings, tokenizer=tokenizer, head=LMHead(lambda: torch.zeros(1)))
    first, again = (steps._batch(work.num_steps(1)) for steps in (work, other))
    assert again.texts.tolist() == first.texts.tolist()
    assert [places.tolist() for places in again.predicted] == [places.tolist() for places in first.predicted]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "model"
    save_model(tiny.embedding_model("gemma3_text"), folder)
    for name in ("slimvec.json", "modules.json"):
        (folder / name).unlink()
    return folder


STAGED = """\
base: {source: in-memory}
tuning: {method: full}
optim: {lr: 0.005, warmup: 0}
batch: {pairs: 6, max_query_tokens: 120, max_document_tokens: 120, micro_batch_tokens: 256, graph_tokens: 4096}
run: {steps: 2, seed: 3, dtype: fp32}
model: {attention: bidirectional, max_tokens: 200}
stages:
  - name: adapted
    data: [{path: texts.txt}]
    adaptation: {max_tokens: 60, step_tokens: 400}
    run: {epochs: 12}
  - name: paired
    data: [{path: pairs.jsonl}]
"""


@pytest.fixture
def recipe(tmp_path, base):
    lines = [record.positives[0] for record in support.records()]
    (tmp_path / "texts.txt").write_text("".join(f"{line}\n" for line in lines))
    rows = [{"query": record.query, "positives": record.positives} for record in support.records()]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(*overrides):
        return parse_recipe(STAGED, overrides=[f"base.source={base}", f"data_root={tmp_path}", *overrides])

    return make


def test_it_goes_down_and_a_contrastive_stage_goes_on(tmp_path, recipe):
    events = []
    result = train(recipe(), tmp_path / "out", on_step=[events.append])
    adapted = [event.loss for event in events if event.stage == "adapted"]
    assert sum(adapted[-3:]) < 0.7 * sum(adapted[:3])
    assert [event.step for event in events if event.stage == "paired"] == [1, 2]
    assert result.stages[0].data[0].num_used == 24
    assert load_model(tmp_path / "out").spec.attention == "bidirectional"


def test_resumed_equals_uninterrupted(tmp_path, recipe):
    def interrupt(event):
        if event.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    overrides = ("stages.0.tuning={method: lora, rank: 4, dropout: 0.1}",)
    assert not train(recipe(*overrides), tmp_path / "out", on_step=[interrupt]).finished
    train(recipe(*overrides), tmp_path / "out", resume=True)
    train(recipe(*overrides), tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "whole")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(("method", "merge"), [("full", None), ("lora", "true")])
def test_a_language_model_that_was_trained_is_kept_on_request(tmp_path, base, recipe, method, merge):
    changes = {"method": method, "keep_language_model": "true"} | ({"rank": 4, "merge": merge} if merge else {})
    predicted = "{objective: next-token, max_tokens: 60, step_tokens: 400}"
    settings = recipe(
        f"stages=[{{name: adapted, data: [{{path: texts.txt}}], adaptation: {predicted}}}]",
        f"tuning={{{', '.join(f'{key}: {value}' for key, value in changes.items())}}}",
        "model={attention: causal, max_tokens: 200}",
        "run={epochs: 6, seed: 3, dtype: fp32}",
    )
    train(settings, tmp_path / "out")
    texts = [record.positives[0] for record in support.records()]
    before, after = (
        CausalLM.load(open_model(folder), device=torch.device("cpu")) for folder in (base, tmp_path / "out")
    )
    assert mean_loss(after, texts) < 0.9 * mean_loss(before, texts)


def mean_loss(model, texts):
    """Loss of the next token, by the model's own head."""
    losses = []
    for text in texts:
        ids = tiny.tokenizer_backend().encode(text).ids
        with torch.inference_mode():
            states = model.backbone(PackedBatch.from_sequences([ids]))
            losses.append(float(model.head.loss(states[:-1], torch.tensor(ids[1:]))) / (len(ids) - 1))
    return np.mean(losses)


def test_a_causal_base_is_refused(tmp_path, recipe):
    with pytest.raises(
        InputError, match=r"which is causal, by masked-next-token; expected bidirectional attention; set"
    ):
        train(recipe("model={max_tokens: 200}"), tmp_path / "out")
    assert not (tmp_path / "out.training").exists()


def test_the_head_of_a_base(tmp_path, base):
    save_model(tiny.embedding_model("llama"), tmp_path / "untied")
    made = load_model(tmp_path / "untied")
    with pytest.raises(
        ModelError,
        match=r"untied has no lm_head.weight; expected a language model with its head, or one whose head is tied",
    ):
        load_lm_head(tmp_path / "untied", made.backbone)
    path = tmp_path / "untied" / "model.safetensors"
    head = torch.randn(tiny.VOCABULARY, 32)
    save_file(load_file(path) | {"lm_head.weight": head}, path, metadata={"format": "pt"})
    assert torch.equal(load_lm_head(tmp_path / "untied", made.backbone).weight(), head)
    tied = load_model(base)
    assert load_lm_head(base, tied.backbone).weight() is tied.backbone.hf_model.get_input_embeddings().weight
    save_model(tiny.embedding_model("bert", "bidirectional"), tmp_path / "encoder")
    with pytest.raises(ModelError, match=r"is an encoder \(bert\); expected a language model with a head"):
        load_lm_head(tmp_path / "encoder", made.backbone)


def test_mask_tokens():
    backend = tiny.tokenizer_backend()
    assert mask_id(backend, None) == backend.token_to_id("_")
    assert mask_id(backend, "<unk>") == backend.token_to_id("<unk>")
    with pytest.raises(InputError, match=r"no mask token: two is not a single token of the model; expected one"):
        mask_id(backend, "two")


def test_texts_are_positives_or_a_field(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(
        '{"query": "q", "positives": ["one", "two"]}\n{"query": "r", "positive": "one"}\n'
    )
    (tmp_path / "rows.jsonl").write_text('{"body": "three"}\n{"body": "four"}\n{"body": "five"}\n')
    pairs = support.recipe(*ADAPTED, f"data.0.path={tmp_path / 'pairs.jsonl'}")
    assert distinct_texts(read_training_data(pairs)[0]) == ["one", "two"]
    rows = support.recipe(*ADAPTED, f"data=[{{path: {tmp_path / 'rows.jsonl'}, limit: 2}}]", "adaptation.field=body")
    records, held = read_training_data(rows)
    assert set(distinct_texts(records)) < {"three", "four", "five"}
    assert (held[0].num_records, held[0].num_used) == (3, 2)
