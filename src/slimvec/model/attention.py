"""Attention over packed texts: one function, registered with transformers, for every architecture and both modes.

transformers hands extra keyword arguments of a model's forward to the attention function, so the borders of the texts
travel with the call: no global state, and no T x T mask. On the CPU, texts of equal length are stacked and given to
SDPA (exact; the reference for every faster kernel); on CUDA in 16 bits, `varlen_attn` reads the packed form directly.

**Recency.** Under a causal mask early tokens reach all later states and late ones few, so a mean over the states holds
more of the beginning. An exponent r adds r log(u / t) to the score of query t with key u (places from 1), which
multiplies the weight of each key by (u / t)^r: late keys gain on early ones, by the same share in texts of any length.
The first token is left alone: models park there what attention they have no use for ("sinks", arXiv 2309.17453). r = 0
is the model as it was trained. Unlike beta pooling it changes what the states hold, not how they are weighted.

Legend: T tokens, B texts, A query heads, K key-value heads, D width of a head.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slimvec.model.explicit_attention import explicit_attention, is_worth_it
from slimvec.model.spec import AttentionMode
from slimvec.text.batch import PackedBatch

ATTENTION_NAME = "slimvec_packed"
FAST_ATTENTION = "slimvec_attention"
"""Name under which an attention layer holds what attends in the place of `attend_packed`, with its arguments."""


@dataclass(frozen=True, eq=False)
class Packing:
    """How texts lie in a packed batch and who may see whom; computed once a batch, used by every layer.

    Attributes:
        mode: causal or bidirectional.
        cu_seqlens: [B + 1] int32.
        max_seqlen: Tokens of the longest text.
        groups: (first token, number of texts, length) of each run of texts of equal length, after `order`.
        order: [T] token order that brings texts of equal length together; None when they already lie so.
        inverse: The way back.
        recency: Exponent r of the module; causal only.
    """

    mode: AttentionMode
    cu_seqlens: Tensor
    max_seqlen: int
    groups: tuple[tuple[int, int, int], ...]
    order: Tensor | None
    inverse: Tensor | None = field(default=None)
    recency: float = 0.0

    @classmethod
    def of(cls, batch: PackedBatch, mode: AttentionMode, *, recency: float = 0.0) -> "Packing":
        """Work out the groups of a batch."""
        return cls.of_lengths(batch.lengths, batch.cu_seqlens, mode, recency=recency)

    @classmethod
    def of_lengths(
        cls, lengths: Sequence[int], cu_seqlens: Tensor, mode: AttentionMode, *, recency: float = 0.0
    ) -> "Packing":
        """Work out the groups of texts of these lengths, which start at `cu_seqlens` [B + 1]."""
        by_length = sorted(range(len(lengths)), key=lambda text: -lengths[text])
        order = inverse = None
        if [lengths[text] for text in by_length] != list(lengths):
            starts = [0, *accumulate(lengths)]
            order = torch.cat([torch.arange(starts[t], starts[t + 1]) for t in by_length]).to(cu_seqlens.device)
            inverse = torch.argsort(order)
        groups = tuple(_equal_runs([lengths[text] for text in by_length]))
        return cls(mode, cu_seqlens, max(lengths), groups, order, inverse, recency)


def _equal_runs(lengths: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (first token, number of texts, length) of each run of equal lengths."""
    start = index = 0
    while index < len(lengths):
        length, first = lengths[index], index
        while index < len(lengths) and lengths[index] == length:
            index += 1
        yield start, index - first, length
        start += (index - first) * length


def grouped_sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packing: Packing,
    *,
    scale: float | None,
    window: int | None,
    training: bool = False,
) -> Tensor:
    """Attend within each text by SDPA over stacks of texts of equal length.

    Args:
        query: [A, T, D].
        key: [K, T, D], with K dividing A.
        value: [K, T, D].
        packing: The texts.
        scale: Factor of the scores; default 1 / sqrt(D).
        window: Sliding window in tokens, or None.
        training: A gradient will be asked for: short texts take the form that is quick to differentiate.

    Returns:
        [T, A, D].
    """
    if packing.order is not None:
        query, key, value = (x.index_select(1, packing.order) for x in (query, key, value))
    sizes = [num_texts * length for _, num_texts, length in packing.groups]
    # Split, not sliced: the gradient of a slice is a whole tensor of zeros but for the slice.
    parts = zip(*(torch.split(x, sizes, dim=1) for x in (query, key, value)), packing.groups, strict=True)
    outputs = []
    for q, k, v, (_, num_texts, length) in parts:
        q, k, v = (x.unflatten(1, (num_texts, length)).transpose(0, 1) for x in (q, k, v))
        attend = _explicit if training and is_worth_it(q) else _sdpa
        outputs.append(attend(q, k, v, packing, scale, window).transpose(1, 2).flatten(0, 1))
    packed = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return packed if packing.inverse is None else packed.index_select(0, packing.inverse)


