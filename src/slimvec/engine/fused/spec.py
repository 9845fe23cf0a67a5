"""What a decoder is made of, read from the `config.json` of a model, in its old and its new (transformers 5) form.

Only the settings that change the mathematics are read, and a setting that is not understood is refused: the fused
decoder must never be silently another model. No transformers is imported, so that a model starts fast.

Letters as everywhere in the engine: H width, A query heads, K key-value heads, D width of a head, F feed-forward.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from slimvec.engine.fused.errors import UnsupportedError
from slimvec.engine.fused.rope import Rope, read_ropes
from slimvec.model.architectures import has_split_window

Activation = Literal["silu", "gelu_tanh"]
Biased = Literal["qkv", "output", "feed_forward"]
_ACTIVATIONS: dict[str, Activation] = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text")


@dataclass(frozen=True)
class LayerSpec:
    """What differs from layer to layer.

    Attributes:
        window: Sliding window in tokens, or None: itself and those before it in a causal decoder, else those on either
            side.
        rope: Rotary positions.
    """

    window: int | None
    rope: Rope


@dataclass(frozen=True)
class DecoderSpec:
    """Shapes and constants of a decoder.

    Attributes:
        family: Architecture, as `model_type` of transformers.
        vocabulary: V, rows of the embedding.
        width: H.
        heads: A.
        kv_heads: K, which divides A.
        head_dim: D.
        hidden: F.
        activation: Activation of the gate.
        epsilon: Added to the mean square in every norm.
        score_scale: Factor of the attention scores.
        scale_embedding: Whether embeddings are multiplied by sqrt(H).
        norm_offset: Added to every norm's weight: Gemma stores w - 1.
        head_norms: Whether queries and keys are normed head by head.
        branch_norms: Whether a branch's output is normed before it is added to the residual stream.
        biases: Products that a bias is added to.
        layers: The layers.
    """

    family: str
    vocabulary: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    activation: Activation
    epsilon: float
    score_scale: float
    scale_embedding: bool
    norm_offset: float
    head_norms: bool
    branch_norms: bool
    biases: frozenset[Biased]
    layers: tuple[LayerSpec, ...]


def read_spec(config: Mapping[str, Any]) -> DecoderSpec:
    """Read a decoder from the content of its `config.json`.

    Raises:
        UnsupportedError: another architecture, a missing setting, or one that the fused decoder does not do.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        raise UnsupportedError(f"architecture {family!r}")
    _refuse_extras(config)
    gemma = family == "gemma3_text"
    width, heads = _positive(config, "hidden_size"), _positive(config, "num_attention_heads")
    kv_heads = _positive(config, "num_key_value_heads", default=heads)
    head_dim = _positive(config, "head_dim", default=_default_head_dim(family, width, heads))
    hidden = _positive(config, "intermediate_size")
    if heads % kv_heads or width % 2 or head_dim % 2 or hidden % 2:
        raise UnsupportedError(f"widths {width}, {hidden}, {heads} heads of {head_dim} over {kv_heads}")
    activation = config.get("hidden_activation" if gemma else "hidden_act")
    if activation not in _ACTIVATIONS:
        raise UnsupportedError(f"activation {activation!r}")
    return DecoderSpec(
        family=family,
        vocabulary=_positive(config, "vocab_size"),
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        hidden=hidden,
        activation=_ACTIVATIONS[activation],
        epsilon=float(_required(config, "rms_norm_eps")),
        score_scale=float(_required(config, "query_pre_attn_scalar") if gemma else head_dim) ** -0.5,
        scale_embedding=gemma,
        norm_offset=1.0 if gemma else 0.0,
        head_norms=family in ("qwen3", "gemma3_text"),
        branch_norms=gemma,
        biases=_read_biases(config),
        layers=_read_layers(config, head_dim),
    )


def _read_biases(config: Mapping[str, Any]) -> frozenset[Biased]:
    """Which products have a bias: by the architecture, or as the config says."""
    family = config["model_type"]
    if family == "qwen2":
        return frozenset({"qkv"})
    biased: set[Biased] = set()
    if family != "mistral" and config.get("attention_bias"):
        biased |= {"qkv", "output"}
    if family == "llama" and config.get("mlp_bias"):
        biased.add("feed_forward")
    return frozenset(biased)


def _refuse_extras(config: Mapping[str, Any]) -> None:
    """Refuse settings that change the model in a way the fused decoder does not follow."""
    for key in ("attn_logit_softcapping", "quantization_config"):
        if config.get(key):
            raise UnsupportedError(f"{key} is set")


def _default_head_dim(family: str, width: int, heads: int) -> int:
    """Width of a head where the config does not say: transformers' own default for the architecture."""
    return {"qwen3": 128, "gemma3_text": 256}.get(family, width // heads)


def _read_layers(config: Mapping[str, Any], head_dim: int) -> tuple[LayerSpec, ...]:
    kinds = _layer_kinds(config)
    ropes = read_ropes(config, kinds, head_dim)
    window = config.get("sliding_window")
    if has_split_window(config) and isinstance(window, int):
        window //= 2
    layers = []
    for kind in kinds:
        sliding = kind == "sliding_attention"
        if sliding and not (isinstance(window, int) and window > 0):
            raise UnsupportedError(f"sliding attention with window {window!r}")
        layers.append(LayerSpec(window if sliding else None, ropes[kind]))
    return tuple(layers)


def _layer_kinds(config: Mapping[str, Any]) -> list[str]:
    """Kind of attention of each layer: `full_attention` or `sliding_attention`."""
    count, family = _positive(config, "num_hidden_layers"), config["model_type"]
    if family == "llama":
        return ["full_attention"] * count
    if family == "mistral":
        return ["sliding_attention" if config.get("sliding_window") else "full_attention"] * count
    kinds = config.get("layer_types") or _kinds_by_rule(config, count)
    unknown = {*kinds} - {"full_attention", "sliding_attention"}
    if unknown or len(kinds) != count:
        raise UnsupportedError(f"layer types {sorted({*kinds})} for {count} layers")
    return list(kinds)


def _kinds_by_rule(config: Mapping[str, Any], count: int) -> list[str]:
    """Kinds where the config gives the rule and not the list, as configs from before `layer_types` do."""
    if config["model_type"] == "gemma3_text":
        pattern = config.get("sliding_window_pattern", config.get("_sliding_window_pattern", 6))
        sliding = [bool((layer + 1) % pattern) for layer in range(count)]
    else:
        first = config.get("max_window_layers", 28) if config.get("use_sliding_window") else count
        sliding = [layer >= first for layer in range(count)]
    return ["sliding_attention" if is_sliding else "full_attention" for is_sliding in sliding]


def _required(config: Mapping[str, Any], key: str) -> Any:
    if config.get(key) is None:
        raise UnsupportedError(f"the config has no {key}")
    return config[key]


def _positive(config: Mapping[str, Any], key: str, *, default: int | None = None) -> int:
    value = config.get(key)
    value = default if value is None else value
    if not isinstance(value, int) or value < 1:
        raise UnsupportedError(f"{key} is {value!r}")
    return value
