"""The attention guard: what a model declares is what it does, shown by moving a token.

In a causal model no token may feel the tokens after it; in a bidirectional one the first must feel the last. The check
runs two short texts that differ in their last token and compares the first state. It runs them packed among others, so
that it also fails when texts leak into each other.
"""

import torch

from slimvec.errors import ModelError
from slimvec.model.protocols import Backbone
from slimvec.model.spec import AttentionMode
from slimvec.text.batch import PackedBatch

_NUM_TOKENS = 6


def check_attention_mode(backbone: Backbone, declared: AttentionMode, *, vocabulary: int) -> None:
    """Make sure that a backbone attends as declared.

    Args:
        backbone: Any backbone.
        declared: The mode its files declare.
        vocabulary: Number of token ids to choose from.

    Raises:
        ModelError: states are NaN, infinite or all alike; an early state moves in a causal model, stays in a
            bidirectional one, or texts leak.
    """
    text = [(7 * place + 3) % vocabulary for place in range(_NUM_TOKENS)]
    changed = [*text[:-1], (text[-1] + 1) % vocabulary]
    with torch.inference_mode():
        states = backbone(PackedBatch.from_sequences([text, changed, text]))
    first, moved, again = states.float().view(3, _NUM_TOKENS, -1).unbind(0)
    scale = first.abs().mean().item()
    if not bool(states.isfinite().all()) or scale == 0:
        raise ModelError(
            f"the states of a short text are {'all 0' if scale == 0 else 'NaN or infinite'}",
            expected="numbers",
            do="its weights are damaged, or too large for the dtype: load it with dtype='float32'",
        )
    if (first - again).abs().max().item() > 0.1 * scale:
        raise ModelError("the same text has two vectors in one batch", expected="texts that do not see each other")
    felt = (first[0] - moved[0]).abs().max().item() > 1e-4 * scale
    if felt != (declared == "bidirectional"):
        does = "moves" if felt else "does not move"
        raise ModelError(
            f"changing the last token {does} the first state",
            expected=f"{declared} attention, as the model's files say",
            do="the weights, the config's is_causal or the attention kernel do not belong together",
        )
