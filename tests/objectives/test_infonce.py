"""InfoNCE against plain loops in double precision, and its masks and weights one by one."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.false_negatives import known_answers, known_own_answers
from slimvec.objectives.infonce import focal_weight, info_nce
from slimvec.objectives.losses import matryoshka
from slimvec.objectives.negative_mixing import mix
from slimvec.objectives.settings import TERMS, InfoNCE, Mixing
from tests.objectives import reference
from tests.objectives.support import make_batch, unit

SUBSETS = [subset for size in range(1, 5) for subset in combinations(TERMS, size)]


@given(
    pairs=st.integers(1, 6),
    negatives=st.integers(0, 3),
    texts=st.sampled_from([3, 6, 1000]),
    groups=st.sampled_from([0, 1, 3]),
    temperature=st.sampled_from([0.05, 0.2, 1.0]),
    terms=st.sampled_from(SUBSETS),
    mask=st.booleans(),
    margin=st.sampled_from([None, 0.0, 0.1]),
    focal=st.sampled_from([0.0, 0.5, 2.0]),
    hardness=st.sampled_from([0.0, 5.0]),
    seed=st.integers(0, 1000),
)
def test_equals_plain_loops(pairs, negatives, texts, groups, temperature, terms, mask, margin, focal, hardness, seed):
    batch = make_batch(pairs, negatives, 5, seed, texts=texts, groups=groups)
    settings = InfoNCE(
        temperature=temperature, terms=terms, mask_equal_texts=mask, margin=margin, focal=focal, hardness=hardness
    )
    wanted = [float(loss) for loss in reference.info_nce(reference.Plain(batch), settings)]
    assert info_nce(batch, settings).tolist() == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    one_by_one = [float(info_nce(batch, settings, rows=slice(i, i + 1))) for i in range(pairs)]
    assert one_by_one == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("terms", [("q-d",), TERMS])
@pytest.mark.parametrize("focal", [0.0, 0.5])
@pytest.mark.parametrize("negatives", [0, 2])
def test_gradients(terms, focal, negatives):
    batch = make_batch(4, negatives, 3, seed=5)
    leaves = [batch.query, batch.positive, *([batch.negatives] if negatives else [])]

    def loss(query, positive, mined=None):
        moved = replace(batch, query=query, positive=positive, negatives=mined)
        return info_nce(moved, InfoNCE(temperature=0.3, terms=terms, focal=focal)).mean()

    assert torch.autograd.gradcheck(loss, [leaf.requires_grad_() for leaf in leaves])


def test_matryoshka_is_the_weighted_sum_over_widths():
    batch = make_batch(4, 2, 6, seed=9)

    def losses_of(part):
        return {"loss": info_nce(part, InfoNCE(temperature=0.2)).mean(), "width": torch.tensor(float(part.dims))}

    found = matryoshka(losses_of, batch, dims=(6, 3, 2), weights=(1.0, 0.3, 0.2))
    wanted = 0.0
    for weight, dims in ((1.0, 6), (0.3, 3), (0.2, 2)):
        rows = reference.info_nce(reference.Plain(batch, dims), InfoNCE(temperature=0.2))
        wanted += weight * float(sum(rows)) / 4
    assert float(found["loss"]) == pytest.approx(wanted, rel=1e-9)
    assert float(found["width"]) == pytest.approx(6 + 0.9 + 0.4)


def test_equal_queries_and_equal_positives_are_no_negatives():
    ids = {"query_ids": torch.tensor([1, 1, 2, 3]), "positive_ids": torch.tensor([7, 8, 8, 9])}
    batch = EmbeddedBatch(unit(4, 4, seed=1), unit(4, 4, seed=2), **ids)
    moved = batch.positive.clone()
    moved[1] = -moved[1]  # row 0 shares its query with row 1, and row 2 its positive
    before, after = (info_nce(b, InfoNCE(temperature=0.1)) for b in (batch, replace(batch, positive=moved)))
    assert before[[0, 2]].tolist() == after[[0, 2]].tolist()
    assert before[1] != after[1]
    assert before[3] != after[3]


def test_an_answer_that_is_not_drawn_is_no_negative():
    """Query 1 has the answers 7 and 9; 9 is drawn as the positive of query 2, and mined as a negative of query 3."""
    ids = {"query_ids": torch.tensor([1, 2, 3]), "positive_ids": torch.tensor([7, 9, 4])}
    mined = {"negatives": unit(3, 1, 4, seed=3), "negative_ids": torch.tensor([[20], [21], [9]])}
    batch = EmbeddedBatch(unit(3, 4, seed=1), unit(3, 4, seed=2), **ids, **mined)
    known = replace(batch, answer_ids=torch.tensor([[7, 9], [9, 9], [4, 4]]))
    moved = {"positive": batch.positive.clone(), "negatives": batch.negatives.clone()}
    moved["positive"][1], moved["negatives"][2] = -moved["positive"][1], -moved["negatives"][2]
    for told, is_same in ((known, True), (batch, False)):
        before, after = (info_nce(b, InfoNCE(temperature=0.1)) for b in (told, replace(told, **moved)))
        assert bool(before[0] == after[0]) == is_same
        assert before[2] != after[2]
    for term in ("q-q", "d-d"):
        assert float(info_nce(known, InfoNCE(temperature=0.1, terms=(term,)))[0]) < float(
            info_nce(batch, InfoNCE(temperature=0.1, terms=(term,)))[0]
        )


@given(rows=st.integers(1, 6), answers=st.integers(1, 3), seed=st.integers(0, 500))
def test_answers_given_by_row_are_pairs_like_others(rows, answers, seed):
    generator = torch.Generator().manual_seed(seed)
    query_ids, positive_ids = torch.randint(0, 5, (2, rows), generator=generator)
    known = torch.cat([positive_ids[:, None], torch.randint(0, 8, (rows, answers), generator=generator)], dim=1)
    batch = EmbeddedBatch(
        unit(rows, 3, seed=1), unit(rows, 3, seed=2), query_ids=query_ids, positive_ids=positive_ids, answer_ids=known
    )
    pairs = {(int(q), int(a)) for q, row in zip(query_ids, known, strict=True) for a in row}
    found = batch.known_pairs()
    listed = list(zip(found["query_ids"].tolist(), found["positive_ids"].tolist(), strict=True))
    assert sorted(listed) == sorted(pairs)  # each once
    asked = torch.randint(0, 8, (rows, 4), generator=generator)
    marked = known_own_answers(asked, query_ids, **found)
    for row, query in enumerate(query_ids.tolist()):
        wanted = [(query, text) in pairs or text == query for text in asked[row].tolist()]
        assert marked[row].tolist() == wanted
        assert known_answers(query_ids, asked[row], **found)[row].tolist() == wanted


@given(rows=st.integers(1, 6), candidates=st.integers(1, 6), texts=st.integers(1, 8), seed=st.integers(0, 1000))
def test_known_answers_equal_a_look_through_all_pairs(rows, candidates, texts, seed):
    generator = torch.Generator().manual_seed(seed)
    query_ids, positive_ids = torch.randint(0, texts, (2, rows), generator=generator)
    asked = torch.randint(0, texts, (rows, candidates), generator=generator)
    known = {(q, p) for q, p in zip(query_ids.tolist(), positive_ids.tolist(), strict=True)}
    known |= {(q, q) for q in query_ids.tolist()}
    pairs = {"query_ids": query_ids, "positive_ids": positive_ids}
    for i, query in enumerate(query_ids.tolist()):
        wanted = [(query, text) in known for text in asked[i].tolist()]
        assert known_own_answers(asked, query_ids, **pairs)[i].tolist() == wanted
        assert known_answers(query_ids, asked[i], **pairs)[i].tolist() == wanted


@given(
    pairs=st.integers(2, 6),
    negatives=st.integers(0, 3),
    groups=st.integers(1, 3),
    mixing=st.sampled_from([None, Mixing(kind="both")]),
    seed=st.integers(0, 1000),
)
def test_nothing_of_a_rows_group_counts(pairs, negatives, groups, mixing, seed):
    batch = make_batch(pairs, negatives, 5, seed, groups=groups)
    settings = InfoNCE(temperature=0.2, terms=TERMS, margin=0.5, hardness=2.0)

    def loss(part):
        mixtures = None if mixing is None else mix(part, mixing)
        return float(info_nce(part, settings, rows=slice(0, 1), mixtures=mixtures))

    batch.group_ids[0] = 0
    turned = {name: getattr(batch, name).clone() for name in ("query", "positive")}
    for vectors in turned.values():
        vectors[1:][batch.group_ids[1:] == 0] *= -1
    if negatives:
        turned["negatives"] = torch.where((batch.negative_group_ids == 0)[..., None], -batch.negatives, batch.negatives)
    assert loss(replace(batch, **turned)) == loss(batch)


def test_a_group_of_its_own_changes_nothing():
    batch = make_batch(5, 2, 4, seed=2)
    alone = replace(batch, group_ids=torch.arange(5), negative_group_ids=torch.full((5, 2), -1))
    nobody = replace(batch, group_ids=torch.full((5,), -1), negative_group_ids=torch.full((5, 2), -1))
    wanted = info_nce(batch, InfoNCE(temperature=0.1, terms=TERMS)).tolist()
    assert [info_nce(b, InfoNCE(temperature=0.1, terms=TERMS)).tolist() for b in (alone, nobody)] == [wanted, wanted]


def test_negatives_of_other_queries_count():
    batch = make_batch(3, 2, 4, seed=3)
    moved = batch.negatives.clone()
    row, column = batch.negative_mask.nonzero()[0].tolist()
    moved[row, column] = -moved[row, column]
    before, after = (info_nce(b, InfoNCE(temperature=0.1)) for b in (batch, replace(batch, negatives=moved)))
    assert bool((before != after).all())


def test_hardness_weighs_a_rows_own_negatives_without_a_gradient_of_its_own():
    query, positive = unit(2, 4, seed=1), unit(2, 4, seed=2)
    negatives = unit(2, 1, 4, seed=3).requires_grad_()
    batch = EmbeddedBatch(query, positive, negatives)
    s = (query @ torch.cat([positive, negatives[:, 0]]).T).detach()
    weight = float((5 * s[0, 2]).exp())
    terms = (s[0] / 0.5).exp() * torch.tensor([1.0, 1.0, weight, 1.0])
    loss = info_nce(batch, InfoNCE(temperature=0.5, hardness=5.0))[0]
    assert float(loss.detach()) == pytest.approx(float((terms.sum() / terms[0]).log()))
    (grad,) = torch.autograd.grad(loss, negatives)
    torch.testing.assert_close(grad[0, 0], terms[2] / terms.sum() / 0.5 * query[0])


def test_focal_weight_is_finite_where_the_loss_is_zero():
    loss = torch.zeros(2, requires_grad=True)
    (focal_weight(loss, 0.5) * loss).sum().backward()
    assert bool(torch.isfinite(loss.grad).all())


def test_bad_settings_are_refused():
    batch = make_batch(2, 0, 3, seed=1)
    with pytest.raises(ValueError, match="greater than 0"):
        InfoNCE(temperature=0)
    with pytest.raises(ValueError, match="Input should be 'q-d', 'q-q', 'd-d' or 'd-q'"):
        InfoNCE(temperature=1, terms=("q-x",))
    with pytest.raises(ValueError, match="2 dims and 1 weights"):
        matryoshka(lambda b: {"loss": b.query.sum()}, batch, dims=(3, 2), weights=(1.0,))
    with pytest.raises(ValueError, match="dims 9 of vectors with 3"):
        matryoshka(lambda b: {"loss": b.query.sum()}, batch, dims=(9,))


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
    with pytest.raises(ValueError, match="groups of negatives, but not of their pairs"):
        EmbeddedBatch(q, q, q[:, None], negative_group_ids=torch.ones(2, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"scores \(2, 2\) must be \[B, 1 \+ K\], here \(2, 1\)"):
        EmbeddedBatch(q, q, scores=torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"grades \(3,\) must be \[B\], here \(2,\)"):
        EmbeddedBatch(q, q, grades=torch.zeros(3))
    with pytest.raises(ValueError, match=r"\(2, 1\) of the teacher, \(2, 0\) of the batch"):
        EmbeddedBatch(q, q, teacher=EmbeddedBatch(q, q, q[:, None]))
    with pytest.raises(ValueError, match=r"own rows \(1, 3\) of 2"):
        EmbeddedBatch(q, q, own=(1, 3))
