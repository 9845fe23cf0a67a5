"""Turning vectors: whole ones keep their cosines, narrow ones come nearer to them, in every kind of head."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.model.axes import (
    LEAST_TEXTS,
    MOST_TEXTS,
    axis_widths,
    check_texts,
    cosine_errors,
    fit_axes,
    sample,
    turn_axes,
)
from slimvec.model.folder import save_model
from slimvec.model.head import Head
from slimvec.model.spec import DenseLayer, DropoutLayer, NormLayer, UnitLayer
from slimvec.text.batch import PackedBatch
from tests import tiny

BATCH = PackedBatch.from_sequences([[5, 9, 7, 3], [6, 2], [9, 9, 1, 30, 4]])
LINEAR = DenseLayer(in_dims=32, out_dims=16, activation="Identity")
HEADS = {
    "none": [],
    "linear": [LINEAR],
    "linear, then unit length": [LINEAR, UnitLayer(), DropoutLayer(rate=0.1)],
    "tanh": [DenseLayer(in_dims=32, out_dims=16)],
    "residual": [DenseLayer(in_dims=32, out_dims=32, activation="Identity", residual=True)],
    "norm": [LINEAR, NormLayer(dims=16), UnitLayer()],
}


def planted(num, width, seed=0):
    """Vectors whose widest axes come last, behind what all of them have in common."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.linspace(0.1, 1, width) ** 3
    return torch.randn(num, width, generator=generator) * spread + 0.5 * spread.max() * F.one_hot(
        torch.tensor(width - 1), width
    )


def orthogonal(width, seed=3):
    return torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(seed)))[0]


def test_first_numbers_come_nearer_and_whole_cosines_stay():
    vectors, others, dims = planted(600, 24), planted(300, 24, seed=1), (12, 6)
    found = fit_axes(vectors, dims)
    torch.testing.assert_close(found @ found.T, torch.eye(24), atol=1e-5, rtol=0)
    units = F.normalize(others, dim=-1)
    torch.testing.assert_close((units @ found) @ (units @ found).T, units @ units.T, atol=1e-5, rtol=0)
    before, after = cosine_errors(others, torch.eye(24), dims), cosine_errors(others, found, dims)
    assert (after < before / 2).all()
    principal = torch.linalg.svd(vectors.T @ vectors)[0]
    assert after.sum() < cosine_errors(others, principal, dims).sum()


def test_it_is_drawn_by_its_seed():
    vectors = planted(LEAST_TEXTS, 8)
    assert torch.equal(fit_axes(vectors, [4], seed=5), fit_axes(vectors, [4], seed=5))
    assert not torch.equal(fit_axes(vectors, [4], seed=5), fit_axes(vectors, [4], seed=6))


def test_errors_are_those_of_every_pair():
    vectors, rotation = planted(7, 6), orthogonal(6)
    turned = (vectors / vectors.norm(dim=1, keepdim=True)) @ rotation
    wanted = np.mean(
        [(float(F.cosine_similarity(a[:2], b[:2], dim=0)) - float(a @ b)) ** 2 for a in turned for b in turned]
    )
    assert float(cosine_errors(vectors, rotation, [2])[0]) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_is_turned(name, tmp_path):
    model = tiny.embedding_model("llama", "causal")
    torch.manual_seed(1)
    model.head = Head(HEADS[name], model.backbone.dims)
    model.spec = model.spec.replace(head=model.head.specs)
    save_model(model.eval(), tmp_path / "before")
    width = model.spec.full_width(model.backbone.dims)
    rotation = orthogonal(width)
    with torch.no_grad():
        before = model(BATCH)
        turn_axes(model, rotation)
        torch.testing.assert_close(model(BATCH), before @ rotation, atol=2e-6, rtol=1e-4)
    assert len(model.spec.head) == len(HEADS[name]) + (name in ("none", "tanh", "residual", "norm"))
    save_model(model, tmp_path / "after")
    texts = ["a", "some more text", "some other text"]
    found = [Embedder.load(tmp_path / name, dtype="float32").embed_documents(texts) for name in ("before", "after")]
    np.testing.assert_allclose(found[1], found[0] @ rotation.numpy(), atol=2e-6, rtol=1e-4)


def test_numbers_behind_a_cut_stay():
    model = tiny.embedding_model("llama", "causal")
    with torch.no_grad():
        before = model(BATCH)
        turn_axes(model, orthogonal(8))
        after = model(BATCH)
    torch.testing.assert_close(after[:, 8:], before[:, 8:], atol=1e-6, rtol=0)
    torch.testing.assert_close(after[:, :8], before[:, :8] @ orthogonal(8), atol=1e-6, rtol=1e-4)


def test_widths_are_those_asked_for_trained_for_or_halves():
    spec = tiny.embedding_model().spec
    assert axis_widths(spec, 256, [100]) == (100,)
    assert axis_widths(spec.replace(trained_dims=(32, 16, 8)), 32) == (16, 8)
    assert axis_widths(spec, 256) == (128, 64, 32)
    for width, asked in ((32, [32]), (32, [0]), (32, [-1]), (40, [])):
        with pytest.raises(InputError, match="below the model's width"):
            axis_widths(spec, width, asked)


def test_texts_are_drawn_from_any_number_of_them():
    assert sample(map(str, range(9))) == [str(number) for number in range(9)]
    drawn = sample(map(str, range(5 * MOST_TEXTS)), seed=1)
    numbers = [int(text) for text in drawn]
    assert len(set(drawn)) == MOST_TEXTS
    assert numbers == sorted(numbers)
    assert np.mean(numbers) == pytest.approx(2.5 * MOST_TEXTS, rel=0.03)


def test_too_few_texts_are_refused():
    with pytest.raises(InputError, match="at least 200"):
        check_texts(LEAST_TEXTS - 1)
