"""Reconstruction of a text from the vector of its pair: against a plain reference, and reading the vector at all."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.model.folder import save_model
from slimvec.model.lm_head import tied_head
from slimvec.text.batch import PackedBatch
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.training_run import train
from slimvec.training.step.contrastive import ContrastiveSteps
from slimvec.training.step.objective import make_objective
from slimvec.training.step.reconstruction import Reconstruction, soft_tokens
from tests import tiny
from tests.training import support


def steps(*overrides, mode="causal", records=None):
    settings = support.recipe("objective={kind: anchor}", *overrides)
    made = tiny.embedding_model("gemma3_text", mode)
    made.requires_grad_(True)
    tokens = settings.batch.micro_batch_tokens
    reconstruction = Reconstruction(
        made, tied_head(made.backbone), settings.objective, micro_batch_tokens=tokens, seed=settings.run.seed
    )
    work = ContrastiveSteps(
        records or support.records(),
        settings,
        objective=make_objective(settings.loss),
        collator=support.collator(made, settings),
        reconstruction=reconstruction,
    )
    return made, reconstruction, work


def plain_loss(made, reconstruction, work, number, drop=0.5):
    """Both reconstructions of a step, a text at a time; InfoNCE is another test's."""
    chosen = work._plan.step(number).indices
    texts = work._collator([work._augmentation.draw([i], 0).records[0] for i in chosen], epoch=0)
    pairs = len(chosen)
    sequences, prefixes = texts.tokenized.sequences, texts.tokenized.prefix_lengths
    vectors = [
        F.normalize(made(PackedBatch.from_sequences([ids], [prefix]))[0], dim=0)
        for ids, prefix in zip(sequences[: 2 * pairs], prefixes, strict=False)
    ]
    embedding = made.backbone.hf_model.get_input_embeddings()
    mask = made.tokenizer.backend.token_to_id("_")
    means = []
    for side in range(2):
        losses = []
        for i, row in enumerate(chosen):
            ids = sequences[side * pairs + i][prefixes[side * pairs + i] :]
            dice = np.random.Generator(np.random.PCG64([3, number, row, side]))
            gone = dice.random(len(ids)) < drop
            seen = [mask if dropped else token for token, dropped in zip(ids, gone, strict=True)]
            batch = PackedBatch.from_sequences([[mask, *seen[:-1]]])
            soft = reconstruction.matrix @ vectors[(1 - side) * pairs + i]
            with soft_tokens(embedding, torch.tensor([0]), soft[None]):
                states = made.backbone(batch)
            logs = torch.log_softmax(states.double() @ embedding.weight.double().T, dim=-1)
            losses += [-logs[place, token] for place, token in enumerate(ids)]
        means.append(torch.stack(losses).mean())
    return 0.8 * means[0] + 0.2 * means[1], means


@pytest.mark.parametrize(("micro", "graph"), [(4096, 4096), (64, 0)])
def test_loss_and_gradient_equal_a_plain_reference(micro, graph):
    sizes = (f"batch.micro_batch_tokens={micro}", f"batch.graph_tokens={graph}")
    made, reconstruction, work = steps(*sizes, "objective.alone=true")
    wanted, means = plain_loss(made, reconstruction, work, 1)
    wanted.backward()
    named = [("matrix", reconstruction.matrix), *made.named_parameters()]
    grads = {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}
    for _, parameter in named:
        parameter.grad = None
    step = work.backward(1, made)
    assert step.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert step.losses["query-from-document"] == pytest.approx(float(means[0].detach()), rel=1e-5)
    assert step.losses["document-from-query"] == pytest.approx(float(means[1].detach()), rel=1e-5)
    assert {"matrix"} < grads.keys()
    for name, parameter in named:
        if name in grads:
            torch.testing.assert_close(parameter.grad, grads[name], rtol=2e-3, atol=2e-5, msg=name)


def test_it_adds_to_the_losses_of_vectors():
    _, _, work = steps("objective.alone=true")
    alone = work.backward(0, work._reconstruction._model)
    made, _, both_steps = steps()
    both = both_steps.backward(0, made)
    assert both.loss == pytest.approx(alone.loss + both.losses["contrastive"], rel=1e-5)


RUN = """\
base: {source: in-memory}
tuning: {method: full}
optim: {lr: 0.01, warmup: 0}
batch: {pairs: 8, micro_batch_tokens: 400}
run: {steps: 25, seed: 3, dtype: fp32, collapse_limit: 1}
model: {max_tokens: 100, prompts: {query: ""}}
data: [{path: pairs.jsonl}]
objective: {kind: anchor, alone: true, document_weight: 0, drop: 0.9}
"""


def test_the_decoder_comes_to_read_the_vector():
    """Queries are one letter over and over, which nothing but the vector tells: another text's vector misleads."""
    pairs = [Record(6 * letter, (f"all about {letter}{letter}",), source="made") for letter in "abcdefgh"]
    sections = ("objective={kind: anchor, alone: true, document_weight: 0, drop: 0.9}", "batch.pairs=8")
    made, reconstruction, work = steps(*sections, records=pairs)
    weights = [*made.parameters(), reconstruction.matrix]
    optimizer = torch.optim.AdamW(weights, lr=0.01)
    for number in range(40):
        loss = work.backward(number, made).losses["query-from-document"]
        optimizer.step()
        optimizer.zero_grad()
    texts = work._collator(pairs, epoch=0).tokenized
    found = {}
    with torch.no_grad():
        vectors = F.normalize(made(texts.pack()), dim=-1)
        for name, given in (("own", vectors), ("another's", torch.cat([vectors[:8], vectors[8:].roll(1, 0)]))):
            jobs = [job for job in reconstruction._jobs(texts, range(8)) if job.part == "query-from-document"]
            found[name] = float(reconstruction._predict(jobs, given, 0).sum())
    assert found["another's"] - found["own"] > 0.5, (loss, found)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.attention=bidirectional"], "anchor with bidirectional attention predicts what it reads"),
        (["tuning.first_layer=2"], "anchor with tuning.first_layer: what it reads goes through all layers"),
        (["tuning={method: full}", "run.shard=true"], "shard with objective anchor"),
        (["objective.query_weight=0", "objective.document_weight=0"], "both 0, which leaves nothing to reconstruct"),
    ],
)
def test_settings_that_contradict_it_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        support.recipe("objective={kind: anchor}", *overrides)


def test_a_bidirectional_base_is_refused(tmp_path):
    save_model(tiny.embedding_model("gemma3_text", "bidirectional"), tmp_path / "base")
    (tmp_path / "pairs.jsonl").write_text('{"query": "a", "positive": "b"}\n{"query": "c", "positive": "d"}\n')
    recipe = parse_recipe(RUN, overrides=[f"base.source={tmp_path / 'base'}", f"data_root={tmp_path}"])
    with pytest.raises(InputError, match="which is bidirectional; expected causal attention, so that it can predict"):
        train(recipe, tmp_path / "out")
