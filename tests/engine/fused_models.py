"""Tiny decoders of random shapes, and their states by transformers itself: the reference of the fused decoder."""

from typing import Any

import pytest
import torch
import transformers
from hypothesis import strategies as st

from slimvec.engine.kernels.library import available_targets, load_kernels
from slimvec.model.attention import ATTENTION_NAME
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.processor import forced_isa
from slimvec.text.batch import PackedBatch
from tests.tiny import CONFIGS, VOCABULARY

_AVAILABLE = [target.name for target in available_targets()]
_FORCED = [name for name in _AVAILABLE if name == forced_isa()]
ISAS = _FORCED or [*_AVAILABLE[:1], *(name for name in _AVAILABLE[1:] if name == "avx2")] or ["none"]
"""Instruction sets whose kernels are tested: the one `SLIMVEC_ISA` names, or the best there is and AVX2."""
KERNELS = ("torch", *ISAS)
ROPES = (
    {"rope_type": "default", "rope_theta": 500.0},
    {"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.5},
    {
        "rope_type": "llama3",
        "rope_theta": 100.0,
        "factor": 4.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
)


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of a tiny decoder: widths that fill a vector, do not, or need several; any sharing of heads.

    No row is so short that a norm over it makes rounding large: with two hidden values, which may both be near zero,
    transformers itself is 1e-4 from double precision.
    """
    kv_heads = draw(st.sampled_from([1, 2, 3]))
    heads = kv_heads * draw(st.sampled_from([1, 2, 3, 7]))
    return {
        "num_key_value_heads": kv_heads,
        "num_attention_heads": heads,
        "head_dim": draw(st.sampled_from([2, 6, 8, 16, 34, 64, 80, 128])),
        "hidden_size": max(heads, 3) * draw(st.sampled_from([2, 6, 10])) * 2,
        "intermediate_size": draw(st.sampled_from([10, 30, 64, 98])),
        "num_hidden_layers": draw(st.integers(1, 3)),
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
    }


@st.composite
def windows(draw: st.DrawFn, architecture: str) -> dict[str, Any]:
    """Sliding windows as the architecture writes them."""
    window = draw(st.integers(1, 9))
    if architecture == "mistral":
        return {"sliding_window": draw(st.sampled_from([None, window]))}
    if architecture in ("qwen2", "qwen3"):
        return {"use_sliding_window": draw(st.booleans()), "sliding_window": window, "max_window_layers": 1}
    if architecture == "gemma3_text":
        return {"sliding_window": window, "sliding_window_pattern": 2, "query_pre_attn_scalar": 11}
    return {"rope_parameters": dict(draw(st.sampled_from(ROPES)))}


def build(architecture: str, settings: dict[str, Any], *, seed: int = 0) -> transformers.PreTrainedModel:
    """Build a model whose weights are exact in bfloat16, so that both dtypes run the same model."""
    config = getattr(transformers, CONFIGS[architecture][0])(**settings)
    torch.manual_seed(seed)
    model = transformers.AutoModel.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, parameter.shape[-1] ** -0.5)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            parameter.copy_(parameter.bfloat16())
    return model


def leave_bfloat16(model: transformers.PreTrainedModel) -> None:
    """Change the weights to numbers that bfloat16 does not hold, so that kernels in float32 keep them as they are."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.001)


def reference(model: transformers.PreTrainedModel, batch: PackedBatch, *, causal: bool) -> torch.Tensor:
    """States of each text alone, by transformers' own eager attention."""
    backbone = TransformersBackbone(model, "causal" if causal else "bidirectional")
    backbone.hf_model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            texts = torch.split(batch.input_ids, list(batch.lengths))
            return torch.cat([model(input_ids=text[None]).last_hidden_state[0] for text in texts])
    finally:
        backbone.hf_model.set_attn_implementation(ATTENTION_NAME)


def assert_close(states: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> None:
    """Compare states: to rounding in float32; in bfloat16 to what 8 bits of mantissa leave of a few tiny layers.

    Heads of two numbers amplify rounding, so a single state may be off by a fifth; a wrong key moves it by far more.
    """
    assert states.dtype == torch.float32
    if dtype == torch.float32:
        torch.testing.assert_close(states, expected, atol=5e-5, rtol=2e-4)
        return
    error = (states - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert error.max() < 0.3, f"relative error {error.max():.4f}"
    assert error.mean() < 0.06, f"mean relative error {error.mean():.4f}"


def use_isa(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an instruction set of `ISAS` used, or skip the test where there is none."""
    if name == "none":
        pytest.skip(f"no kernels: {load_kernels().reason}")
    monkeypatch.delenv("SLIMVEC_KERNELS", raising=False)  # the whole suite may be run without kernels
    monkeypatch.setenv("SLIMVEC_ISA", name)


def use_int8(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an instruction set of `ISAS` used that multiplies in int8, or skip the test."""
    use_isa(name, monkeypatch)
    if torch.int8 not in load_kernels().dtypes:
        pytest.skip(f"no native kernel in int8: {load_kernels().reason}")
