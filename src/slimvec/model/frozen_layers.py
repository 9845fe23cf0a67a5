"""The frozen layers of a decoder in training: those below the first trained one, run by something else, or read.

They need no gradient, so whatever gives their states will do: a faster engine, or states kept from before. The rest of
the model stays as it is: for the time, the first of these layers gives the states, and the others pass them on.

Letters: T tokens, H width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from slimvec.model.architectures import is_decoder
from slimvec.model.backbone import TransformersBackbone
from slimvec.text.batch import PackedBatch

LowerStates = Callable[[PackedBatch], Tensor]
"""Gives what leaves the frozen layers for a batch: [T, H], on any device, in any float dtype."""


def num_frozen(backbone: TransformersBackbone) -> int:
    """Count the layers from the bottom that train nothing; 0 for encoders, and where the embeddings are trained."""
    if not is_decoder(backbone.config.to_dict()):
        return 0
    layers = _layers(backbone)
    trained = [any(parameter.requires_grad for parameter in layer.parameters()) for layer in layers]
    number = trained.index(True) if True in trained else len(layers)
    embeddings = backbone.hf_model.get_input_embeddings().parameters()
    return 0 if any(parameter.requires_grad for parameter in embeddings) else number


@contextmanager
def frozen_layers(backbone: TransformersBackbone, number: int, states: LowerStates) -> Iterator[None]:
    """Take the states behind the frozen layers from elsewhere within the block.

    Args:
        backbone: Its first layers are exchanged, and come back at the end.
        number: How many layers, 1 or more.
        states: What gives their states.
    """
    layers = _layers(backbone)
    originals = list(layers[:number])
    given = _Given()

    def fill(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        with torch.no_grad():
            given.states = states(arguments[0]).to(backbone.device, backbone.hf_model.dtype)

    hook = backbone.register_forward_pre_hook(fill)
    _put(layers, [given, *(_Passing() for _ in originals[1:])])
    try:
        yield
    finally:
        hook.remove()
        _put(layers, originals)


def own_states(backbone: TransformersBackbone, number: int) -> LowerStates:
    """Give the frozen layers themselves as what gives their states, for machines with nothing faster.

    Args:
        backbone: With its layers in place; what is given goes on with these, wherever they are by then.
        number: How many layers.
    """
    layers = _layers(backbone)
    originals = list(layers[:number])
    (norm,) = (module for name, module in backbone.hf_model.named_modules() if name.rpartition(".")[2] == "norm")
    caught: list[Tensor] = []

    def run(batch: PackedBatch) -> Tensor:
        shown, whole = list(layers[:number]), backbone.config.num_hidden_layers
        hook = norm.register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
        _put(layers, originals)
        backbone.config.num_hidden_layers = number
        try:
            backbone.forward(batch)  # not the call, whose hooks fill in what is asked for here
        finally:
            hook.remove()
            backbone.config.num_hidden_layers = whole
            _put(layers, shown)
        return caught.pop()[0]

    return run


def _layers(backbone: TransformersBackbone) -> nn.ModuleList:
    """Find the list of layers."""
    return max((part for part in backbone.hf_model.modules() if isinstance(part, nn.ModuleList)), key=len)


def _put(layers: nn.ModuleList, modules: Sequence[nn.Module]) -> None:
    """Put modules in the place of the first layers."""
    for place, module in enumerate(modules):
        layers[place] = module


class _Given(nn.Module):
    """Stands for the first layer: whatever comes in, the states go out."""

    def __init__(self) -> None:
        super().__init__()
        self.states: Tensor | None = None

    def forward(self, *_: Any, **__: Any) -> Tensor:
        """Give the states of the batch at hand: [1, T, H]."""
        assert self.states is not None
        states, self.states = self.states, None
        return states[None]


class _Passing(nn.Module):
    """Stands for a layer above it that has nothing left to do."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Give what came in."""
        return hidden_states
