"""The frozen layers of a run: on whatever is fastest, and from disk where the recipe says so.

Training knows no engine: whoever starts a run hands one in, as `slimvec.engine.frozen.open_frozen`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from slimvec.errors import InputError
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.frozen_layers import LowerStates, frozen_layers, num_frozen, own_states
from slimvec.training.recipe import Recipe
from slimvec.training.state_cache import kept_states

OpenFrozen = Callable[[TransformersBackbone, int], LowerStates | None]
"""Gives what runs the first layers of a backbone faster than it does, or None."""
_GB = 1 << 30


@contextmanager
def fast_frozen(backbone: TransformersBackbone, recipe: Recipe, open_frozen: OpenFrozen | None) -> Iterator[None]:
    """Run the frozen layers of a model in training the fastest way there is within the block.

    Args:
        backbone: With the right weights trainable.
        recipe: Of the stage.
        open_frozen: As the run was given it.

    Raises:
        InputError: states shall be kept, and no layer is frozen.
    """
    number = num_frozen(backbone)
    if recipe.run.cache_states and not number:
        raise InputError(
            f"run.cache_states {recipe.run.cache_states:g} for {recipe.base.name}, of which no layer is frozen",
            expected="a decoder, and tuning.first_layer above 0",
            do="leave cache_states out",
        )
    if not number or recipe.run.attention_ramp:  # the ramp changes what frozen layers give from step to step
        yield
        return
    with ExitStack() as stack:
        states = open_frozen(backbone, number) if open_frozen is not None else None
        if recipe.run.cache_states:
            computed = states or own_states(backbone, number)
            room = int(recipe.run.cache_states * _GB)
            states = stack.enter_context(kept_states(computed, backbone, number, max_bytes=room))
        if states is not None:
            stack.enter_context(frozen_layers(backbone, number, states))
        yield
