"""`EmbeddedBatch`: what an objective sees. Vectors, and which texts they stand for; no model, no tokens.

Letters: B pairs, K negatives a pair, D dims.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class EmbeddedBatch:
    """The vectors of one batch of pairs.

    Attributes:
        query: [B, D] unit vectors.
        positive: [B, D] unit vectors, row i the document of query i.
        negatives: [B, K, D] unit vectors of documents mined for query i, or None.
        negative_mask: [B, K] bool, True where a negative is there; None when all are.
        query_ids: [B] int64, equal for equal normalised texts. The three id tensors share one numbering, and
            come together or not at all.
        positive_ids: [B] int64.
        negative_ids: [B, K] int64.
    """

    query: Tensor
    positive: Tensor
    negatives: Tensor | None = None
    negative_mask: Tensor | None = None
    query_ids: Tensor | None = None
    positive_ids: Tensor | None = None
    negative_ids: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            ValueError: two fields do not fit each other.
        """
        if self.query.dim() != 2 or self.query.shape != self.positive.shape:
            raise ValueError(
                f"query {tuple(self.query.shape)} and positive {tuple(self.positive.shape)} must be [B, D]"
            )
        if self.negatives is not None:
            rows, _, dims = self.negatives.shape
            if (rows, dims) != tuple(self.query.shape):
                raise ValueError(f"negatives {tuple(self.negatives.shape)} do not fit query {tuple(self.query.shape)}")
        elif self.negative_mask is not None or self.negative_ids is not None:
            raise ValueError("a mask or ids of negatives, but no negatives")
        ids = (
            self.query_ids,
            self.positive_ids,
            *([self.negative_ids] if self.negatives is not None else []),
        )
        if len({tensor is None for tensor in ids}) > 1:
            raise ValueError("ids of some texts but not of others")

    @property
    def dims(self) -> int:
        """D."""
        return self.query.shape[1]

    def truncated(self, dims: int) -> "EmbeddedBatch":
        """Keep the first `dims` numbers of every vector and scale to unit length again.

        Raises:
            ValueError: the vectors are narrower than that.
        """
        if not 1 <= dims <= self.dims:
            raise ValueError(f"dims {dims} of vectors with {self.dims}")
        if dims == self.dims:
            return self
        return replace(
            self,
            query=F.normalize(self.query[..., :dims], dim=-1),
            positive=F.normalize(self.positive[..., :dims], dim=-1),
            negatives=None if self.negatives is None else F.normalize(self.negatives[..., :dims], dim=-1),
        )


Objective = Callable[[EmbeddedBatch], Tensor]
"""A loss: batch to scalar, differentiable in the vectors."""