def _sdpa(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scale: float | None, window: int | None
) -> Tensor:
    """Attend within B texts of one length, [B, A, L, D] to the same, by SDPA."""
    mode, length = packing.mode, query.shape[2]
    if packing.recency:
        mask = _recency_mask(length, window, mode, query.device, packing.recency, query.dtype)
    else:
        mask = _window_mask(length, window, mode, query.device)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mode == "causal" and mask is None and length > 1,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def _explicit(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scale: float | None, window: int | None
) -> Tensor:
    """Attend within B texts of one length, [B, A, L, D] to the same, with the scores written out."""
    mask = _added_mask(query.shape[2], window, packing.mode, query.device, packing.recency)
    return explicit_attention(query, key, value, mask, scale=scale or query.shape[3] ** -0.5)


@lru_cache(maxsize=256)
def _added_mask(
    length: int, window: int | None, mode: AttentionMode, device: torch.device, recency: float
) -> Tensor | None:
    """Give what is added to the scores, [length, length] float32: -inf for who is not seen, else 0 or the recency.

    None where everyone sees everyone, alike.
    """
    seen = _window_mask(length, window, mode, device)
    if seen is None and mode == "causal":
        seen = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    if seen is None:
        return None
    logs = recency * torch.arange(1, length + 1, device=device).log()
    added = logs[None, :] - logs[:, None]
    added[:, 0] = 0
    return added.masked_fill(~seen, -torch.inf)


@lru_cache(maxsize=2)
def _recency_mask(
    length: int, window: int | None, mode: AttentionMode, device: torch.device, recency: float, dtype: torch.dtype
) -> Tensor | None:
    """Give `_added_mask` for SDPA, in the dtype of the queries. All layers share it; of long texts few are kept."""
    found = _added_mask.__wrapped__(length, window, mode, device, recency)
    return None if found is None else found.to(dtype)


@lru_cache(maxsize=256)
def _window_mask(length: int, window: int | None, mode: AttentionMode, device: torch.device) -> Tensor | None:
    """Give the mask of a sliding window, [length, length] bool, or None where the window reaches everything.

    The borders are transformers' own: a causal token sees the `window` last tokens, itself included; a bidirectional
    one sees `window` tokens on either side (`config.is_causal = False`).
    """
    if window is None or length <= window:
        return None
    place = torch.arange(length, device=device)
    distance = place[:, None] - place[None, :]
    if mode == "causal":
        return (distance >= 0) & (distance < window)
    return distance.abs() <= window


def varlen_cuda(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, *, scale: float | None, window: int | None
) -> Tensor:
    """Attend within each text by torch's varlen kernel (CUDA, fp16 or bf16). Shapes as in `grouped_sdpa`."""
    from torch.nn.attention.varlen import varlen_attn

    causal = packing.mode == "causal"
    reach = -1 if window is None else (window - 1 if causal else window)
    out = varlen_attn(
        query.transpose(0, 1).contiguous(),
        key.transpose(0, 1).contiguous(),
        value.transpose(0, 1).contiguous(),
        packing.cu_seqlens,
        packing.cu_seqlens,
        packing.max_seqlen,
        packing.max_seqlen,
        scale=scale,
        window_size=(reach, 0 if causal else reach),
        enable_gqa=query.shape[0] != key.shape[0],
    )
    assert isinstance(out, Tensor)
    return out


