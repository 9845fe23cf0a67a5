"""Distillation by vectors: the student's vector of a text, projected, shall be the teacher's.

    L = mean over queries of d(W q, q')  +  mean over positives of d(W p, p')  +  mean over negatives of d(W n, n')

without contrasts, which a teacher may take for right; with ' for the teacher's vectors, and d one of

    cosine   1 - cos(x, y)
    mse      |x - y|^2, not divided by the width

The embedding matching of EmbeddingGemma (arXiv 2509.20354), with a matrix W where the widths differ. At a smaller
width d of the student (Matryoshka) W is its first d columns; without W the teacher's vector is cut to d numbers too,
and scaled to unit length.

Letters: B pairs, R rows, K negatives a pair, D dims of the student, E dims of the teacher.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.settings import VectorKind


def distil_vectors(
    batch: EmbeddedBatch, kind: VectorKind, *, projection: Tensor | None = None, rows: slice | None = None
) -> Tensor:
    """Compute each pair's part of the formula above.

    Args:
        batch: B pairs with a teacher's vectors.
        kind: d.
        projection: W, [E, at least D]; None takes the vectors as they are.
        rows: The R pairs asked for; default all.

    Returns:
        [R]; the mean over all B rows is L.

    Raises:
        ValueError: there is no teacher, or its width fits neither W nor, without one, the student's.
    """
    teacher = batch.teacher
    if teacher is None:
        raise ValueError("distillation by vectors of a batch without a teacher's")
    rows = slice(0, batch.pairs) if rows is None else rows
    if projection is None:
        teacher = teacher.truncated(batch.dims)
    elif projection.shape[0] != teacher.dims or projection.shape[1] < batch.dims:
        found = f"{batch.dims} to {teacher.dims} dims"
        raise ValueError(f"a projection {tuple(projection.shape)} for vectors of {found}")
    matrix = None if projection is None else projection[:, : batch.dims].to(batch.query.dtype)
    loss = distance(batch.query[rows], teacher.query[rows], kind, matrix)
    loss = loss + distance(batch.positive[rows], teacher.positive[rows], kind, matrix)
    if batch.negatives is not None and teacher.negatives is not None:
        mined = distance(batch.negatives[rows], teacher.negatives[rows], kind, matrix)
        mined = mined.masked_fill(~batch.judged[rows], 0.0).sum(dim=1)
        # A mean over all negatives of the batch, written as a mean over its pairs.
        loss = loss + mined * batch.pairs / batch.judged.sum().clamp_min(1)
    return loss


def distance(vectors: Tensor, wanted: Tensor, kind: VectorKind, matrix: Tensor | None) -> Tensor:
    """Compute d: [..., D] and [..., E] with W [E, D] to [...]."""
    found = vectors if matrix is None else F.linear(vectors, matrix)
    wanted = wanted.to(found)
    if kind == "cosine":
        return 1 - torch.cosine_similarity(found, wanted, dim=-1)
    return (found - wanted).square().sum(-1)
