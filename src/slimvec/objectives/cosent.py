"""CoSENT for graded pairs (https://kexue.fm/archives/8847): the order of the cosines shall be that of the grades.

    L = log( 1 + sum over pairs i, j with y_i > y_j of e^{scale (s_j - s_i)} )

with s_i the cosine of pair i and y_i its grade. Only the order of the grades counts.

Letters: G graded pairs, R rows.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def cosent_rows(cosines: Tensor, grades: Tensor, *, scale: float, rows: slice | None = None) -> Tensor:
    """Give the log of each row's part of the sum.

    Args:
        cosines: [G].
        grades: [G].
        scale: As in the formula.
        rows: Which i; default all.

    Returns:
        [R], log sum over j with y_i > y_j of e^{scale (s_j - s_i)}; -inf where no grade is lower.
    """
    mine, better_than = (cosines, grades) if rows is None else (cosines[rows], grades[rows])
    exponents = scale * (cosines[None, :] - mine[:, None])
    return torch.logsumexp(exponents.masked_fill(better_than[:, None] <= grades[None, :], -torch.inf), dim=1)


def cosent(
    cosines: Tensor,
    grades: Tensor,
    *,
    scale: float = 20.0,
    over_rows: Callable[[Callable[[slice], Tensor]], Tensor] | None = None,
) -> Tensor:
    """Compute the formula above, a scalar; 0 when all grades are equal.

    Args:
        cosines: [G].
        grades: [G].
        scale: As in the formula.
        over_rows: Applies a function of rows to all G rows, block by block; default all at once.
    """

    def part(rows: slice) -> Tensor:
        return cosent_rows(cosines, grades, scale=scale, rows=rows)

    parts = part(slice(0, len(cosines))) if over_rows is None else over_rows(part)
    return torch.logsumexp(torch.cat([parts.new_zeros(1), parts]), dim=0)
