"""The frozen layers of a model in training on the fused decoder. Training knows no engine: it is handed this."""

import torch

from slimvec.engine.fused import FusedDecoder, UnsupportedError
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.frozen_layers import LowerStates


def open_frozen(backbone: TransformersBackbone, number: int) -> LowerStates | None:
    """Build a decoder of the first layers of a backbone; None where the fused decoder does not run it.

    The layers' weights are held twice from then on.

    Args:
        backbone: With an adapter on layers above, or none.
        number: How many layers.
    """
    if backbone.device.type != "cpu" or backbone.recency:
        return None
    try:
        decoder = FusedDecoder.below(
            backbone.hf_model, number, causal=backbone.mode == "causal", dtype=backbone.hf_model.dtype
        )
    except UnsupportedError:
        return None
    # In plain torch it gains in float32 only.
    return decoder if decoder.kernel == "native" or decoder.dtype == torch.float32 else None
