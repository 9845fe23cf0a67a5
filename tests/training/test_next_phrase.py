"""Next-phrase training: against a plain reference, without a leak, learning, resumed, refused where it has no sense."""

import json
import os
import signal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from slimvec.errors import InputError
from slimvec.model.folder import save_model
from slimvec.model.lm_head import tied_head
from slimvec.model.pooling import pool
from slimvec.model.running_pooling import window_pool
from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch
from slimvec.text.prompts import Prompts
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.passages import read_passages
from slimvec.training.recipe.objectives import NextPhrase
from slimvec.training.recipe.reading import parse_recipe, recipe_yaml
from slimvec.training.run.forecast import tokens_per_step
from slimvec.training.run.training_run import train
from slimvec.training.step.next_phrase import NextPhraseSteps, draw_phrases
from slimvec.training.step.objective import make_objective
from slimvec.training.step.prediction import TrainableStates
from tests import tiny
from tests.training import support

TEXTS = [
    "The cat sat on the mat. It was red, north of here. The dog sleeps. The bird sings a song.",
    "Another text is here now. It says nothing of cats. Yet it is long enough to have phrases.",
    "The dog sleeps. The bird sings a song. And so it goes on and on, until the end of all days.",
    "The cat sat on the mat. It was red, north of here. The dog sleeps. The bird sings a song.",  # once more
]
SMALL = {"kind": "next-phrase", "phrase_tokens": [8, 16], "max_tokens": 70, "step_tokens": 400, "near_tokens": 12}
PROMPTS = Prompts(query="ask: ", document="d: ")


def steps(changes=None, *overrides, texts=TEXTS, lm=False, **spec):
    settings = support.recipe(f"objective={json.dumps({**SMALL, **(changes or {})})}", *overrides)
    made = tiny.embedding_model("gemma3_text", prompts=PROMPTS, **spec)
    made.requires_grad_(True)
    work = NextPhraseSteps(
        texts,
        settings,
        model=made,
        objective=make_objective(settings.loss),
        lm_head=tied_head(made.backbone) if lm else None,
    )
    return made, work


def alone(made, tokens, prefix):
    """The states of a text run by itself, float64."""
    batch = PackedBatch.from_sequences([tokens], [prefix])
    return made.backbone(batch), batch


def plain_loss(made, work, number, *, window=None, near=12, temperature=0.1, lm_weight=0.0):
    """The loss of a step, a text, a boundary and a candidate at a time."""
    tokenize = made.tokenizer.backend.encode
    head, document_head = tokenize("ask: ").ids, tokenize("d: ").ids
    pairs, predicted = [], []
    for phrases in work.phrases(number)[0]:
        passage = phrases.passage
        ids = passage.ids.tolist()
        for start, end in phrases.pairs:
            before = head + ids[:start]  # nothing behind the boundary is there at all
            states, batch = alone(made, before, len(head))
            if window is None:
                query = pool(states, batch, made.spec.pooling)[0]
                asked = passage.characters(0, start)
            else:
                query = states[max(len(head), len(before) - window) :].double().mean(0)
                asked = passage.characters(max(0, start - window), start)
            states, batch = alone(made, document_head + ids[start:end], len(document_head))
            document = pool(states, batch, made.spec.pooling)[0]
            text = passage.characters(start, end)
            vectors = [F.normalize(vector.double(), dim=0) for vector in (query, document)]
            pairs.append(
                (
                    *vectors,
                    " ".join(asked.lower().split()),
                    " ".join(text.lower().split()),
                    passage,
                    passage.start + start,
                )
            )
        states, _ = alone(made, head + ids, 0)
        weight = made.backbone.hf_model.get_input_embeddings().weight.double()
        for place in range(len(head), len(head) + len(ids)):
            predicted.append(-torch.log_softmax(weight @ states[place - 1].double(), 0)[(head + ids)[place]])
    losses = []
    for i, (query, document, asked, text, passage, start) in enumerate(pairs):
        right = {t for _, _, a, t, _, _ in pairs if a == asked} | {asked, text}
        logits = [query @ document / temperature]
        for j, (_, other, _, other_text, other_passage, other_start) in enumerate(pairs):
            own = other_passage.text == passage.text and (near is None or other_start <= start + near)
            if i != j and not own and other_text not in right:
                logits.append(query @ other / temperature)
        losses.append(torch.logsumexp(torch.stack(logits), 0) - logits[0])
    total = torch.stack(losses).mean()
    return total + lm_weight * torch.stack(predicted).mean() if lm_weight else total


VARIANTS = {
    "window": ({"window_tokens": 6}, {"window": 6}, {}),
    "beginning": ({"query": "beginning"}, {}, {"pooling": Pooling(mode="weighted")}),
    "whole text left out": ({"near_tokens": None, "window_tokens": 9}, {"window": 9, "near": None}, {}),
    "language model": ({"window_tokens": 6, "lm_weight": 0.5}, {"window": 6, "lm_weight": 0.5}, {}),
}


