"""`EmbeddedBatch`: what an objective sees. Vectors, and which texts they stand for; no model, no tokens.

Letters: B pairs, K negatives a pair, D dims.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

NO_GROUP = -1
"""In place of a group's number: the text stands for itself."""


@dataclass(frozen=True, eq=False)
class EmbeddedBatch:
    """The vectors of one batch of pairs.

    Attributes:
        query: [B, D] unit vectors.
        positive: [B, D] unit vectors, row i the document of query i.
        negatives: [B, K, D] unit vectors of documents mined for query i, or None.
        negative_mask: [B, K] bool, True where a negative is there; None when all are.
        contrast_mask: [B, K] bool, True where a negative is a contrast: made to be wrong, and one for its own query
            however alike they look; None when none is.
        query_ids: [B] int64, equal for equal normalised texts. The three id tensors share one numbering, and
            come together or not at all.
        positive_ids: [B] int64.
        negative_ids: [B, K] int64.
        answer_ids: [B, P] int64, all texts that are known to answer query i, those that this batch does not draw among
            them; a row with fewer names one again. None: the positive alone.
        group_ids: [B] int64, equal for pairs of one group, of which no text is a negative for another; `NO_GROUP`
            for pairs without.
        negative_group_ids: [B, K] int64, the groups of the negatives, same numbering.
        places: [B] int64, where in its group a pair stands. With places, a pair of the group is not a negative for row
            i only if its place is at most `horizons[i]`; None: none of the group is one, wherever it stands.
        horizons: [B] int64; given with places, or not.
        scores: [B, 1 + K] a teacher's scores of the positive, then of the negatives; NaN where there is none.
        grades: [B] how alike the two texts of a graded pair are; NaN for the other pairs, whose positive answers
            their query.
        teacher: The same texts as a teacher embeds them, in its own width: query, positive and negatives only.
        seed: Random seed for what an objective draws. The same batch with the same seed has the same loss.
        own: First row, and the row after the last, that this process answers for; None for all. Under several
            processes every one sees all vectors, and each adds up the loss of its own rows.
    """

    query: Tensor
    positive: Tensor
    negatives: Tensor | None = None
    negative_mask: Tensor | None = None
    contrast_mask: Tensor | None = None
    query_ids: Tensor | None = None
    positive_ids: Tensor | None = None
    negative_ids: Tensor | None = None
    answer_ids: Tensor | None = None
    group_ids: Tensor | None = None
    negative_group_ids: Tensor | None = None
    places: Tensor | None = None
    horizons: Tensor | None = None
    scores: Tensor | None = None
    grades: Tensor | None = None
    teacher: "EmbeddedBatch | None" = None
    seed: int = 0
    own: tuple[int, int] | None = None

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
        elif any(part is not None for part in (self.negative_mask, self.contrast_mask, self.negative_ids)):
            raise ValueError("a mask or ids of negatives, but no negatives")
        ids = (
            self.query_ids,
            self.positive_ids,
            *([self.negative_ids] if self.negatives is not None else []),
        )
        if len({tensor is None for tensor in ids}) > 1:
            raise ValueError("ids of some texts but not of others")
        if self.negative_group_ids is not None and self.group_ids is None:
            raise ValueError("groups of negatives, but not of their pairs")
        if len({part is None for part in (self.places, self.horizons)}) > 1:
            raise ValueError("places without horizons, or horizons without places")
        if self.places is not None and self.group_ids is None:
            raise ValueError("places in groups, but no groups")
        self._check_targets()

    def _check_targets(self) -> None:
        """Check what the vectors are to be compared with."""
        pairs, count = self.pairs, self.num_negatives
        if self.scores is not None and self.scores.shape != (pairs, 1 + count):
            raise ValueError(f"scores {tuple(self.scores.shape)} must be [B, 1 + K], here {(pairs, 1 + count)}")
        if self.grades is not None and self.grades.shape != (pairs,):
            raise ValueError(f"grades {tuple(self.grades.shape)} must be [B], here {(pairs,)}")
        if self.teacher is not None and (self.teacher.pairs, self.teacher.num_negatives) != (pairs, count):
            found = (self.teacher.pairs, self.teacher.num_negatives)
            raise ValueError(f"pairs and negatives {found} of the teacher, {(pairs, count)} of the batch")
        if self.own is not None and not 0 <= self.own[0] <= self.own[1] <= pairs:
            raise ValueError(f"own rows {self.own} of {pairs}")

    @property
    def pairs(self) -> int:
        """B."""
        return self.query.shape[0]

    @property
    def num_negatives(self) -> int:
        """K, 0 without negatives."""
        return 0 if self.negatives is None else self.negatives.shape[1]

    @property
    def dims(self) -> int:
        """D."""
        return self.query.shape[1]

    @property
    def own_rows(self) -> slice:
        """The rows this process answers for."""
        return slice(*(self.own or (0, self.pairs)))

    @property
    def present(self) -> Tensor:
        """Which negatives are there: [B, K] bool."""
        if self.negative_mask is not None:
            return self.negative_mask
        return torch.ones(self.pairs, self.num_negatives, dtype=torch.bool, device=self.query.device)

    def known_pairs(self) -> dict[str, Tensor]:
        """Give the ids of queries and of what answers them, pair by pair: `query_ids` and `positive_ids`, [N] each.

        Raises:
            ValueError: the batch has no ids.
        """
        if self.query_ids is None or self.positive_ids is None:
            raise ValueError("a batch without ids of its texts")
        if self.answer_ids is None:
            return {"query_ids": self.query_ids, "positive_ids": self.positive_ids}
        queries = self.query_ids[:, None].expand_as(self.answer_ids)
        pairs = torch.stack([queries.flatten(), self.answer_ids.flatten()], dim=1)
        own = torch.stack([self.query_ids, self.positive_ids], dim=1)
        query, answer = torch.unique(torch.cat([own, pairs]), dim=0).T
        return {"query_ids": query, "positive_ids": answer}

    @property
    def judged(self) -> Tensor:
        """Which negatives a teacher's judgement is learnt of: those that are there and no contrasts, [B, K] bool.

        A contrast is wrong however alike it looks, and a teacher that is blind to what is wrong with it would teach the
        opposite.
        """
        return self.present if self.contrast_mask is None else self.present & ~self.contrast_mask

    def truncated(self, dims: int) -> "EmbeddedBatch":
        """Keep the first `dims` numbers of every vector and scale to unit length again; the teacher's stay whole.

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

    def select(self, chosen: Tensor) -> "EmbeddedBatch":
        """Keep some pairs, with their negatives and targets.

        Args:
            chosen: [B] bool.
        """
        if bool(chosen.all()):
            return self
        kept: dict[str, Any] = {name: value[chosen] for name, value in vars(self).items() if isinstance(value, Tensor)}
        own = self.own_rows
        return replace(
            self,
            **kept,
            teacher=None if self.teacher is None else self.teacher.select(chosen),
            own=(int(chosen[: own.start].sum()), int(chosen[: own.stop].sum())),
        )


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
