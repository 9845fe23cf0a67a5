"""The frozen layers of a run: on whatever is fastest, and from disk where the recipe says so.

Training knows no engine: whoever starts a run hands one in, as `slimvec.engine.frozen.open_frozen`, and what runs
attention, norms and activations of the other layers, as `slimvec.engine.fast_training.fast_training`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

import torch
from torch import Tensor

from slimvec.errors import InputError
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.frozen_layers import LowerStates, frozen_layers, num_frozen, own_states
from slimvec.model.state_cache import GB, kept_states
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.recipe import Recipe
from slimvec.training.step.events import Remark


class OpenFrozen(Protocol):
    """Gives what runs the first layers of a backbone faster than it does, or None."""

    def __call__(
        self, backbone: TransformersBackbone, number: int, *, int8: Tokenizer | None = None, remark: Remark = ...
    ) -> LowerStates | None:
        """Open the first layers.

        Args:
            backbone: With the right weights trainable.
            number: How many layers.
            int8: Round them to 8 bits if that is to be had, with this tokenizer's texts; None as the backbone has them.
            remark: Told why they are not rounded.
        """


FastTraining = Callable[[TransformersBackbone], AbstractContextManager[object]]
"""Runs attention, norms and activations of a backbone faster within a block, with their gradients."""

PIECE_TOKENS = 512
"""What the frozen layers run at once: as fast as more, and soon over when someone wants the run to stop."""


@contextmanager
def fast_frozen(
    model: EmbeddingModel,
    recipe: Recipe,
    open_frozen: OpenFrozen | None,
    *,
    look: Callable[[], None] = lambda: None,
    remark: Remark = lambda _line: None,
) -> Iterator[None]:
    """Run the frozen layers of a model in training the fastest way there is within the block.

    Args:
        model: With the right weights trainable.
        recipe: Recipe of the stage.
        open_frozen: As the run was given it.
        look: Called now and then; may raise.
        remark: Told why the layers are not in int8 where the recipe asks for it.

    Raises:
        InputError: states shall be kept, or layers in int8, and no layer is frozen.
    """
    backbone = model.backbone
    number = num_frozen(backbone)
    if not number:
        _refuse_without(recipe)
    if not number or recipe.run.attention_ramp:  # the ramp changes what frozen layers give from step to step
        yield
        return
    with ExitStack() as stack:
        states = _open(model, number, recipe, open_frozen, remark)
        if recipe.run.cache_states:
            computed = states or own_states(backbone, number)
            room = int(recipe.run.cache_states * GB)
            states = stack.enter_context(kept_states(computed, backbone, number, max_bytes=room))
        if states is not None:
            states = _in_pieces(states, look)
            stack.enter_context(frozen_layers(backbone, number, states))
        yield


def _open(
    model: EmbeddingModel, number: int, recipe: Recipe, open_frozen: OpenFrozen | None, remark: Remark
) -> LowerStates | None:
    """Open the first layers in the recipe's dtype, where there is something that runs them."""
    if recipe.tuning.frozen_dtype != "int8":
        return open_frozen(model.backbone, number) if open_frozen is not None else None

    def say(why: str) -> None:
        remark(f"frozen layers in the model's own dtype, not in int8: {why}")

    if open_frozen is None:
        say("the run was given nothing that runs them")
        return None
    return open_frozen(model.backbone, number, int8=model.tokenizer, remark=say)


def _refuse_without(recipe: Recipe) -> None:
    """Refuse what is for frozen layers alone.

    Raises:
        InputError: the recipe asks for some of it.
    """
    if recipe.run.cache_states:
        setting, key = f"run.cache_states {recipe.run.cache_states:g}", "cache_states"
    elif recipe.tuning.frozen_dtype == "int8":
        setting, key = "tuning.frozen_dtype int8", "frozen_dtype"
    else:
        return
    raise InputError(
        f"{setting} for {recipe.base.name}, of which no layer is frozen",
        expected="a decoder, and tuning.first_layer above 0",
        do=f"leave {key} out",
    )


def _in_pieces(states: LowerStates, look: Callable[[], None]) -> LowerStates:
    """Run a large batch in pieces of whole texts, with a look before each."""

    def run(batch: PackedBatch) -> Tensor:
        texts = [ids.tolist() for ids in torch.split(batch.input_ids.cpu(), list(batch.lengths))]
        found = []
        for indices in _pieces(batch.lengths):
            look()
            found.append(states(PackedBatch.from_sequences([texts[index] for index in indices])))
        return found[0] if len(found) == 1 else torch.cat(found)

    return run


def _pieces(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of neighbouring texts that make a piece; a long text is one by itself."""
    piece: list[int] = []
    tokens = 0
    for index, length in enumerate(lengths):
        if piece and tokens + length > PIECE_TOKENS:
            yield piece
            piece, tokens = [], 0
        piece.append(index)
        tokens += length
    yield piece
