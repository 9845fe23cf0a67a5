"""Rotary positions (arXiv 2104.09864): their settings, and tables of cosines and sines that grow as texts do."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from slimvec.engine.fused.errors import UnsupportedError

_FIRST_LENGTH = 512
_DEFAULT_THETA = 10_000.0
_GEMMA_THETA = {"full_attention": 1_000_000.0, "sliding_attention": _DEFAULT_THETA}
_KINDS = ("default", "linear", "llama3")


@dataclass(frozen=True)
class Rope:
    """Settings of rotary positions.

    Attributes:
        dim: D, width of a head; all of it is rotated.
        theta: Base of the wavelengths.
        kind: `default`; `linear`, all wavelengths longer by `factor`; `llama3`, only the long ones.
        factor: See kind.
        low_factor: llama3: wavelengths above `original / low_factor` are scaled whole.
        high_factor: llama3: those below `original / high_factor` are left alone; between, a blend.
        original: llama3: longest text of the pretraining, in tokens.
    """

    dim: int
    theta: float
    kind: Literal["default", "linear", "llama3"] = "default"
    factor: float = 1.0
    low_factor: float = 1.0
    high_factor: float = 4.0
    original: float = 8192.0

    def frequencies(self) -> Tensor:
        """Radians a token: [D / 2] float32."""
        powers = torch.arange(0, self.dim, 2, dtype=torch.int64).float() / self.dim
        frequencies = 1.0 / (self.theta**powers)
        if self.kind == "linear":
            return frequencies / self.factor
        if self.kind == "llama3":
            return self._llama3(frequencies)
        return frequencies

    def _llama3(self, frequencies: Tensor) -> Tensor:
        """Blend scaled and plain frequencies by how often a wave fits the original length."""
        turns = self.original * frequencies / (2 * math.pi)
        plain_share = ((turns - self.low_factor) / (self.high_factor - self.low_factor)).clamp(0, 1)
        return frequencies / self.factor * (1 - plain_share) + frequencies * plain_share


class RopeTables:
    """Cosines and sines of a rope, as long as was ever asked for."""

    def __init__(self, rope: Rope) -> None:
        self._frequencies = rope.frequencies()
        self._cosine, self._sine = self._compute(_FIRST_LENGTH)

    def upto(self, length: int) -> tuple[Tensor, Tensor]:
        """Give cosines and sines [N, D / 2] float32, N >= length; row p is position p."""
        if length > self._cosine.shape[0]:
            self._cosine, self._sine = self._compute(1 << (length - 1).bit_length())
        return self._cosine, self._sine

    def _compute(self, length: int) -> tuple[Tensor, Tensor]:
        angles = torch.arange(length).float()[:, None] * self._frequencies
        return angles.cos(), angles.sin()


def read_ropes(config: Mapping[str, Any], kinds: Iterable[str], head_dim: int) -> dict[str, Rope]:
    """Read the rope of each kind of layer.

    Args:
        config: Content of `config.json`; with `rope_parameters` (flat, or by kind), or with `rope_theta`,
            `rope_scaling` and Gemma's `rope_local_base_freq`, as before transformers 5.
        kinds: Kinds of layers the model has.
        head_dim: D.

    Raises:
        UnsupportedError: a way of scaling that is not done.
    """
    return {kind: _read_rope(config, _parameters(config, kind), head_dim) for kind in {*kinds}}


def _parameters(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Parameters of one kind of layer, in the new form."""
    parameters = config.get("rope_parameters") or {}
    if any(key.endswith("_attention") for key in parameters):
        parameters = parameters.get(kind) or {}
    gemma = config["model_type"] == "gemma3_text"
    local = gemma and kind == "sliding_attention"
    theta = config.get("rope_local_base_freq" if local else "rope_theta")
    default = _GEMMA_THETA[kind] if gemma else _DEFAULT_THETA
    scaling = {} if local else config.get("rope_scaling") or {}
    partial = config.get("partial_rotary_factor", 1.0)
    merged = {"rope_theta": theta or default, "partial_rotary_factor": partial, **scaling}
    return merged | {key: value for key, value in parameters.items() if value is not None}


def _read_rope(config: Mapping[str, Any], parameters: Mapping[str, Any], head_dim: int) -> Rope:
    kind = parameters.get("rope_type", parameters.get("type", "default"))
    if kind not in _KINDS:
        raise UnsupportedError(f"rope type {kind!r}")
    if parameters["partial_rotary_factor"] not in (None, 1, 1.0):
        raise UnsupportedError("rotary positions on a part of the head")
    theta = float(parameters["rope_theta"])
    if kind == "default":
        return Rope(head_dim, theta)
    if kind == "linear":
        return Rope(head_dim, theta, kind, factor=float(parameters["factor"]))
    return Rope(
        head_dim,
        theta,
        kind,
        factor=float(parameters["factor"]),
        low_factor=float(parameters["low_freq_factor"]),
        high_factor=float(parameters["high_freq_factor"]),
        original=float(parameters.get("original_max_position_embeddings") or config["max_position_embeddings"]),
    )
