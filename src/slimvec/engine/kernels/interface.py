"""api.h in Python: the structures that the library is handed, filled from tensors without a copy.

Whoever fills a structure keeps the tensors alive for as long as it is used: it holds addresses, nothing else.
"""

import ctypes
from typing import ClassVar

import torch
from torch import Tensor

ABI_VERSION = 4
DONE, REFUSED, INTERRUPTED, FAILED = range(4)
DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2, torch.int32: 3}
_MOST_SIZES = 4
SLOTS = (
    "input_norm",
    "qkv",
    "qkv_bias",
    "qkv_scales",
    "qkv_starts",
    "query_norm",
    "key_norm",
    "output",
    "output_bias",
    "output_scales",
    "output_starts",
    "output_factors",
    "attention_norm",
    "feed_forward_norm",
    "gate_up",
    "gate_up_bias",
    "gate_up_scales",
    "gate_up_starts",
    "down",
    "down_bias",
    "down_scales",
    "down_starts",
    "down_norm",
    "cosine",
    "sine",
)
"""Tensors of a layer, in the order the library has them in."""


class TensorAt(ctypes.Structure):
    """Where a contiguous tensor lies."""

    _fields_: ClassVar = [
        ("data", ctypes.c_void_p),
        ("sizes", ctypes.c_int64 * _MOST_SIZES),
        ("num_sizes", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
    ]


class ShapeOf(ctypes.Structure):
    """Sizes and constants of a decoder."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("width", "heads", "kv_heads", "head_dim", "hidden")),
        *((name, ctypes.c_float) for name in ("epsilon", "score_scale", "embedding_scale")),
        *((name, ctypes.c_int32) for name in ("causal", "gelu")),
    ]


class ModelOf(ctypes.Structure):
    """A decoder."""

    _fields_: ClassVar = [
        ("shape", ShapeOf),
        ("dtype", ctypes.c_int32),
        ("embedding", TensorAt),
        ("final_norm", TensorAt),
        ("num_layers", ctypes.c_int64),
        ("num_slots", ctypes.c_int64),
        ("slots", ctypes.POINTER(TensorAt)),
        ("windows", ctypes.POINTER(ctypes.c_int64)),
    ]


class BatchOf(ctypes.Structure):
    """A batch, what stands before it, and where its results go."""

    _fields_: ClassVar = [
        ("num_tokens", ctypes.c_int64),
        ("num_texts", ctypes.c_int64),
        ("tokens", ctypes.c_void_p),
        ("lengths", ctypes.c_void_p),
        ("prefix_keys", TensorAt),
        ("prefix_values", TensorAt),
        ("prefix_key_stride", ctypes.c_int64),
        ("prefix_value_stride", ctypes.c_int64),
        ("states", ctypes.c_void_p),
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("stop", ctypes.POINTER(ctypes.c_int32)),
    ]


class RowsOf(ctypes.Structure):
    """Rows of a norm or a gated activation, and where the result goes."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int32) for name in ("norm", "gelu")),
        ("epsilon", ctypes.c_float),
        *((name, TensorAt) for name in ("first", "second", "gradient")),
        *((name, ctypes.c_void_p) for name in ("result", "second_result")),
    ]


class AttentionOf(ctypes.Structure):
    """Attention of a model in training, and where its result or its gradients go."""

    _fields_: ClassVar = [
        ("num_texts", ctypes.c_int64),
        ("lengths", ctypes.c_void_p),
        ("window", ctypes.c_int64),
        ("scale", ctypes.c_float),
        ("causal", ctypes.c_int32),
        *((name, TensorAt) for name in ("query", "key", "value", "gradient")),
        *((name, ctypes.c_void_p) for name in ("result", "query_result", "key_result", "value_result")),
    ]


class TargetOf(ctypes.Structure):
    """What a target says of itself."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("missing", ctypes.c_char_p),
        *((name, ctypes.c_int32) for name in ("panel", "bfloat16", "int8", "int8_pack", "int8_bits", "int8_offset")),
        ("halves", ctypes.c_int32),
    ]


def place(tensor: Tensor | None, name: str) -> TensorAt:
    """Say where a tensor lies; None is absent.

    Raises:
        RuntimeError: it is not contiguous, not on the CPU, or of a dtype that no kernel reads.
    """
    if tensor is None:
        return TensorAt()
    if not tensor.is_contiguous():
        raise RuntimeError(f"{name} must be contiguous and on the CPU")
    return _place(tensor, name)


def place_layers(tensor: Tensor, name: str) -> TensorAt:
    """Say where keys or values of a prefix [L, P, K, D] lie, whose layers may lie apart.

    Raises:
        RuntimeError: a layer is not contiguous, or see `place`.
    """
    if not tensor[0].is_contiguous():
        raise RuntimeError(f"{name} must be contiguous in every layer")
    return _place(tensor, name)


def _place(tensor: Tensor, name: str) -> TensorAt:
    if tensor.device.type != "cpu":
        raise RuntimeError(f"{name} must be contiguous and on the CPU")
    if tensor.dtype not in DTYPES or tensor.dim() > _MOST_SIZES:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
        raise RuntimeError(f"{name} must be one of {known} with at most 4 sizes, got {tensor.dtype}")
    sizes = (ctypes.c_int64 * _MOST_SIZES)(*tensor.shape)
    return TensorAt(tensor.data_ptr(), sizes, tensor.dim(), DTYPES[tensor.dtype])


def integers(tensor: Tensor, name: str) -> int:
    """Give the address of numbers [N] int64.

    Raises:
        RuntimeError: they are others.
    """
    if tensor.dtype != torch.int64 or tensor.dim() != 1 or not tensor.is_contiguous() or tensor.device.type != "cpu":
        raise RuntimeError(f"{name} must be int64 [N], contiguous and on the CPU, got {tensor.dtype}")
    return tensor.data_ptr()
