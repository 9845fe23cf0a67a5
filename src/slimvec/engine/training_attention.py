"""Attention of a model in training on the kernels, with exact gradients.

Texts are read where they lie, whatever their lengths, and the probabilities are computed again for the gradients: no
L x L numbers of a text are kept, and no stacks of texts of equal length made. The formulas are those of
`slimvec.model.explicit_attention`.

Letters: T tokens, A query heads, K key-value heads, D numbers a head.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from slimvec.engine.kernels.interface import AttentionOf, integers, place
from slimvec.engine.kernels.library import Kernels, Library
from slimvec.engine.kernels.running import run_operation
from slimvec.model.attention import Packing


class TrainedAttention:
    """Attends on the kernels, as `slimvec.model.attention.attend_packed` does.

    Args:
        kernels: What runs it.
    """

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, packing: Packing, *, scale: float | None, window: int | None
    ) -> Tensor:
        """Attend within each text: query [A, T, D], key and value [K, T, D] to [T, A, D]."""
        by_token = (x.transpose(0, 1).contiguous() for x in (query, key, value))
        lengths = packing.cu_seqlens.diff().long()
        call = _Call(self._kernels, lengths, scale or query.shape[-1] ** -0.5, window or 0, packing.mode == "causal")
        return _Attention.apply(*by_token, call)  # type: ignore[no-any-return, no-untyped-call]


class _Call:
    """All that is said of attention beside its tensors."""

    def __init__(self, kernels: Kernels, lengths: Tensor, scale: float, window: int, causal: bool) -> None:
        self._kernels, self._lengths = kernels, lengths
        self._settings = {"scale": scale, "window": window, "causal": causal}

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Give O [T, A, D] of a query [T, A, D], a key and a value [T, K, D]."""
        result = torch.empty_like(query)
        self._run(AttentionOf(result=result.data_ptr()), query, key, value, None)
        return result

    def gradients(self, query: Tensor, key: Tensor, value: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
        """Give dQ, dK and dV for a gradient [T, A, D] of O."""
        found = tuple(map(torch.empty_like, (query, key, value)))
        results = dict(zip(("query_result", "key_result", "value_result"), map(Tensor.data_ptr, found), strict=True))
        self._run(AttentionOf(**results), query, key, value, gradient)
        return found

    def _run(self, call: AttentionOf, query: Tensor, key: Tensor, value: Tensor, gradient: Tensor | None) -> None:
        call.num_texts, call.lengths = len(self._lengths), integers(self._lengths, "lengths")
        tensors = {"query": query, "key": key, "value": value, "gradient": gradient}
        for name, said in (*self._settings.items(), *((name, place(x, name)) for name, x in tensors.items())):
            setattr(call, name, said)
        run_operation(self._kernels, Library.run_attention, call)


class _Attention(torch.autograd.Function):
    """O [T, A, D] of a query [T, A, D], a key and a value [T, K, D]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, call: _Call) -> Tensor:
        """Attend, and keep what came in."""
        ctx.save_for_backward(query, key, value)
        ctx.call = call
        return call.attend(query, key, value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Give dQ, dK and dV."""
        return *ctx.call.gradients(*ctx.saved_tensors, gradient.contiguous()), None
