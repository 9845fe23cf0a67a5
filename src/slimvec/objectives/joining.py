"""Several batches as one: the parts that processes hold, put together in the order of the processes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.objectives.batch import NO_GROUP, EmbeddedBatch


def join_batches(batches: Sequence[EmbeddedBatch], *, own: int) -> EmbeddedBatch:
    """Put batches together, row after row. Gradients flow through.

    Batches may differ in their numbers of pairs and of negatives: places without a negative are masked. Pairs and
    negatives whose groups are not given are in none. Ids and the teacher are given for all of them or for none.

    Args:
        batches: At least one, all of one width and with the same seed.
        own: Number of the batch whose rows this process answers for.

    Raises:
        ValueError: ids or a teacher for some only, or seeds that differ.
    """
    count = max(batch.num_negatives for batch in batches)
    grouped = any(batch.group_ids is not None for batch in batches)
    contrasted = any(batch.contrast_mask is not None for batch in batches)
    num_answers = max(0 if batch.answer_ids is None else batch.answer_ids.shape[1] for batch in batches)
    padded = [
        _padded(batch, count)
        | (_groups(batch, count) if grouped else {})
        | (_contrasts(batch, count) if contrasted else {})
        | (_answers(batch, num_answers) if num_answers else {})
        for batch in batches
    ]
    seeds = {batch.seed for batch in batches}
    if len(seeds) > 1:
        raise ValueError(f"batches of one step with seeds {sorted(seeds)}")
    teachers = [batch.teacher for batch in batches if batch.teacher is not None]
    if teachers and len(teachers) < len(batches):
        raise ValueError("a teacher's vectors of some batches but not of others")
    start = sum(batch.pairs for batch in batches[:own])
    return EmbeddedBatch(
        **{name: _joined([part[name] for part in padded], name) for name in padded[0]},  # type: ignore[arg-type]
        teacher=join_batches(teachers, own=own) if teachers else None,
        seed=seeds.pop(),
        own=(start, start + batches[own].pairs),
    )


def _padded(batch: EmbeddedBatch, count: int) -> dict[str, Tensor | None]:
    """Give the tensors of a batch with places for `count` negatives a pair."""
    missing = count - batch.num_negatives
    fields = {name: value for name, value in vars(batch).items() if name not in ("teacher", "seed", "own")}
    if count:
        empty = batch.query.new_zeros(batch.pairs, 0, batch.dims)
        negatives = empty if batch.negatives is None else batch.negatives
        fields["negatives"] = F.pad(negatives, (0, 0, 0, missing))
        fields["negative_mask"] = F.pad(batch.present, (0, missing))
        if batch.query_ids is not None:
            ids = batch.query_ids.new_zeros(batch.pairs, 0) if batch.negative_ids is None else batch.negative_ids
            fields["negative_ids"] = F.pad(ids, (0, missing))
    nothing = torch.full((batch.pairs, 1 + count), torch.nan, device=batch.query.device)
    fields["scores"] = nothing if batch.scores is None else F.pad(batch.scores, (0, missing), value=torch.nan)
    fields["grades"] = nothing[:, 0] if batch.grades is None else batch.grades
    return fields


def _groups(batch: EmbeddedBatch, count: int) -> dict[str, Tensor | None]:
    """Give the groups of a batch with places for `count` negatives a pair; what is not known is in none."""
    own = torch.full((batch.pairs,), NO_GROUP, device=batch.query.device)
    mined = own[:, None].expand(-1, count)
    if batch.negative_group_ids is not None:
        mined = F.pad(batch.negative_group_ids, (0, count - batch.num_negatives), value=NO_GROUP)
    return {
        "group_ids": own if batch.group_ids is None else batch.group_ids,
        "negative_group_ids": mined if count else None,
    }


def _contrasts(batch: EmbeddedBatch, count: int) -> dict[str, Tensor | None]:
    """Mark the contrasts of a batch among `count` places a pair; a batch that names none has none."""
    mask = torch.zeros_like(batch.present) if batch.contrast_mask is None else batch.contrast_mask
    return {"contrast_mask": F.pad(mask, (0, count - batch.num_negatives))}


def _answers(batch: EmbeddedBatch, count: int) -> dict[str, Tensor | None]:
    """Name `count` answers a query, the positive again where there are fewer; nothing for a batch without ids."""
    if batch.positive_ids is None:
        return {"answer_ids": None}
    positive = batch.positive_ids[:, None]
    known = positive if batch.answer_ids is None else batch.answer_ids
    return {"answer_ids": torch.cat([known, positive.expand(-1, count - known.shape[1])], dim=1)}


def _joined(parts: Sequence[Tensor | None], name: str) -> Tensor | None:
    """Join one field, given by all or by none."""
    tensors = [part for part in parts if part is not None]
    if tensors and len(tensors) < len(parts):
        raise ValueError(f"{name} of some batches but not of others")
    return torch.cat(tensors) if tensors else None
