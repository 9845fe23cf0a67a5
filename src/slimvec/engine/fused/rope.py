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
_KINDS = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class Rope:
    """Settings of rotary positions.

    Attributes:
        dim: D, width of a head; all of it is rotated.
        theta: Base of the wavelengths.
        kind: `default`; `linear`, all wavelengths longer by `factor`; `llama3` and `yarn` (arXiv 2309.00071), only the
            long ones.
        factor: See kind.
        low_factor: llama3: wavelengths above `original / low_factor` are scaled whole.
        high_factor: llama3: those below `original / high_factor` are left alone; between, a blend.
        original: llama3, yarn: longest text of the pretraining, in tokens.
        fast: yarn: waves that fit `original` so many times or more are left alone.
        slow: yarn: those that fit it at most so many times are scaled whole; between, a ramp over the pairs.
        whole: yarn: the ramp begins and ends at whole pairs.
        amplitude: yarn: factor of all cosines and sines, which sharpens attention.
    """

    dim: int
    theta: float
    kind: Literal["default", "linear", "llama3", "yarn"] = "default"
    factor: float = 1.0
    low_factor: float = 1.0
    high_factor: float = 4.0
    original: float = 8192.0
    fast: float = 32.0
    slow: float = 1.0
    whole: bool = True
    amplitude: float = 1.0

    def frequencies(self) -> Tensor:
        """Radians a token: [D / 2] float32."""
        powers = torch.arange(0, self.dim, 2, dtype=torch.int64).float() / self.dim
        frequencies = 1.0 / (self.theta**powers)
        if self.kind == "linear":
            return frequencies / self.factor
        if self.kind == "llama3":
            return self._llama3(frequencies)
        if self.kind == "yarn":
            return self._yarn(frequencies)
        return frequencies

    def _llama3(self, frequencies: Tensor) -> Tensor:
        """Blend scaled and plain frequencies by how often a wave fits the original length."""
        turns = self.original * frequencies / (2 * math.pi)
        plain_share = ((turns - self.low_factor) / (self.high_factor - self.low_factor)).clamp(0, 1)
        return frequencies / self.factor * (1 - plain_share) + frequencies * plain_share

    def _yarn(self, frequencies: Tensor) -> Tensor:
        """Leave fast waves, scale slow ones, by a ramp over the numbers of the pairs."""
        low, high = (self._pair(turns) for turns in (self.fast, self.slow))
        if self.whole:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, self.dim - 1)
        numbers = torch.arange(self.dim // 2).float()
        scaled_share = ((numbers - low) / (high - low if high != low else 0.001)).clamp(0, 1)
        return frequencies / self.factor * scaled_share + frequencies * (1 - scaled_share)

    def _pair(self, turns: float) -> float:
        """Number of the pair whose wave fits the original length so many times."""
        return self.dim * math.log(self.original / (turns * 2 * math.pi)) / (2 * math.log(self.theta))


class RopeTables:
    """Cosines and sines of a rope, as long as was ever asked for."""

    def __init__(self, rope: Rope) -> None:
        self._frequencies, self._amplitude = rope.frequencies(), rope.amplitude
        self._cosine, self._sine = self._compute(_FIRST_LENGTH)

    def upto(self, length: int) -> tuple[Tensor, Tensor]:
        """Give cosines and sines [N, D / 2] float32, N >= length; row p is position p."""
        if length > self._cosine.shape[0]:
            self._cosine, self._sine = self._compute(1 << (length - 1).bit_length())
        return self._cosine, self._sine

    def _compute(self, length: int) -> tuple[Tensor, Tensor]:
        angles = torch.arange(length).float()[:, None] * self._frequencies
        return angles.cos() * self._amplitude, angles.sin() * self._amplitude


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
    if kind == "yarn":
        return _read_yarn(config, parameters, head_dim)
    return Rope(
        head_dim,
        theta,
        kind,
        factor=float(parameters["factor"]),
        low_factor=float(parameters["low_freq_factor"]),
        high_factor=float(parameters["high_freq_factor"]),
        original=float(parameters.get("original_max_position_embeddings") or config["max_position_embeddings"]),
    )


def _read_yarn(config: Mapping[str, Any], parameters: Mapping[str, Any], head_dim: int) -> Rope:
    """Read YaRN's parameters, with transformers' defaults.

    Raises:
        UnsupportedError: two amplitudes (`mscale`), as DeepSeek has them, or no factor.
    """
    if parameters.get("mscale") or parameters.get("mscale_all_dim") or parameters.get("factor") is None:
        raise UnsupportedError("rope type 'yarn' with mscale, or without a factor")
    factor = float(parameters["factor"])
    amplitude = parameters.get("attention_factor")
    return Rope(
        head_dim,
        float(parameters["rope_theta"]),
        "yarn",
        factor=factor,
        original=float(parameters.get("original_max_position_embeddings") or config["max_position_embeddings"]),
        fast=float(parameters.get("beta_fast") or 32),
        slow=float(parameters.get("beta_slow") or 1),
        whole=bool(parameters.get("truncate", True)),
        amplitude=float(amplitude) if amplitude is not None else 0.1 * math.log(factor) + 1.0,
    )
