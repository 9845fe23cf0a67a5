"""Norms and gated activations of a model in training, each in one pass on the kernels, with exact gradients.

    norm    y = x r w, r = (mean(x^2) + epsilon)^-1/2       dx = r (w dy) - x r^3 mean(x w dy)
    gate    y = a(g) u                                      dg = dy u a'(g), du = dy a(g)

In plain torch they are a dozen passes over [T, H] in float32, a sixth of a step in bfloat16. Results are rounded once,
where torch rounds between its operations.

Letters: T tokens, H width.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from slimvec.engine.kernels.interface import RowsOf, place
from slimvec.engine.kernels.library import Kernels, Library
from slimvec.engine.kernels.running import run_operation


class Rows:
    """The operations.

    Args:
        kernels: What runs them.
    """

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    def norm(self, x: Tensor, weight: Tensor, epsilon: float, dy: Tensor | None = None) -> Tensor:
        """Norm x [..., H] by a weight [H] float32; with `dy` give dx instead."""
        result = torch.empty_like(x)
        self._run(RowsOf(norm=1, epsilon=epsilon, result=result.data_ptr()), x, weight, dy)
        return result

    def gate(self, gate: Tensor, up: Tensor, *, gelu: bool) -> Tensor:
        """Activate a gate and multiply it with `up`, both [..., F]."""
        result = torch.empty_like(gate)
        self._run(RowsOf(gelu=gelu, result=result.data_ptr()), gate, up, None)
        return result

    def gate_gradients(self, gate: Tensor, up: Tensor, dy: Tensor, *, gelu: bool) -> tuple[Tensor, Tensor]:
        """Give the gradients of `gate` and `up`."""
        found = torch.empty_like(gate), torch.empty_like(up)
        self._run(RowsOf(gelu=gelu, result=found[0].data_ptr(), second_result=found[1].data_ptr()), gate, up, dy)
        return found

    def _run(self, rows: RowsOf, first: Tensor, second: Tensor, gradient: Tensor | None) -> None:
        rows.first, rows.second, rows.gradient = (
            place(first, "first"), place(second, "second"), place(gradient, "gradient"),
        )  # fmt: skip
        run_operation(self._kernels, Library.run_rows, rows)


class Norm(torch.autograd.Function):
    """y [T, H] of x [T, H] and a weight [H] that has no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float, rows: Rows) -> Tensor:
        """Norm."""
        ctx.save_for_backward(x, weight)
        ctx.epsilon, ctx.rows = epsilon, rows
        return rows.norm(x, weight, epsilon)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Give dx."""
        x, weight = ctx.saved_tensors
        return ctx.rows.norm(x, weight, ctx.epsilon, dy.contiguous()), None, None, None


class Gate(torch.autograd.Function):
    """y of a gate and what it multiplies, all [T, F]."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, gelu: bool, rows: Rows) -> Tensor:
        """Activate and multiply."""
        ctx.save_for_backward(gate, up)
        ctx.gelu, ctx.rows = gelu, rows
        return rows.gate(gate, up, gelu=gelu)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Give the gradients of both."""
        return *ctx.rows.gate_gradients(*ctx.saved_tensors, dy.contiguous(), gelu=ctx.gelu), None, None