@pytest.mark.parametrize(
    ("variant", "micro", "graph"),
    [("window", 4096, 4096), *((variant, 64, 0) for variant in VARIANTS), ("language model", 4096, 4096)],
)
def test_loss_and_gradient_equal_a_plain_reference(variant, micro, graph):
    settings, plain, spec = VARIANTS[variant]
    overrides = (f"batch.micro_batch_tokens={micro}", f"batch.graph_tokens={graph}")
    made, work = steps(settings, *overrides, lm="lm_weight" in settings, **spec)
    assert work.num_steps(1) == 1
    wanted = plain_loss(made, work, 0, **plain)
    wanted.backward()
    grads = {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}
    made.zero_grad()
    step = work.backward(0, TrainableStates(made, pooled=True))
    assert step.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert ("next-token" in step.losses) == ("lm_weight" in settings)
    assert step.pairs > 10
    for name, parameter in made.named_parameters():
        if name in grads:
            torch.testing.assert_close(parameter.grad, grads[name], rtol=2e-3, atol=2e-5, msg=name)


def test_a_phrase_of_the_same_pass_would_give_the_answer_away():
    """Phrases of random letters cannot be foreseen: by themselves they are found by chance, in the pass at once."""
    dice = np.random.default_rng(0)
    words = ["".join(chr(97 + letter) for letter in dice.integers(0, 26, 7)) for _ in range(240)]
    texts = [" ".join(words[start : start + 8]) for start in range(0, 240, 8)]
    made, work = steps({"boundaries": "tokens", "window_tokens": 12, "step_tokens": 9999}, texts=texts)
    pairs = [(p.passage, start, end) for p in work.phrases(0)[0] for start, end in p.pairs]
    firsts = {id(passage): (passage, start, end) for passage, start, end in reversed(pairs)}
    chosen = list(firsts.values())  # a pair a text
    same, apart, queries = [], [], []
    with torch.no_grad():
        for passage, start, end in chosen:
            states, _ = alone(made, passage.ids.tolist(), 0)
            queries.append(states[max(0, start - 12) : start].mean(0))
            same.append(states[start:end].mean(0))
            apart.append(alone(made, passage.ids[start:end].tolist(), 0)[0].mean(0))
    rank = {}
    for name, documents in (("same", same), ("apart", apart)):
        stacked = torch.stack(queries), torch.stack(documents)
        query, document = (F.normalize(v - v.mean(0), dim=-1) for v in stacked)
        scores = query @ document.T
        rank[name] = float((scores > scores.diagonal()[:, None]).float().mean())
    assert rank["apart"] == pytest.approx(0.5, abs=0.12)  # 30 texts: chance
    assert rank["same"] < 0.3


@settings(max_examples=30)
@given(st.integers(0, 60), st.sampled_from(["sentences", "tokens", "one"]), st.integers(2, 12), st.integers(0, 12))
def test_phrases_part_a_passage_within_their_lengths(seed, boundaries, low, more):
    dice = np.random.default_rng(seed)
    text = " ".join("ab." if dice.random() < 0.2 else "Xyz"[: 1 + dice.integers(3)] for _ in range(60))
    lengths = NextPhrase(kind="next-phrase", boundaries=boundaries, phrase_tokens=(low, low + more), max_tokens=90)
    tokenizer = Tokenizer(tiny.tokenizer_backend(), max_tokens=10)  # the limit cuts nothing off here
    passages = read_passages([text, text], tokenizer, least=2 * low, most=90)
    assert "".join(p.characters(0, len(p)) for p in passages if p.start or len(p) <= 90).startswith(text[:40])
    for passage in passages:
        assert 2 * low <= len(passage) <= 90
        borders = draw_phrases(passage, lengths, np.random.default_rng(seed)).borders
        sizes = np.diff(borders)
        assert borders[0] == 0
        assert low <= sizes[1:].min(initial=low)
        assert sizes[1:].max(initial=0) <= low + more
        if boundaries == "one":
            assert len(borders) == 3
        else:
            assert borders[-1] == len(passage) or sizes[-1] == low + more


def test_windows_are_means_whatever_their_overlap():
    states = torch.randn(40, 5, dtype=torch.float64, requires_grad=True)
    starts, ends = torch.tensor([0, 3, 3, 39]), torch.tensor([40, 4, 30, 40])
    found = window_pool(states, starts, ends)
    wanted = torch.stack([states[a:b].mean(0) for a, b in zip(starts, ends, strict=True)])
    torch.testing.assert_close(found, wanted.float())
    (grad,) = torch.autograd.grad(found.sum(), states)
    torch.testing.assert_close(grad, torch.autograd.grad(wanted.sum(), states)[0])


