"""Rotary positions stretched, so that a model takes longer texts than it was trained on. Written into `config.json`.

Rotary positions (arXiv 2104.09864) turn pair i of a head's D numbers by p theta^(-2i/D) at position p. Beyond the
longest text of the training the slow pairs meet angles they have never seen. With a factor s:

    theta   theta s: every wave longer, the slow ones most (what is done when training goes on at a greater length)
    ntk     theta s^(D/(D-2)): the slowest wave longer by s, the fastest left alone ("NTK-aware")
    linear  all waves longer by s, as if positions were p / s (arXiv 2306.15595)
    yarn    slow waves longer by s, fast ones left alone, a ramp between, and attention sharper by a factor that grows
            with log s (arXiv 2309.00071)

All four are fixed: they depend on no text's length, so that batch composition changes no vector ("dynamic" NTK, which
does, is not offered). They are transformers' own rope parameters, so every reader of the saved model obeys them.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from pydantic import Field

from slimvec.errors import ModelError
from slimvec.frozen import Frozen, checked
from slimvec.model.architectures import Config, is_decoder

RopeKind = Literal["theta", "ntk", "linear", "yarn"]
RopeParameters = dict[str, Any]

_MARK = "slimvec_rope_scaling"
"""Key of `config.json` that names the scaling: in their parameters theta and ntk look like models trained so."""
_FULL, _SLIDING = "full_attention", "sliding_attention"
_THETA = 10_000.0
_GEMMA_THETAS = {_FULL: 1_000_000.0, _SLIDING: _THETA}


class RopeScaling(Frozen):
    """How rotary positions are stretched.

    Attributes:
        kind: One of `theta`, `ntk`, `linear` and `yarn`.
        factor: By how much; the model then takes texts longer by it. 1 changes nothing.
    """

    kind: RopeKind
    factor: float = Field(ge=1, allow_inf_nan=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a scaling as it is written on the command line, `yarn:4`.

        Raises:
            InputError: it is none.
        """
        kind, _, factor = text.partition(":")
        expected = f"{' or '.join(get_args(RopeKind))}, a colon and a factor of at least 1, such as yarn:4"
        with checked(f"rope scaling {text!r}: ", expected=expected):
            return cls.model_validate({"kind": kind, "factor": factor})

    def __str__(self) -> str:
        return f"{self.kind}:{self.factor:g}"


def scaled_config(config: Config, scaling: RopeScaling | None) -> Config:
    """Give a config with stretched positions: `rope_parameters`, `max_position_embeddings` and a mark are new.

    In models with sliding windows and two ropes (Gemma) the one of full attention is stretched: within a window no
    position is new.

    Args:
        config: Content of `config.json`, in its old or its new (transformers 5) form.
        scaling: None gives the config as it is.

    Raises:
        ModelError: a model without rotary positions, one whose positions are stretched already, or `ntk` for
            heads of two numbers, which have one wave only.
    """
    if scaling is None:
        return config
    if not is_decoder(config):
        raise ModelError(
            f"rope scaling {scaling} for architecture {config['model_type']!r}",
            expected="a decoder, which has rotary positions",
        )
    if _MARK in config:
        raise _scaled_already(scaling, config[_MARK])
    longest = int(config.get("max_position_embeddings", 0)) or 2048
    changed = {"max_position_embeddings": round(longest * scaling.factor), _MARK: str(scaling)}
    dropped = {"rope_scaling", "rope_theta", "rope_local_base_freq"}
    rest = {key: value for key, value in config.items() if key not in dropped}
    return {**rest, **changed, "rope_parameters": _scaled_ropes(config, scaling, longest)}


def scaled_settings(config: Config) -> Mapping[str, Any]:
    """Give what `scaled_config` changed, for transformers' config object."""
    return {key: config[key] for key in ("rope_parameters", "max_position_embeddings", _MARK)}


def _scaled_already(scaling: RopeScaling, by: str) -> ModelError:
    """Give the error of stretching what is stretched."""
    return ModelError(
        f"rope scaling {scaling} for a model whose positions are scaled already, by {by!r}",
        expected="plain rotary positions",
        do="take the model it was made of",
    )


def _scaled_ropes(config: Config, scaling: RopeScaling, longest: int) -> RopeParameters:
    """Give the parameters of all ropes of a model."""
    dim = int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    if config["model_type"] != "gemma3_text":
        return _scaled(_flat_rope(config), scaling, longest, dim)
    full, sliding = (_gemma_rope(config, kind) for kind in (_FULL, _SLIDING))
    return {_FULL: _scaled(full, scaling, longest, dim), _SLIDING: sliding}


def _flat_rope(config: Config) -> RopeParameters:
    """Give the parameters of the one rope a model has."""
    found = config.get("rope_parameters") or {}
    found = found.get(_FULL) or found
    theta = found.get("rope_theta") or config.get("rope_theta") or _THETA
    return {**(config.get("rope_scaling") or {}), **found, "rope_theta": float(theta)}


def _gemma_rope(config: Config, kind: str) -> RopeParameters:
    """Give the parameters of a kind of Gemma's layers."""
    found = (config.get("rope_parameters") or {}).get(kind) or {}
    theta = found.get("rope_theta") or config.get("rope_theta" if kind == _FULL else "rope_local_base_freq")
    scaling = (config.get("rope_scaling") or {}) if kind == _FULL else {}
    return {"rope_type": "default", **scaling, **found, "rope_theta": float(theta or _GEMMA_THETAS[kind])}


def _scaled(rope: RopeParameters, scaling: RopeScaling, longest: int, dim: int) -> RopeParameters:
    """Stretch one rope.

    Raises:
        ModelError: as for `scaled_config`.
    """
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind != "default":
        raise _scaled_already(scaling, kind)
    theta, factor = float(rope["rope_theta"]), scaling.factor
    if scaling.kind == "theta":
        return {"rope_type": "default", "rope_theta": theta * factor}
    if scaling.kind == "ntk":
        if dim <= 2:
            raise ModelError(
                f"rope scaling {scaling} for heads of {dim} numbers", expected="4 or more", do="use linear"
            )
        return {"rope_type": "default", "rope_theta": theta * factor ** (dim / (dim - 2))}
    found = {"rope_type": scaling.kind, "rope_theta": theta, "factor": factor}
    return found if scaling.kind == "linear" else {**found, "original_max_position_embeddings": longest}
