"""A backbone made anew around given weights: for weights that were taken apart, over processes or by averaging."""

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import AutoModel

from slimvec.model.backbone import TransformersBackbone


def rebuild_backbone(
    backbone: TransformersBackbone, weights: Mapping[str, Tensor], *, dtype: torch.dtype
) -> TransformersBackbone:
    """Make a backbone like another one, on the CPU.

    Args:
        backbone: Whose architecture and attention mode it has.
        weights: All of them, by their names in the transformers model.
        dtype: Data type of the new weights.
    """
    hf_model = AutoModel.from_config(backbone.config, dtype=dtype)
    hf_model.load_state_dict(dict(weights), strict=True)
    return TransformersBackbone(hf_model.eval(), backbone.mode)
