"""Attention in training on the kernels: values and gradients beside double precision, for texts of any length."""

import re

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slimvec.engine.kernels.interface import REFUSED, AttentionOf, integers, place
from slimvec.engine.kernels.library import load_kernels
from slimvec.engine.training_attention import TrainedAttention
from slimvec.model.attention import Packing, grouped_sdpa
from slimvec.text.batch import PackedBatch
from tests.engine.fused_models import ISAS, use_isa

ERRORS = {torch.float32: 2e-6, torch.bfloat16: 2**-8}
NAMES = ("query", "key", "value", "gradient")


@pytest.fixture(params=ISAS)
def kernels(request, monkeypatch):
    use_isa(request.param, monkeypatch)
    return load_kernels()


def packing_of(lengths, mode):
    return Packing.of(PackedBatch.from_sequences([[1] * length for length in lengths]), mode)


def drawn(lengths, heads, kv_heads, width, dtype, seed=0):
    """Queries, keys and values [heads, T, D], and a gradient [T, heads, D]."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(sum(lengths), count, width) for count in (heads, kv_heads, kv_heads, heads)]
    tensors = [torch.randn(size, generator=generator).to(dtype) for size in sizes]
    return [tensor.transpose(0, 1) for tensor in tensors[:3]], tensors[3]


def differentiated(attend, heads, gradient, packing, **settings):
    leaves = [tensor.detach().requires_grad_() for tensor in heads]
    out = attend(*leaves, packing, **settings)
    out.backward(gradient)
    return [out.detach(), *(leaf.grad for leaf in leaves)]


def assert_near(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        apart = (ours.double() - theirs).abs()
        # Rounded once, and in bfloat16 the probabilities before that.
        assert (apart <= ERRORS[ours.dtype] * (theirs.abs() + theirs.abs().amax() / 2 + 0.1)).all()


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    group=st.integers(1, 4),
    kv_heads=st.integers(1, 3),
    half=st.integers(1, 40),
    mode=st.sampled_from(["causal", "bidirectional"]),
    window=st.none() | st.integers(1, 45),
    scale=st.none() | st.just(0.3),
    seed=st.integers(0, 1000),
)
@example([200, 1, 33], 3, 1, 32, "bidirectional", None, None, 0)
@example([150, 97], 2, 2, 9, "causal", 20, None, 1)
def check_gradients(kernels, lengths, group, kv_heads, half, mode, window, scale, seed):
    packing = packing_of(lengths, mode)
    for dtype in ERRORS.keys() & set(kernels.dtypes):
        heads, gradient = drawn(lengths, group * kv_heads, kv_heads, 2 * half, dtype, seed)
        exact = [tensor.double() for tensor in heads]
        expected = differentiated(grouped_sdpa, exact, gradient.double(), packing, scale=scale, window=window)
        attend = TrainedAttention(kernels)
        assert_near(differentiated(attend, heads, gradient, packing, scale=scale, window=window), expected)


def test_values_and_gradients_are_those_of_double_precision(kernels):
    check_gradients(kernels)


def test_scores_may_be_large(kernels):
    packing = packing_of([9, 30], "bidirectional")
    heads, gradient = drawn([9, 30], 2, 1, 8, torch.float32)
    found = differentiated(TrainedAttention(kernels), heads, gradient, packing, scale=500.0, window=None)
    exact = [tensor.double() for tensor in heads]
    expected = differentiated(grouped_sdpa, exact, gradient.double(), packing, scale=500.0, window=None)
    assert all(torch.isfinite(tensor).all() for tensor in found)
    torch.testing.assert_close(found[0].double(), expected[0], atol=2e-2, rtol=0)


def test_a_number_that_is_none_stays_in_its_text(kernels):
    packing = packing_of([5, 20], "causal")
    heads, gradient = drawn([5, 20], 2, 1, 8, torch.float32)
    clean = differentiated(TrainedAttention(kernels), heads, gradient, packing, scale=None, window=None)
    heads[1][0, 2, 3] = torch.nan
    found = differentiated(TrainedAttention(kernels), heads, gradient, packing, scale=None, window=None)
    assert found[0][2:5].isnan().all(-1).any(-1).all()
    assert torch.equal(found[0][5:], clean[0][5:])
    for ours, theirs in zip(found[1:], clean[1:], strict=True):
        assert ours[:, :5].isnan().any()
        assert torch.equal(ours[:, 5:], theirs[:, 5:])


def test_threads_give_the_same_bits(kernels):
    before, lengths = torch.get_num_threads(), [64, 3, 120, 17, 80, 64]
    packing = packing_of(lengths, "bidirectional")
    heads, gradient = drawn(lengths, 6, 2, 64, torch.float32)
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(differentiated(TrainedAttention(kernels), heads, gradient, packing, scale=None, window=None))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for other in found[1:] for one, other in zip(found[0], other, strict=True))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"key": torch.ones(5, 2, 6)}, r"key must have sizes \[5, 2, 4\], got \[5, 2, 6\]"),
        ({"value": torch.ones(4, 2, 4)}, r"value must have sizes \[5, 2, 4\], got \[4, 2, 4\]"),
        ({"value": torch.ones(5, 2, 4, dtype=torch.bfloat16)}, "value must be float32, got bfloat16"),
        ({"gradient": torch.ones(5, 2, 4)}, r"gradient must have sizes \[5, 4, 4\], got \[5, 2, 4\]"),
        ({"query": torch.ones(5, 4)}, "queries and keys have three sizes"),
        ({"query": torch.ones(5, 4, 4, dtype=torch.int32)}, "no kernel for attention in int32"),
        ({"key": torch.ones(5, 3, 4)}, "key-value heads must divide query heads"),
        ({"lengths": torch.tensor([2, 2])}, "lengths add up to 4, got 5 tokens"),
        ({"lengths": torch.tensor([5, 0])}, "every text needs a token"),
        ({"window": -1}, "a window must not be negative"),
        ({"result": None}, "room for its result"),
        ({"gradient": torch.ones(5, 4, 4)}, "or for its three gradients"),
    ],
)
def test_what_does_not_fit_is_refused(kernels, changed, message):
    tensors = {"query": torch.ones(5, 4, 4), "key": torch.ones(5, 2, 4), "value": torch.ones(5, 2, 4), "gradient": None}
    tensors |= {name: tensor for name, tensor in changed.items() if name in NAMES}
    lengths, result = changed.get("lengths", torch.tensor([2, 3])), torch.empty(5, 4, 4)
    call = AttentionOf(
        num_texts=len(lengths), lengths=integers(lengths, "lengths"), scale=0.5, window=changed.get("window", 0),
        result=changed.get("result", result.data_ptr()),
    )  # fmt: skip
    for name, tensor in tensors.items():
        setattr(call, name, place(tensor, name))
    library, target = kernels.loaded()
    status, said = library.run_attention(target, call, 1)
    assert status == REFUSED
    assert re.search(message, said)