def kernel_name(device: torch.device, dtype: torch.dtype) -> str:
    """Name the attention kernel used for a device and dtype, as results record it."""
    half = dtype in (torch.float16, torch.bfloat16)
    return "varlen_attn" if device.type == "cuda" and half else "grouped_sdpa"


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: "Packing | Attends | None" = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' `AttentionInterface` asks: [1, A, T, D] in, [1, T, A, D] out.

    The dropout that layers built with one go on to pass is not applied: `TransformersBackbone` has set it to 0.

    Raises:
        ValueError: called without `packing` or with a mask, which packed texts do not have.
    """
    if packing is None or attention_mask is not None:
        raise ValueError(f"{type(module).__name__}: packed attention needs `packing` and no mask")
    heads = (query[0], key[0], value[0])
    if sliding_window is not None and getattr(module.config, "use_bidirectional_attention", False):
        sliding_window -= 1  # transformers counts this model's window without its border (distance < window)
    if not isinstance(packing, Packing):
        return packing.attend(*heads, scale=scaling, window=sliding_window)[None], None
    attend = getattr(module, FAST_ATTENTION, None)
    if attend is not None and not packing.recency:
        return attend(*heads, packing, scale=scaling, window=sliding_window)[None], None
    return attend_packed(*heads, packing, scale=scaling, window=sliding_window, training=module.training)[None], None


def attend_packed(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packing: Packing,
    *,
    scale: float | None,
    window: int | None,
    training: bool = False,
) -> Tensor:
    """Attend by the kernel for the device and dtype: [A, T, D] in, [T, A, D] out."""
    if kernel_name(query.device, query.dtype) == "varlen_attn" and not packing.recency:
        return varlen_cuda(query, key, value, packing, scale=scale, window=window)
    return grouped_sdpa(query, key, value, packing, scale=scale, window=window, training=training)


class Attends(Protocol):
    """What attends in a way of its own, in the place of a packing."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float | None, window: int | None) -> Tensor:
        """Attend: query [A, T, D], keys and values [K, ..., D] to [T, A, D]."""
        ...


@dataclass(frozen=True, eq=False)
class HiddenPacking:
    """A packing that `torch.compile` does not look into: attention is one operator to it, whatever the texts.

    Were the borders of the texts Python numbers, every batch would be compiled anew. Inference only.

    Attributes:
        cu_seqlens: [B + 1] int32.
        max_seqlen: Tokens of the longest text, a number in a tensor on the CPU.
        causal: Attention mode.
    """

    cu_seqlens: Tensor
    max_seqlen: Tensor
    causal: bool

    @classmethod
    def of(cls, batch: PackedBatch, mode: AttentionMode) -> "HiddenPacking":
        """Hide the borders of a batch."""
        return cls(batch.cu_seqlens, torch.tensor(batch.max_seqlen), mode == "causal")

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float | None, window: int | None) -> Tensor:
        """Attend within each text: [A, T, D] in, [T, A, D] out."""
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        out: Tensor = _hidden_attention(
            query, key, value, self.cu_seqlens, self.max_seqlen, self.causal, scale, window or 0
        )
        return out


@dataclass(frozen=True, eq=False)
class Continuation:
    """One causal text that goes on: T new tokens behind the P whose keys and values a cache holds."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float | None, window: int | None) -> Tensor:
        """Attend to all that came before: query [A, T, D], keys and values [K, P + T, D] to [T, A, D]."""
        length, total = query.shape[1], key.shape[1]
        place = torch.arange(total, device=query.device)
        distance = place[total - length :, None] - place[None, :]
        seen = (distance >= 0) & (distance < (window or total))
        out = F.scaled_dot_product_attention(
            query[None],
            key[None],
            value[None],
            attn_mask=seen,
            scale=scale,
            enable_gqa=query.shape[0] != key.shape[0],
        )
        return out[0].transpose(0, 1)


@torch.library.custom_op("slimvec::packed_attention", mutates_args=())
def _hidden_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: Tensor,
    causal: bool,
    scale: float,
    window: int,
) -> Tensor:
    """Attend within each text; a window of 0 is none."""
    mode: AttentionMode = "causal" if causal else "bidirectional"
    if kernel_name(query.device, query.dtype) == "varlen_attn":
        packing = Packing(mode, cu_seqlens, int(max_seqlen), (), None)
    else:
        packing = _packing_of(tuple(cu_seqlens.diff().tolist()), mode, query.device)
    return attend_packed(query, key, value, packing, scale=scale, window=window or None).contiguous()


@_hidden_attention.register_fake
def _shape_of_hidden_attention(query: Tensor, *_: Any) -> Tensor:
    """Say what comes out: [T, A, D]."""
    heads, tokens, dim = query.shape
    return query.new_empty(tokens, heads, dim)


@lru_cache(maxsize=8)
def _packing_of(lengths: tuple[int, ...], mode: AttentionMode, device: torch.device) -> Packing:
    """Work a packing out once for all layers of a model."""
    borders = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
    return Packing.of_lengths(lengths, borders, mode)


def register() -> None:
    """Make the packed attention known to transformers; calling it again changes nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(ATTENTION_NAME, packed_attention)
    AttentionMaskInterface.register(ATTENTION_NAME, _no_mask)


def _no_mask(*_: Any, **__: Any) -> None:
    """Build no mask: the packing says it all."""
