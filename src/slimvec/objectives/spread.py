"""Spread-out regulariser: vectors of different texts shall be as orthogonal as random ones.

    L = mean over i != j of (q_i . q_j)^2  +  mean over i != j of (p_i . p_j)^2

The second moment of the global orthogonal regulariser (arXiv 1708.06320), as EmbeddingGemma (arXiv 2509.20354) has it.
It is 1/D for random directions.

Letters: B texts, R rows, D dims.
"""

from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch


def spread_out(batch: EmbeddedBatch, *, rows: slice | None = None) -> Tensor:
    """Compute each pair's part of the formula above.

    Args:
        batch: B pairs of unit vectors.
        rows: The R pairs asked for; default all.

    Returns:
        [R]; the mean over all B rows is L. 0 for a single pair.
    """
    return mean_squared_products(batch.query, rows=rows) + mean_squared_products(batch.positive, rows=rows)


def mean_squared_products(vectors: Tensor, *, rows: slice | None = None) -> Tensor:
    """Give the mean over j != i of (v_i . v_j)^2 for each i, without a matrix of B x B.

    sum_j (v_i . v_j)^2 is the quadratic form of v_i with sum_j v_j v_j^T, [D, D].

    Args:
        vectors: [B, D].
        rows: Which i; default all.

    Returns:
        [R]; 0 for a single vector.
    """
    asked = vectors if rows is None else vectors[rows]
    total = ((asked @ (vectors.T @ vectors)) * asked).sum(-1)
    return (total - asked.square().sum(-1).square()) / max(len(vectors) - 1, 1)
