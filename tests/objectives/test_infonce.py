"""The losses against plain loops in double precision."""

import math
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.infonce import TERMS, focal_weight, info_nce, info_nce_rows
from slimvec.objectives.matryoshka import matryoshka

SUBSETS = [subset for size in range(1, 5) for subset in combinations(TERMS, size)]


def unit(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def make_batch(pairs, negatives, dims, seed, *, texts=1000):
    generator = torch.Generator().manual_seed(seed + 1)
    ids = torch.randint(0, texts, (pairs, 2 + negatives), generator=generator)
    return EmbeddedBatch(
        query=unit(pairs, dims, seed=seed + 2),
        positive=unit(pairs, dims, seed=seed + 3),
        negatives=unit(pairs, negatives, dims, seed=seed + 4) if negatives else None,
        negative_mask=torch.rand(pairs, negatives, generator=generator) > 0.3 if negatives else None,
        query_ids=ids[:, 0],
        positive_ids=ids[:, 1],
        negative_ids=ids[:, 2:] if negatives else None,
    )


def reference(batch, *, temperature, terms, mask, margin, focal):
    q, p = batch.query.tolist(), batch.positive.tolist()
    q_id, p_id = batch.query_ids.tolist(), batch.positive_ids.tolist()
    pairs = range(len(q))

    def dot(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    def answers(i, text_id):
        known = {p_id[m] for m in pairs if q_id[m] == q_id[i]} | {q_id[i]}
        return mask and text_id in known

    rows = []
    for i in pairs:
        positive = dot(q[i], p[i])
        scores = []
        for j in pairs:
            if j == i:
                continue
            alike = answers(i, p_id[j]) or answers(j, p_id[i])
            if "q-d" in terms and not answers(i, p_id[j]):
                scores.append(dot(q[i], p[j]))
            if "q-q" in terms and not alike:
                scores.append(dot(q[i], q[j]))
            if "d-d" in terms and not alike:
                scores.append(dot(p[i], p[j]))
            if "d-q" in terms and not answers(j, p_id[i]):
                scores.append(dot(p[i], q[j]))
        if "q-d" in terms and batch.negatives is not None:
            for j in pairs:
                for k in range(batch.negatives.shape[1]):
                    if batch.negative_mask[j, k] and not answers(i, batch.negative_ids[j, k].item()):
                        scores.append(dot(q[i], batch.negatives[j, k].tolist()))
        if margin is not None:
            scores = [score for score in scores if score <= positive + margin]
        z = sum(math.exp(score / temperature) for score in [positive, *scores])
        probability = math.exp(positive / temperature) / z
        rows.append((1 - probability) ** focal * -math.log(probability) if focal else -math.log(probability))
    return rows


@given(
    pairs=st.integers(1, 6),
    negatives=st.integers(0, 3),
    texts=st.sampled_from([3, 6, 1000]),
    temperature=st.sampled_from([0.05, 0.2, 1.0]),
    terms=st.sampled_from(SUBSETS),
    mask=st.booleans(),
    margin=st.sampled_from([None, 0.0, 0.1]),
    focal=st.sampled_from([0.0, 0.5, 2.0]),
    seed=st.integers(0, 1000),
)
def test_equals_plain_loops(pairs, negatives, texts, temperature, terms, mask, margin, focal, seed):
    batch = make_batch(pairs, negatives, 5, seed, texts=texts)
    found = info_nce_rows(
        batch, temperature=temperature, terms=terms, mask_equal_texts=mask, margin=margin, focal=focal
    )
    wanted = reference(batch, temperature=temperature, terms=terms, mask=mask, margin=margin, focal=focal)
    assert found.tolist() == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("terms", [("q-d",), TERMS])
@pytest.mark.parametrize("focal", [0.0, 0.5])
@pytest.mark.parametrize("negatives", [0, 2])
def test_gradients(terms, focal, negatives):
    batch = make_batch(4, negatives, 3, seed=5)
    leaves = [batch.query, batch.positive, *([batch.negatives] if negatives else [])]

    def loss(query, positive, mined=None):
        moved = EmbeddedBatch(
            query,
            positive,
            mined,
            batch.negative_mask,
            batch.query_ids,
            batch.positive_ids,
            batch.negative_ids,
        )
        return info_nce(moved, temperature=0.3, terms=terms, focal=focal)

    assert torch.autograd.gradcheck(loss, [leaf.requires_grad_() for leaf in leaves])


def test_matryoshka_gradient_and_value():
    batch = make_batch(4, 2, 6, seed=9)

    def objective(part):
        return info_nce(part, temperature=0.2)

    def loss(query, positive):
        moved = EmbeddedBatch(query, positive, query_ids=batch.query_ids, positive_ids=batch.positive_ids)
        return matryoshka(objective, moved, dims=(6, 3, 2), weights=(1.0, 0.3, 0.2))

    cut = [
        EmbeddedBatch(
            *(F.normalize(x[:, :d], dim=-1) for x in (batch.query, batch.positive)),
            query_ids=batch.query_ids,
            positive_ids=batch.positive_ids,
        )
        for d in (6, 3, 2)
    ]
    wanted = sum(w * objective(part) for w, part in zip((1.0, 0.3, 0.2), cut, strict=True))
    torch.testing.assert_close(loss(batch.query, batch.positive), wanted)
    assert torch.autograd.gradcheck(loss, [batch.query.requires_grad_(), batch.positive.requires_grad_()])


def test_equal_queries_and_equal_positives_are_no_negatives():
    ids = {"query_ids": torch.tensor([1, 1, 2, 3]), "positive_ids": torch.tensor([7, 8, 8, 9])}
    batch = EmbeddedBatch(unit(4, 4, seed=1), unit(4, 4, seed=2), **ids)
    moved = batch.positive.clone()
    moved[1] = -moved[1]  # row 0 shares its query with row 1, and row 2 its positive
    again = EmbeddedBatch(batch.query, moved, **ids)
    before, after = (info_nce_rows(b, temperature=0.1) for b in (batch, again))
    assert before[[0, 2]].tolist() == after[[0, 2]].tolist()
    assert before[1] != after[1]
    assert before[3] != after[3]


def test_negatives_of_other_queries_count():
    batch = make_batch(3, 2, 4, seed=3)
    moved = batch.negatives.clone()
    row, column = batch.negative_mask.nonzero()[0].tolist()
    moved[row, column] = -moved[row, column]
    again = EmbeddedBatch(
        batch.query,
        batch.positive,
        moved,
        batch.negative_mask,
        batch.query_ids,
        batch.positive_ids,
        batch.negative_ids,
    )
    before, after = (info_nce_rows(b, temperature=0.1) for b in (batch, again))
    assert bool((before != after).all())


def test_focal_weight_is_finite_where_the_loss_is_zero():
    loss = torch.zeros(2, requires_grad=True)
    (focal_weight(loss, 0.5) * loss).sum().backward()
    assert bool(torch.isfinite(loss.grad).all())


def test_bad_settings_are_refused():
    batch = make_batch(2, 0, 3, seed=1)
    with pytest.raises(ValueError, match="temperature 0 must be above 0"):
        info_nce(batch, temperature=0)
    with pytest.raises(ValueError, match=r"terms \['q-x'\]: choose from q-d, q-q, d-d, d-q"):
        info_nce(batch, temperature=1, terms=("q-x",))
    with pytest.raises(ValueError, match="2 dims and 1 weights"):
        matryoshka(lambda b: b.query.sum(), batch, dims=(3, 2), weights=(1.0,))
    with pytest.raises(ValueError, match="dims 9 of vectors with 3"):
        matryoshka(lambda b: b.query.sum(), batch, dims=(9,))


def test_batches_that_do_not_fit_are_refused():
    q = unit(2, 3, seed=1)
    with pytest.raises(ValueError, match=r"query \(2, 3\) and positive \(3, 3\)"):
        EmbeddedBatch(q, unit(3, 3, seed=1))
    with pytest.raises(ValueError, match=r"negatives \(3, 1, 3\) do not fit"):
        EmbeddedBatch(q, q, unit(3, 1, 3, seed=1))
    with pytest.raises(ValueError, match="but no negatives"):
        EmbeddedBatch(q, q, negative_mask=torch.ones(2, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="ids of some texts but not of others"):
        EmbeddedBatch(q, q, query_ids=torch.tensor([1, 2]))
