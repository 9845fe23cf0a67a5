"""Attention within each text of a packed batch, and beside it to the other texts by weight (arXiv 2506.16552).

A batch holds its B texts twice: as they are, e, and once more, h, reading the others beside themselves:

    e_i = Attn(Q^e_i, K^e_i, V^e_i)
    h_i = Attn(Q^h_i, K^h_i, V^h_i) + g sum over j != i of a_ij b_ij
    b_ij = P V^e_j / (P |V^e_j|),  P = softmax(Q^h_i K^e_j)

What is read are the plain states of the others, as a language model has them. Every token of text i sees all of text j,
each text with a softmax of its own, and its values by their direction: divided by the mean of their lengths, as
published ("V-normalization"). Gradients flow to the weights a.

Legend: T tokens, B texts, A query heads, K key-value heads, D width of a head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from slimvec.model.attention import Packing, attend_packed

LEAST_LENGTH = 1e-6
"""Added to the mean length of values, so that values of 0 read as 0."""


@dataclass(frozen=True, eq=False)
class CrossPacking:
    """How texts lie in a packed batch that holds them twice, and how much each sees of the others.

    Attributes:
        packing: The 2 B texts, each by itself.
        lengths: Tokens by text, those that are read and then the same of those that read.
        weights: [B, B] float32, a; the diagonal is not looked at.
        strength: g, how much of the others is added.
    """

    packing: Packing
    lengths: tuple[int, ...]
    weights: Tensor
    strength: float = 1.0

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, scale: float | None, window: int | None) -> Tensor:
        """Attend by the module's formula: query [A, 2 T, D], keys and values [K, 2 T, D] to [2 T, A, D].

        A sliding window holds within a text only.
        """
        out = attend_packed(query, key, value, self.packing, scale=scale, window=window, training=True)
        half = len(self.lengths) // 2
        sizes, num = list(self.lengths[:half]), sum(self.lengths[:half])
        others = self.weights.to(query.device) * (1 - torch.eye(half, device=query.device)) * self.strength
        by_token = others.repeat_interleave(torch.tensor(sizes, device=query.device), dim=0).to(query.dtype)  # [T, B]
        shared = query.shape[0] // key.shape[0]
        keys, values = (torch.split(x[:, :num].repeat_interleave(shared, dim=0), sizes, dim=1) for x in (key, value))
        asking = query[:, num:] * (query.shape[-1] ** -0.5 if scale is None else scale)
        added = torch.zeros_like(out[num:])
        for number, (k, v) in enumerate(zip(keys, values, strict=True)):
            seen = torch.softmax(asking @ k.transpose(1, 2), dim=-1)
            read = seen @ v / (seen @ v.norm(dim=-1, keepdim=True) + LEAST_LENGTH)
            added = added + by_token[:, number, None, None] * read.transpose(0, 1)
        return torch.cat([out[:num], out[num:] + added])
