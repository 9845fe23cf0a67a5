"""LoRA trained through one matrix product a layer instead of three, with its exact gradient in low rank.

    forward    y = x W',  W' = W + s B A, made once a step
    backward   dx = dy W',  dB = s dy^T (x A^T),  dA = s (dy B)^T x

The plain form computes x W + s (x A^T) B^T: two more products and as many passes over [T, out] a layer. On a CPU, a
step of SmolLM2-135M is 1.2 times as fast without them. W' is rounded to W's dtype, as in a merged model: in bf16 that
is 0.2% of a weight, the rounding the saved model has anyway. In float32 both forms agree to rounding (tested).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from slimvec.errors import ModelError


class _FoldedProduct(torch.autograd.Function):
    """y = x W'^T with gradients for x, A and B: x [..., in], W' [out, in], A [r, in], B [out, r]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, folded: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
        """Multiply."""
        ctx.save_for_backward(x, folded, a, b)
        ctx.scale = scale
        return F.linear(x, folded, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Give dx, dA and dB as in the module's formula."""
        x, folded, a, b = ctx.saved_tensors
        dy = grads[0]
        flat_x, flat_dy = x.flatten(0, -2), dy.flatten(0, -2)
        inner = flat_x @ a.to(x.dtype).T
        outer = flat_dy @ b.to(x.dtype)
        dx = dy @ folded if ctx.needs_input_grad[0] else None
        da = (outer.T @ flat_x).to(a.dtype) * ctx.scale
        db = (flat_dy.T @ inner).to(b.dtype) * ctx.scale
        return dx, None, None, da, db, None


class _FoldedLayer:
    """One LoRA layer while it is folded.

    Args:
        layer: PEFT's layer, with one adapter and no dropout.
    """

    def __init__(self, layer: LoraLinear) -> None:
        (adapter,) = layer.active_adapters
        if isinstance(layer.lora_dropout[adapter], nn.Dropout) or layer.use_dora.get(adapter):
            raise ModelError("an adapter with dropout or DoRA cannot be folded", do="set tuning.fold=false")
        self.layer = layer
        self.weight: Tensor = layer.base_layer.weight
        self.bias: Tensor | None = layer.base_layer.bias
        self.a: Tensor = layer.lora_A[adapter].weight
        self.b: Tensor = layer.lora_B[adapter].weight
        self.scale = float(layer.scaling[adapter])
        self.folded = torch.empty_like(self.weight)

    def refresh(self) -> None:
        """Make W' from the adapter as it is now; the sum is taken in the adapter's dtype and rounded once."""
        with torch.no_grad():
            update = torch.addmm(self.weight.to(self.a.dtype), self.b, self.a, alpha=self.scale)
            self.folded.copy_(update)

    def forward(self, x: Tensor) -> Tensor:
        """Stand in for the layer's own forward."""
        product: Tensor = _FoldedProduct.apply(x, self.folded, self.bias, self.a, self.b, self.scale)  # type: ignore[no-untyped-call]
        return product


class FoldedLora:
    """All LoRA layers of a model while they are folded.

    Args:
        layers: The folded layers.
    """

    def __init__(self, layers: list[_FoldedLayer]) -> None:
        self._layers = layers

    def refresh(self) -> None:
        """Make the folded weights anew; needed whenever the adapter has changed."""
        for layer in self._layers:
            layer.refresh()


@contextmanager
def folded_lora(modules: Iterable[nn.Module]) -> Iterator[FoldedLora]:
    """Run a model's LoRA layers folded within the block. Costs a second copy of the adapted weights.

    Args:
        modules: All modules of the model.

    Raises:
        ModelError: an adapter that cannot be folded, or none.
    """
    layers = [_FoldedLayer(module) for module in modules if isinstance(module, LoraLinear)]
    if not layers:
        raise ModelError("no LoRA layer to fold", expected="a model with an adapter on linear layers")
    folding = FoldedLora(layers)
    folding.refresh()
    for layer in layers:
        layer.layer.forward = layer.forward
    try:
        yield folding
    finally:
        for layer in layers:
            del layer.layer.forward
