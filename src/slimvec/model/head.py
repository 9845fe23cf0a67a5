"""From pooled states to vectors: the layers of the model's head, cut to the width asked for, scaled to unit length.

Most models have no layers there. Those that sentence-transformers calls Dense, LayerNorm, Dropout and Normalize are
served in any order (EmbeddingGemma has two Dense, LaBSE one with tanh), and trained with the rest of the weights.
"""

from collections.abc import Sequence
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimvec.errors import InputError, ModelError
from slimvec.model.spec import DenseLayer, DropoutLayer, HeadLayer, ModelSpec, NormLayer


class Dense(nn.Module):
    """A linear layer with its activation. It computes in the dtype of what it gets, which is float32 but in tests.

    Args:
        layer: Widths and activation.
    """

    def __init__(self, layer: DenseLayer) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.in_dims, layer.out_dims, bias=layer.bias)
        self.activation: nn.Module = getattr(nn, layer.activation)()
        self.has_residual = layer.residual
        if layer.residual and layer.in_dims != layer.out_dims:
            self.residual = nn.Linear(layer.in_dims, layer.out_dims, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Take [..., in_dims] to [..., out_dims]."""
        bias = self.linear.bias
        product = F.linear(x, self.linear.weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
        out: Tensor = self.activation(product)
        if not self.has_residual:
            return out
        return out + (F.linear(x, self.residual.weight.to(x.dtype)) if hasattr(self, "residual") else x)


class Norm(nn.Module):
    """A layer norm, in the dtype of what it gets.

    Args:
        layer: Its width.
    """

    def __init__(self, layer: NormLayer) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(layer.dims)

    def forward(self, x: Tensor) -> Tensor:
        """Norm the last axis."""
        weight, bias = self.norm.weight.to(x.dtype), self.norm.bias.to(x.dtype)
        return F.layer_norm(x, self.norm.normalized_shape, weight, bias, self.norm.eps)


class Unit(nn.Module):
    """Scaling to unit length."""

    def forward(self, x: Tensor) -> Tensor:
        """Scale the last axis."""
        return F.normalize(x, dim=-1)


class Head(nn.Module):
    """The layers behind the pooling, in their order, with fresh weights.

    Args:
        layers: What they are.
        width: Width of the pooled states.

    Raises:
        ModelError: a layer takes another width than the one before it gives.
    """

    def __init__(self, layers: Sequence[HeadLayer], width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.specs = tuple(layers)
        for number, layer in enumerate(layers, 1):
            taken = layer.in_dims if isinstance(layer, DenseLayer) else getattr(layer, "dims", width)
            if taken != width:
                raise ModelError(
                    f"layer {number} of the head ({layer.kind}) takes width {taken}", expected=f"{width}, what it gets"
                )
            width = layer.out_dims if isinstance(layer, DenseLayer) else width
            self.layers.append(_build(layer))

    @property
    def is_linear(self) -> bool:
        """Whether a sum of states gives the sum of their vectors."""
        return all(
            isinstance(layer, DropoutLayer)
            or (isinstance(layer, DenseLayer) and layer.activation == "Identity" and not layer.bias)
            for layer in self.specs
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Take pooled states [..., H] to vectors of the head's own width, computed where its weights are."""
        weight = next(self.parameters(), pooled)
        vectors = pooled.to(weight.device)
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors.to(pooled.device)


def _build(layer: HeadLayer) -> nn.Module:
    """Make one layer."""
    if isinstance(layer, DenseLayer):
        return Dense(layer)
    if isinstance(layer, NormLayer):
        return Norm(layer)
    return nn.Dropout(layer.rate) if isinstance(layer, DropoutLayer) else Unit()


def check_dims(dims: int | None, width: int) -> None:
    """Refuse vectors wider than the model's.

    Raises:
        InputError: always then.
    """
    if dims is not None and (isinstance(dims, bool) or not isinstance(dims, Integral) or not 1 <= dims <= width):
        raise InputError(f"dims {dims!r}", expected=f"1 to {width}, the model's width")


def finish(pooled: Tensor, head: Head, spec: ModelSpec, dims: int | None = None) -> Tensor:
    """Turn pooled states into vectors: the head's layers, then cut to `dims` (default the spec's), then unit length.

    The first numbers carry the most where training aimed at several widths (Matryoshka, arXiv 2205.13147).

    Args:
        pooled: [B, H] float32.
        head: The model's.
        spec: The model's settings.
        dims: Width asked for.

    Returns:
        [B, dims] float32.

    Raises:
        InputError: `dims` is more than the head gives.
    """
    return cut(head(pooled), spec, dims)


def cut(vectors: Tensor, spec: ModelSpec, dims: int | None = None) -> Tensor:
    """Cut what a head gives, [B, D], to the width asked for, and scale it to unit length where the model does so.

    Raises:
        InputError: `dims` is more than D.
    """
    width = dims or spec.dims
    check_dims(width, vectors.shape[-1])
    vectors = vectors[..., :width]
    return F.normalize(vectors, dim=-1) if spec.normalize else vectors


def head_tensors(head: Head) -> list[dict[str, Tensor]]:
    """Give the weights of each layer, by the names that sentence-transformers has for them."""
    return [{name: tensor.detach() for name, tensor in layer.state_dict().items()} for layer in head.layers]


def load_tensors(head: Head, number: int, tensors: dict[str, Tensor], place: str) -> None:
    """Put weights into a layer of a head.

    Args:
        head: Changed in place.
        number: Number of the layer.
        tensors: By name.
        place: Place of the file, for messages.

    Raises:
        ModelError: tensors are missing, left over or of another shape.
    """
    own = head.layers[number].state_dict()
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    if found != wanted:
        raise ModelError(f"{place} has the tensors {found}", expected=f"{wanted}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
