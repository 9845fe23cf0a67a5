"""Gradient checkpointing (arXiv 1604.06174): memory for time, through transformers."""

from slimvec.model.backbone import TransformersBackbone


def checkpoint_gradients(backbone: TransformersBackbone) -> None:
    """In training, keep only the input of each layer and compute the layer again on the way back.

    The gradient is the same, dropout included; the memory of a pass is that of one layer and all layers' inputs.
    """
    model = backbone.hf_model
    # Newer releases of transformers have it by another name, and warn of the old one.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
