"""SimCSE and random crops, the controls of next-phrase training: the pairs they make, and exact gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from slimvec.text.batch import PackedBatch
from slimvec.training.step.objective import make_objective
from slimvec.training.step.text_views import TextViewSteps, dropout_behind
from tests import tiny
from tests.training import support
from tests.training.test_next_phrase import PROMPTS, TEXTS

SECTIONS = {
    "simcse": "{kind: simcse, max_tokens: 60, step_tokens: 400, dropout: 0.3}",
    "crops": "{kind: crops, max_tokens: 60, step_tokens: 400, shares: [0.2, 0.6], drop: 0.2}",
}


def steps(kind, *overrides):
    settings = support.recipe(f"objective={SECTIONS[kind]}", *overrides)
    made = tiny.embedding_model("gemma3_text", prompts=PROMPTS)
    made.requires_grad_(True)
    return made, TextViewSteps(TEXTS, settings, model=made, objective=make_objective(settings.loss))


def gradients(kind, *overrides):
    made, work = steps(kind, *overrides)
    made.train()
    torch.manual_seed(5)
    step = work.backward(0, made)
    return step, {name: p.grad for name, p in made.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_step_in_pieces_with_the_same_dropout_is_exact(kind):
    """The pieces are the same, so that dropout is; what differs is whether their graphs are kept or made again."""
    kept, wanted = gradients(kind, "batch.micro_batch_tokens=150", "batch.graph_tokens=9999")
    again, found = gradients(kind, "batch.micro_batch_tokens=150", "batch.graph_tokens=0")
    assert again.loss == pytest.approx(kept.loss, rel=1e-6)
    assert found.keys() == wanted.keys()
    for name, grad in wanted.items():
        torch.testing.assert_close(found[name], grad, rtol=1e-4, atol=1e-6, msg=name)


def test_crops_equal_a_plain_reference():
    made, work = steps("crops")
    views = work._views([(p, np.random.Generator(np.random.PCG64([3, 0, i]))) for i, p in enumerate(work._passages)])
    chosen = work._deal.step(0)[0].tolist()
    rows = [views.sequences[k * len(work._passages) + i] for k in range(2) for i in chosen]
    prefixes = [views.prefix_lengths[k * len(work._passages)] for k in range(2) for _ in chosen]
    vectors = [
        F.normalize(made(PackedBatch.from_sequences([row], [prefix]))[0].double(), dim=0)
        for row, prefix in zip(rows, prefixes, strict=True)
    ]
    query, document = torch.stack(vectors).chunk(2)
    texts = [work._passages[i].text for i in chosen]
    logits = query @ document.T / 0.1
    same = torch.tensor([[i != j and a == b for j, b in enumerate(texts)] for i, a in enumerate(texts)])
    wanted = F.cross_entropy(logits.masked_fill(same, -torch.inf), torch.arange(len(chosen)))
    step = work.backward(0, made)
    assert step.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert step.negatives == int((~same).sum()) - len(chosen)
    for row, i in zip(rows, [*chosen, *chosen], strict=True):
        own = row[len(made.tokenizer.backend.encode("ask: " if row is rows[0] else "").ids) :]
        assert len(own) <= 0.6 * len(work._passages[i]) + 6
    assert all(len(row) > prefix for row, prefix in zip(rows, prefixes, strict=True))


def test_the_two_views_of_simcse_differ_by_dropout_alone_and_only_in_training():
    made, work = steps("simcse")
    batch = PackedBatch.from_sequences([work._passages[0].ids.tolist()])
    with torch.no_grad(), dropout_behind(work._sublayers, 0.3):
        quiet = [made.train(False)(batch) for _ in range(2)]
        noisy = [made.train()(batch) for _ in range(2)]
    assert len(work._sublayers) == 6
    assert torch.equal(*quiet)
    assert 0.1 < float((noisy[0] * noisy[1]).sum()) < 0.999
    with torch.no_grad():
        assert torch.equal(made(batch), quiet[0])  # nothing is left behind