RUN = """\
base: {source: in-memory}
tuning: {method: lora, rank: 4, dropout: 0.1}
optim: {lr: 0.01, warmup: 0}
loss: {temperature: 0.1}
batch: {micro_batch_tokens: 256, graph_tokens: 0}
model: {max_tokens: 200}
run: {steps: 6, seed: 3, dtype: fp32}
data: [{path: texts.jsonl}]
objective: {kind: next-phrase, phrase_tokens: [6, 12], max_tokens: 60, step_tokens: 300, window_tokens: 12}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("phrases")
    save_model(tiny.embedding_model("gemma3_text"), made / "base")
    rows = [{"text": " ".join(f"{r.query} {r.positives[0]}." for r in support.records()[i : i + 3])} for i in range(20)]
    (made / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def test_it_learns_and_resumed_equals_uninterrupted(folder, tmp_path):
    recipe = parse_recipe(RUN, overrides=[f"base.source={folder / 'base'}", f"data_root={folder}"])
    events = []

    def interrupt(event):
        events.append(event)
        if event.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    assert not train(recipe, tmp_path / "out", on_step=[interrupt]).finished
    train(recipe, tmp_path / "out", resume=True, on_step=[events.append])
    result = train(recipe, tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "whole")]
    assert weights[0] == weights[1]
    assert sum(event.loss for event in events[-2:]) < 0.9 * sum(event.loss for event in events[:2])
    assert result.stages[0].data[0].num_used == 20
    assert parse_recipe(recipe_yaml(recipe)) == recipe


GIVEN = "base: {source: in-memory}\ndata: [{path: none.jsonl}]\nrun: {steps: 1}\n"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "objective={kind: nextphrase}",
            r"objective.kind is 'nextphrase'; expected one of contrastive, anchor, next",
        ),
        ("objective={window_tokens: 3}", r"objective.kind is missing; expected one of contrastive"),
        ("objective={kind: next-phrase, window: 3}", r"unknown key 'objective.window'.*did you mean 'window_tokens'"),
        ("objective={kind: next-phrase, phrase_tokens: [9, 3]}", r"phrase_tokens \[9, 3\] must be the least, then"),
        ("objective={kind: next-phrase, phrase_tokens: [90, 99], max_tokens: 99}", "holds no two phrases of 90 tokens"),
        ("objective={kind: next-phrase, query: beginning, window_tokens: 9}", "window_tokens belongs to query window"),
        (
            "objective={kind: next-phrase, max_tokens: 4}",
            "objective.max_tokens is 4; expected greater than or",
        ),
        ("objective={kind: crops, shares: [0.5, 0.1]}", r"shares \[0.5, 0.1\] must be the least"),
    ],
)
def test_a_wrong_section_is_said_with_its_place(override, message):
    with pytest.raises(InputError, match=message):
        parse_recipe(GIVEN, overrides=[override])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.attention=bidirectional"], "next-phrase with bidirectional attention reads the answer; set model.att"),
        (["loss.hardness=5"], "hardness belongs to records, and objective next-phrase has texts"),
        (["data.0.rearrange={rotate: 1}"], "rearrange belongs to pairs, and objective next-phrase has texts"),
        (["validation={share: 0.1}"], "validation holds out pairs, and objective next-phrase has texts"),
        (["model.max_tokens=50", "objective.max_tokens=60"], "max_tokens 60 is above the model's max_tokens 50"),
        (["adaptation={objective: next-token}"], "adaptation beside objective next-phrase; leave one of them out"),
    ],
)
def test_settings_that_contradict_it_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        parse_recipe(GIVEN, overrides=["objective={kind: next-phrase}", *overrides])


def test_models_and_texts_without_a_query_are_refused():
    settings = support.recipe(f"objective={json.dumps(SMALL)}")
    made = tiny.embedding_model("gemma3_text", "bidirectional")
    with pytest.raises(InputError, match=r"bidirectional; expected causal attention: queries must not see"):
        NextPhraseSteps(TEXTS, settings, model=made, objective=make_objective(settings.loss))
    with pytest.raises(InputError, match=r"with last pooling and query window; expected a pooling over several"):
        steps(pooling=Pooling(mode="last"))
    with pytest.raises(InputError, match=r"1 passage of 16 tokens or more in 2 texts; expected at least 2"):
        steps(texts=["short", TEXTS[0][:60]])


def test_stages_change_the_kind_and_leave_the_rest():
    staged = (
        GIVEN
        + "objective: {kind: next-phrase, window_tokens: 8}\nstages:\n  - name: a\n    objective: {near_tokens: 5}\n"
    )
    staged += "  - name: b\n    objective: {kind: crops}\n  - name: c\n    objective: {kind: contrastive}\n"
    kinds = [stage.recipe.objective for stage in parse_recipe(staged).stage_recipes()]
    assert [kind.kind for kind in kinds] == ["next-phrase", "crops", "contrastive"]
    assert (kinds[0].window_tokens, kinds[0].near_tokens) == (8, 5)


def test_a_forecast_counts_passages_and_phrases():
    recipe = parse_recipe(GIVEN, overrides=["objective={kind: next-phrase, step_tokens: 1000}"])
    assert tokens_per_step(recipe) == 2000
    assert tokens_per_step(recipe, num_processes=3) == 667
