"""What a step of training runs on the engine's kernels: attention, norms that are frozen, gated activations.

Training knows no engine: whoever starts a run hands it this.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from slimvec.engine.fused import UnsupportedError
from slimvec.engine.fused.spec import DecoderSpec, read_spec
from slimvec.engine.kernels.library import load_kernels
from slimvec.engine.training_attention import TrainedAttention
from slimvec.engine.training_rows import Gate, Norm, Rows
from slimvec.model.attention import FAST_ATTENTION
from slimvec.model.backbone import TransformersBackbone


@contextmanager
def fast_training(backbone: TransformersBackbone) -> Iterator[None]:
    """Run a model's attention, frozen norms and gated activations on the kernels within the block.

    Nothing changes where there are no kernels for the model's dtype, on a GPU, and for a model that the fused decoder
    does not know. A norm that is trained stays as it is.

    Args:
        backbone: With the right weights trainable.
    """
    model, kernels = backbone.hf_model, load_kernels()
    spec = _spec(model)
    if spec is None or backbone.device.type != "cpu" or model.dtype not in kernels.dtypes:
        yield
        return
    rows, attention, exchanged = Rows(kernels), TrainedAttention(kernels), []
    for module in model.modules():
        name, fast = _fast_part(module, spec, rows, attention)
        if fast is not None:
            setattr(module, name, fast)
            exchanged.append((module, name))
    try:
        yield
    finally:
        for module, name in exchanged:
            delattr(module, name)


def _spec(model: nn.Module) -> DecoderSpec | None:
    """Read what the decoder's norms and activations are; None where the fused decoder does not know it."""
    try:
        return read_spec(model.config.to_dict())  # type: ignore[operator, union-attr]
    except UnsupportedError:
        return None


def _fast_part(
    module: nn.Module, spec: DecoderSpec, rows: Rows, attention: TrainedAttention
) -> tuple[str, Callable[..., Tensor] | None]:
    """Give what of a module runs on the kernels, by its attribute's name; None where it stays as it is."""
    if type(module).__name__.endswith("RMSNorm"):
        return "forward", _norm(module, spec, rows)
    if _has(module, "gate_proj", "up_proj", "down_proj"):
        return "forward", _feed_forward(module, spec, rows)
    return FAST_ATTENTION, attention if _has(module, "q_proj", "k_proj", "v_proj") else None


def _has(module: nn.Module, *names: str) -> bool:
    return all(isinstance(getattr(module, name, None), nn.Module) for name in names)


def _norm(module: nn.Module, spec: DecoderSpec, rows: Rows) -> Callable[[Tensor], Tensor] | None:
    weight = module.weight
    if not isinstance(weight, Tensor) or weight.requires_grad:
        return None
    whole = (weight.detach().float() + spec.norm_offset).contiguous()
    return lambda x: Norm.apply(x.contiguous(), whole, spec.epsilon, rows)  # type: ignore[no-untyped-call]


def _feed_forward(module: Any, spec: DecoderSpec, rows: Rows) -> Callable[[Tensor], Tensor]:
    gelu = spec.activation == "gelu_tanh"

    def feed_forward(x: Tensor) -> Tensor:
        gated = Gate.apply(module.gate_proj(x).contiguous(), module.up_proj(x).contiguous(), gelu, rows)  # type: ignore[no-untyped-call]
        return module.down_proj(gated)  # type: ignore[no-any-return]

    return feed_forward
