"""Distillation on plain texts: a student's vectors of texts shall be as a teacher's, with no pairs and no judgements.

With v the student's unit vectors, t the teacher's, and W a trained matrix where the widths differ, over the B texts of
a batch:

    cosine   mean over i of 1 - cos(W v_i, t_i)                                        LEAF, arXiv 2509.12539
    gram     mean over i, j != i of (v_i . v_j - t_i . t_j)^2                          Jasper, arXiv 2412.19048
    kl       mean over i of KL( softmax over j != i of t_i . t_j / T  ||  the same of v_i . v_j / T )

`cosine` ties each vector to its place, the other two only the vectors' places among each other, so they need no W. At
a smaller width d (Matryoshka) v is cut to its first d numbers and scaled to unit length. `gram` and `kl` then still
aim at the teacher's whole vectors, and `cosine` compares with W's first d columns, or without W with the teacher's
first d numbers.

Letters: B texts, R own rows, D dims of the student, E dims of the teacher.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.objectives.losses import Losses
from slimvec.objectives.score_distillation import kl_divergence
from slimvec.objectives.settings import TextVectors
from slimvec.objectives.vector_distillation import distance


def distil_texts(
    vectors: Tensor,
    teacher: Tensor,
    settings: TextVectors,
    *,
    dims: Sequence[int] = (),
    dim_weights: Sequence[float] = (),
    projection: Tensor | None = None,
    rows: slice | None = None,
) -> Losses:
    """Compute the weighted sum of the formulas above.

    Args:
        vectors: [B, D] of the student, of any length.
        teacher: [B, E], of any length.
        settings: Weights.
        dims: Widths the loss is summed over, empty for the full one.
        dim_weights: One for each width, empty for 1 each.
        projection: W, [E, D]; None compares the vectors as they are, at the narrower of the two widths.
        rows: The R rows asked for; default all. The shares of all rows add up to the whole loss.

    Returns:
        The sum, and its parts `cosine`, `gram` and `kl`, as far as they have a weight, summed over widths.

    Raises:
        ValueError: no part has a weight, or a width is above D.
    """
    weights = {"cosine": settings.cosine, "gram": settings.gram, "kl": settings.kl}
    weights = {name: weight for name, weight in weights.items() if weight}
    widths = dims or (vectors.shape[1],)
    if not weights or max(widths) > vectors.shape[1]:
        raise ValueError(f"weights {weights} and widths {widths} for vectors of {vectors.shape[1]} numbers")
    rows = slice(0, len(vectors)) if rows is None else rows
    wanted = F.normalize(teacher.to(vectors), dim=-1)
    alike = wanted[rows] @ wanted.T
    parts = {name: vectors.new_zeros(()) for name in weights}
    for width, factor in zip(widths, dim_weights or (1.0,) * len(widths), strict=True):
        found = F.normalize(vectors[:, :width], dim=-1)
        if "cosine" in weights:
            matrix = None if projection is None else projection[:, :width].to(found)
            parts["cosine"] = parts["cosine"] + factor * _cosine(found[rows], wanted[rows], matrix) / len(vectors)
        if "gram" in weights or "kl" in weights:
            relations = _relations(found, alike, rows, settings.temperature)
            for name in weights.keys() & relations.keys():
                parts[name] = parts[name] + factor * relations[name]
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return Losses(total, {name: part.detach() for name, part in parts.items()})


def _cosine(found: Tensor, wanted: Tensor, matrix: Tensor | None) -> Tensor:
    """Add up 1 - cos over rows: [R, d] and [R, E]."""
    if matrix is None:
        width = min(found.shape[1], wanted.shape[1])
        found, wanted = found[:, :width], wanted[:, :width]
    return distance(found, wanted, "cosine", matrix).sum()


def _relations(found: Tensor, alike: Tensor, rows: slice, temperature: float) -> dict[str, Tensor]:
    """Compute the own rows' share of `gram` and `kl`.

    Args:
        found: [B, d] unit vectors.
        alike: [R, B], the teacher's cosines of own rows with all.
        rows: R of them.
        temperature: T.
    """
    count = len(found)
    if count < 2:
        return {"gram": found.sum() * 0.0, "kl": found.sum() * 0.0}
    cosines = found[rows] @ found.T
    others = torch.arange(count, device=found.device)[None, :] != torch.arange(count, device=found.device)[rows, None]
    gram = ((cosines - alike) * others).square().sum() / (count * (count - 1))
    kl = kl_divergence(cosines / temperature, alike / temperature, others).sum() / count
    return {"gram": gram, "kl": kl}
