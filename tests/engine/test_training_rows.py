"""Norms and gated activations in training on the kernels: values and gradients beside double precision."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slimvec.engine.kernels.interface import REFUSED, RowsOf, place
from slimvec.engine.kernels.library import load_kernels
from slimvec.engine.training_rows import Rows
from tests.engine.fused_models import ISAS, use_isa

EPSILON = 1e-5
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 2**-8}
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(3, 70))


@pytest.fixture(params=ISAS)
def rows(request, monkeypatch):
    use_isa(request.param, monkeypatch)
    return Rows(load_kernels())


def served():
    return [dtype for dtype in ROUNDING if dtype in load_kernels().dtypes]


def drawn(seed, *shape, dtype, count):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(*shape, generator=generator) * 2).to(dtype) for _ in range(count)]


def assert_near(found, expected):
    """Rounded once: within a rounding of the value, and of the sums it is the difference of."""
    allowed = ROUNDING[found.dtype] * expected.abs() + 1e-5 * (1 + expected.abs().amax())
    assert ((found.double() - expected).abs() <= allowed).all()


@settings(max_examples=25, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 1000))
def check_norm(rows, shape, seed):
    for dtype in served():
        x, dy = drawn(seed, *shape, dtype=dtype, count=2)
        (weight,) = drawn(seed + 1, shape[-1], dtype=torch.float32, count=1)
        exact = x.double().requires_grad_()
        y = exact * (exact.pow(2).mean(-1, keepdim=True) + EPSILON).rsqrt() * weight.double()
        y.backward(dy.double())
        assert_near(rows.norm(x, weight, EPSILON), y.detach())
        assert_near(rows.norm(x, weight, EPSILON, dy), exact.grad)


@settings(max_examples=25, deadline=None)
@given(shape=SHAPES, gelu=st.booleans(), seed=st.integers(0, 1000))
def check_gate(rows, shape, gelu, seed):
    for dtype in served():
        gate, up, dy = drawn(seed, *shape, dtype=dtype, count=3)
        exact = [tensor.double().requires_grad_() for tensor in (gate, up)]
        activated = (
            torch.nn.functional.gelu(exact[0], approximate="tanh") if gelu else torch.nn.functional.silu(exact[0])
        )
        y = activated * exact[1]
        y.backward(dy.double())
        assert_near(rows.gate(gate, up, gelu=gelu), y.detach())
        for found, expected in zip(rows.gate_gradients(gate, up, dy, gelu=gelu), exact, strict=True):
            assert_near(found, expected.grad)


def test_norms_are_those_of_double_precision(rows):
    check_norm(rows)


def test_gates_are_those_of_double_precision(rows):
    check_gate(rows)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_rows_are_shared_by_threads(rows, threads):
    before = torch.get_num_threads()
    gate, up, dy = drawn(3, 700, 130, dtype=torch.float32, count=3)
    weight = torch.ones(130)
    alone = rows.norm(gate, weight, EPSILON, dy), *rows.gate_gradients(gate, up, dy, gelu=False)
    try:
        torch.set_num_threads(threads)
        shared = rows.norm(gate, weight, EPSILON, dy), *rows.gate_gradients(gate, up, dy, gelu=False)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"second": torch.ones(5)}, r"weight must have sizes \[4\], got \[5\]"),
        ({"second": torch.ones(4, dtype=torch.bfloat16)}, "weight must be float32, got bfloat16"),
        ({"gradient": torch.ones(3, 3)}, r"gradient must have sizes \[3, 4\], got \[3, 3\]"),
        ({"first": torch.ones(3, 4, dtype=torch.int32)}, "no kernel for rows in int32"),
        ({"first": torch.ones(())}, "rows have a size"),
        ({"result": None}, "room for the result"),
        ({"norm": 0, "second": torch.ones(3, 4), "gradient": torch.ones(3, 4)}, "a gate has two gradients"),
        ({"norm": 0}, r"second must have sizes \[3, 4\], got \[4\]"),
    ],
)
def test_what_does_not_fit_is_refused(rows, changed, message):
    tensors = {"first": torch.ones(3, 4), "second": torch.ones(4), "gradient": None} | {
        name: tensor for name, tensor in changed.items() if name in ("first", "second", "gradient")
    }
    result = torch.empty(3, 4)
    call = RowsOf(norm=changed.get("norm", 1), result=changed.get("result", result.data_ptr()))
    for name, tensor in tensors.items():
        setattr(call, name, place(tensor, name))
    kernels = rows._kernels
    status, said = kernels.library.run_rows(kernels.target, call, 1)
    assert status == REFUSED
    assert re.search(message, said)
