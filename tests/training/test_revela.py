"""Revela: attention to other passages, the loss and its gradient against plain references, and what it teaches."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from slimvec.errors import InputError
from slimvec.model.attention import Packing
from slimvec.model.cross_attention import CrossPacking
from slimvec.model.folder import save_model
from slimvec.model.lm_head import tied_head
from slimvec.text.batch import PackedBatch
from slimvec.training.run.training_run import train
from slimvec.training.step.revela import RevelaSteps
from tests import tiny
from tests.training import support
from tests.training.test_next_phrase import PROMPTS, TEXTS


def test_attention_equals_plain_loops():
    generator = torch.Generator().manual_seed(0)
    lengths = (3, 5, 2, 3, 5, 2)
    query = torch.randn(4, 20, 8, generator=generator, dtype=torch.float64)
    key, value = (torch.randn(2, 20, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    weights = torch.rand(3, 3, generator=generator)
    batch = PackedBatch.from_sequences([[1] * length for length in lengths])
    attends = CrossPacking(Packing.of(batch, "causal"), lengths, weights, strength=0.5)
    found = attends.attend(query, key, value, scale=0.3, window=None)
    starts, texts = np.cumsum([0, *lengths]), batch.text_ids().tolist()
    for head in range(4):
        k, v = key[head // 2], value[head // 2]
        for place in range(20):
            own = slice(starts[texts[place]], place + 1)
            wanted = torch.softmax(0.3 * k[own] @ query[head, place], dim=0) @ v[own]
            for j in range(3) if place >= 10 else ():
                seen = slice(starts[j], starts[j + 1])  # the plain copy of the other text
                scores = torch.softmax(0.3 * k[seen] @ query[head, place], dim=0)
                direction = scores @ v[seen] / (scores @ v[seen].norm(dim=1))
                wanted += 0.5 * (0 if j == texts[place] - 3 else weights[texts[place] - 3, j]) * direction
            torch.testing.assert_close(found[place, head], wanted, rtol=1e-5, atol=1e-5)


def test_what_is_read_are_the_plain_states_of_the_others():
    """The copies that are read are those of the model by itself, whatever the weights."""
    made = tiny.embedding_model("gemma3_text", "causal")
    rows = [[5, 6, 7, 8], [9, 10, 11]]
    alone, both = PackedBatch.from_sequences(rows), PackedBatch.from_sequences(rows + rows)
    attends = CrossPacking(Packing.of(both, "causal"), both.lengths, torch.full((2, 2), 1.0))
    with torch.no_grad():
        states = made.backbone(both, attends=attends)
        torch.testing.assert_close(states[:7], made.backbone(alone), rtol=1e-5, atol=1e-5)
    assert (states[7:] - states[:7]).abs().max() > 0.01


def steps(changes="", *overrides, texts=TEXTS, mode="causal", passages=3):
    sizes = f"max_tokens: 60, step_tokens: 600, passages: {passages}"
    section = f"{{kind: revela, {sizes}, temperature: 0.3, strength: 0.7{changes}}}"
    settings = support.recipe(f"objective={section}", *overrides)
    made = tiny.embedding_model("gemma3_text", mode, prompts=PROMPTS)
    made.requires_grad_(True)
    return made, RevelaSteps(texts, settings, model=made, head=tied_head(made.backbone))


def plain_loss(made, work, number, uniform):
    """The loss of a step in one graph, the vectors text by text."""
    tokenize = made.tokenizer.backend.encode
    embedding = made.backbone.hf_model.get_input_embeddings().weight
    losses = []
    for group in (work._groups[i] for i in work._deal.step(number)[0].tolist()):
        vectors = []
        for prompt, part in (("ask: ", 0.5), ("d: ", 1)):
            head = tokenize(prompt).ids
            rows = [head + p.ids[: int(len(p) * part)].tolist() for p in group]
            vectors.append(torch.cat([made(PackedBatch.from_sequences([row], [len(head)])) for row in rows]))
        cosines = F.normalize(vectors[0], dim=-1) @ F.normalize(vectors[1], dim=-1).T
        rows = []
        for i in range(len(group)):
            others = torch.cat([cosines[i, :i], cosines[i, i + 1 :]])
            a = torch.full_like(others, 1 / len(others)) if uniform else torch.softmax(others / 0.3, dim=0)
            rows.append(torch.cat([a[:i], a.new_zeros(1), a[i:]]))
        batch = PackedBatch.from_sequences([p.ids.tolist() for p in (*group, *group)])
        attends = CrossPacking(Packing.of(batch, "causal"), batch.lengths, torch.stack(rows), 0.7)
        texts = torch.split(made.backbone(batch, attends=attends), list(batch.lengths))[len(group) :]
        for passage, states in zip(group, texts, strict=True):
            logs = torch.log_softmax(states.double() @ embedding.double().T, dim=-1)
            losses += [-logs[t - 1, passage.ids[t]] for t in range(len(passage) // 2, len(passage))]
    return torch.stack(losses).mean()


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize(("micro", "graph"), [(4096, 4096), (64, 0)])
def test_loss_and_gradient_equal_a_plain_reference(uniform, micro, graph):
    sizes = (f"batch.micro_batch_tokens={micro}", f"batch.graph_tokens={graph}")
    made, work = steps(", weights: uniform" if uniform else "", *sizes)
    assert len(work._deal.step(0)[0]) == 2
    wanted = plain_loss(made, work, 0, uniform)
    wanted.backward()
    grads = {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}
    made.zero_grad()
    step = work.backward(0, made)
    assert step.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert step.losses == {"next-token": pytest.approx(step.loss)}
    for name, parameter in made.named_parameters():
        if name in grads:
            torch.testing.assert_close(parameter.grad, grads[name], rtol=2e-3, atol=2e-5, msg=name)


def test_passages_of_a_text_stand_together_and_every_one_once():
    texts = [f"{name} " * 40 for name in ("one", "two", "three", "four", "five")]
    _, work = steps(texts=texts, passages=3)
    row = [passage for group in work._groups for passage in group]
    assert len(row) == len({(p.text_id, p.start) for p in row}) > 10
    changes = sum(first.text_id != second.text_id for first, second in pairwise(row))
    assert changes == 4
    assert {len(group) for group in work._groups} <= {3, 4}


def test_a_run_of_it_goes_down(tmp_path):
    save_model(tiny.embedding_model("gemma3_text"), tmp_path / "base")
    rows = [{"text": f"{record.query} {record.positives[0]} " * 2} for record in support.records()]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    events = []
    section = "{kind: revela, max_tokens: 60, passages: 3, step_tokens: 400}"
    paths = (f"base.source={tmp_path / 'base'}", f"data.0.path={tmp_path / 'texts.jsonl'}")
    recipe = support.recipe(f"objective={section}", *paths, "run.steps=8", "tuning={method: full}")
    train(recipe, tmp_path / "out", on_step=[events.append])
    assert events[-1].loss < 0.9 * events[0].loss
    assert events[0].pairs > 4


def test_a_bidirectional_base_and_frozen_layers_are_refused():
    with pytest.raises(InputError, match="which is bidirectional; expected causal attention"):
        steps(mode="bidirectional")
    with pytest.raises(InputError, match=r"revela with tuning.first_layer: what it reads goes through all layers"):
        support.recipe("objective={kind: revela}", "tuning.first_layer=2")
