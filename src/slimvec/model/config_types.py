"""Types of the keys of `config.json` that are read here: a wrong one is named before a library stumbles over it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slimvec.errors import ModelError
from slimvec.numbers import finite_number

_Test = Callable[[Any], bool]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return finite_number(value) is not None


def _positive(value: Any) -> bool:
    return _whole(value) and value > 0


def _rope(value: Any) -> bool:
    """Whether it is an object of rope settings, or one of such objects by kind of layer."""
    return isinstance(value, dict) and all(_rope_value(key, inner) for key, inner in value.items())


def _rope_value(key: str, value: Any) -> bool:
    if key in ("rope_type", "type"):
        return isinstance(value, str)
    if key.endswith("_attention"):
        return value is None or _rope(value)
    if key in ("long_factor", "short_factor"):
        return isinstance(value, list) and all(map(_number, value))
    return value is None or isinstance(value, bool) or _number(value)


_REQUIRED = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
_NULLABLE = (
    "num_key_value_heads", "head_dim", "pad_token_id", "sliding_window", "layer_types", "rope_parameters",
    "rope_scaling", "is_causal", "use_bidirectional_attention", "dtype", "torch_dtype", "attn_logit_softcapping",
)  # fmt: skip
"""Keys whose null stands for their absence, in transformers too."""
_KINDS: tuple[tuple[str, _Test, tuple[str, ...]], ...] = (
    (
        "a whole number above 0",
        _positive,
        (*_REQUIRED, "intermediate_size", "max_position_embeddings", "num_key_value_heads", "head_dim",
         "sliding_window", "type_vocab_size", "sliding_window_pattern"),
    ),
    ("a whole number of at least 0", lambda value: _whole(value) and value >= 0, ("pad_token_id", "max_window_layers")),
    (
        "a number",
        _number,
        ("rms_norm_eps", "layer_norm_eps", "rope_theta", "rope_local_base_freq", "query_pre_attn_scalar",
         "partial_rotary_factor", "attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob",
         "initializer_range", "attn_logit_softcapping"),
    ),
    (
        "true or false",
        lambda value: isinstance(value, bool),
        ("is_causal", "is_decoder", "use_bidirectional_attention", "use_sliding_window", "attention_bias", "mlp_bias",
         "tie_word_embeddings", "add_cross_attention"),
    ),
    ("a name", lambda value: isinstance(value, str), ("hidden_act", "hidden_activation", "dtype", "torch_dtype")),
    (
        "a list of names",
        lambda value: isinstance(value, list) and all(isinstance(kind, str) for kind in value),
        ("layer_types",),
    ),
    ("an object of rope settings", _rope, ("rope_parameters", "rope_scaling")),
)  # fmt: skip
_EXPECTED = {name: (words, test) for words, test, names in _KINDS for name in names}


def check_types(config: Mapping[str, Any], path: Path) -> None:
    """Refuse a config with a value of another type than its key has.

    Args:
        config: Content of the file.
        path: The file, for the message.

    Raises:
        ModelError: one is missing or of another type.
    """
    for name in _REQUIRED:
        if name not in config:
            raise ModelError(f"{path} has no {name}", expected=_EXPECTED[name][0], do="copy the folder again, whole")
    for name, value in config.items():
        words, test = _EXPECTED.get(name, ("", None))
        if test is None or (value is None and name in _NULLABLE) or test(value):
            continue
        raise ModelError(f"{path} has {name} {str(value)[:60]!r}", expected=words, do="copy the file again")
