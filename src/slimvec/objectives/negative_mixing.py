"""Online mixing of hard negatives (KaLM-Embedding-V2, arXiv 2506.20923; the idea: MoCHi, arXiv 2010.01028).

New negatives for query i, made of its own negatives n_i1 ... n_iK and scaled to unit length:

    pair   h = l n_ia + (1 - l) n_ib,  a != b drawn evenly, l ~ Beta(2, 2)
    list   h = sum_k a_k n_ik,  a = softmax_k( s(q_i, n_ik) / t )

Of the list form the paper says only that its weights come from the similarities; the softmax is ours, and t says how
far it leans to the hardest. Negatives that are known answers are never mixed in, and rows with fewer than two others
get no mixture. The gradient flows through h to negatives and query, unless it is stopped.

Letters: B pairs, K negatives a pair, M mixtures a pair, D dims.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.false_negatives import known_own_answers, same_group
from slimvec.objectives.settings import Mixing


@dataclass(frozen=True, eq=False)
class Mixtures:
    """New negatives.

    Attributes:
        vectors: [B, M, D] unit vectors.
        present: [B, M] bool, False where a row had too little to mix.
    """

    vectors: Tensor
    present: Tensor


def mix(batch: EmbeddedBatch, settings: Mixing, *, mask_equal_texts: bool = True) -> Mixtures | None:
    """Mix the negatives of each query; None without negatives.

    What is drawn depends on the batch's seed and shape alone, not on a global random state: a step that is repeated,
    or shared out over processes, has the same mixtures.
    """
    if batch.negatives is None:
        return None
    usable = batch.present
    if mask_equal_texts and batch.negative_ids is not None:
        assert batch.query_ids is not None
        usable = usable & ~known_own_answers(batch.negative_ids, batch.query_ids, **batch.known_pairs())
    if batch.group_ids is not None and batch.negative_group_ids is not None:
        usable = usable & ~same_group(batch.group_ids, batch.negative_group_ids)
    enough = usable.sum(dim=1) >= 2
    made = []
    if settings.kind in ("pair", "both") and batch.num_negatives >= 2:
        made.append(mix_pairs(batch.negatives, usable, count=settings.count or 1, seed=batch.seed))
    if settings.kind in ("list", "both"):
        made.append(mix_lists(batch.query, batch.negatives, usable, temperature=settings.temperature or 1.0))
    if not made:
        return None
    vectors = torch.cat(made, dim=1)
    if settings.stop_gradient:
        vectors = vectors.detach()
    return Mixtures(vectors, enough[:, None].expand(vectors.shape[:2]))


def mix_pairs(negatives: Tensor, usable: Tensor, *, count: int, seed: int) -> Tensor:
    """Mix two negatives at a time, by the module's first formula.

    Args:
        negatives: [B, K, D] with K at least 2.
        usable: [B, K] bool. Rows with fewer than two give vectors without meaning.
        count: M.
        seed: Random seed for a, b and l.

    Returns:
        [B, M, D] unit vectors.
    """
    rows, options, dims = negatives.shape
    generator = torch.Generator().manual_seed(seed)
    # The two highest of K even draws are an even draw of two; the middle of three has the law Beta(2, 2).
    lots = torch.rand(rows, count, options, generator=generator, dtype=torch.float64)
    shares = torch.rand(rows, count, 3, generator=generator, dtype=torch.float64).median(dim=-1).values
    chosen = lots.to(negatives.device).masked_fill(~usable[:, None], -1.0).topk(2, dim=-1).indices
    first, second = (negatives.gather(1, chosen[..., place, None].expand(rows, count, dims)) for place in (0, 1))
    share = shares.to(negatives)[..., None]
    return F.normalize(share * first + (1 - share) * second, dim=-1)


def mix_lists(query: Tensor, negatives: Tensor, usable: Tensor, *, temperature: float) -> Tensor:
    """Mix all usable negatives of a query, by the module's second formula.

    Args:
        query: [B, D].
        negatives: [B, K, D].
        usable: [B, K] bool. Rows without any give vectors without meaning.
        temperature: t.

    Returns:
        [B, 1, D] unit vectors.
    """
    similarity = (query[:, None] * negatives).sum(-1) / temperature
    lowest = torch.finfo(similarity.dtype).min  # finite, so that rows without any have no NaN
    weights = torch.softmax(similarity.masked_fill(~usable, lowest), dim=1)
    return F.normalize((weights[..., None] * negatives).sum(dim=1, keepdim=True), dim=-1)
