"""Distillation by scores: the student shall judge candidates as a teacher does.

With S the student's cosines of a query with its candidates, T the teacher's scores of the same, and t_S, t_T their
temperatures, for row i:

    kl           sum over c of P_c (log P_c - log Q_c),  P = softmax(T_i / t_T), Q = softmax(S_i / t_S)
                 (contrastive distillation of KaLM-Embedding-V2.5, arXiv 2506.20923)
    margin-mse   mean over c != p_i of ( (S_ip - S_ic) / t_S - (T_ip - T_ic) / t_T )^2
                 (arXiv 2010.02666, there with both temperatures 1)

The candidates are the row's positive and its own negatives (`own`), or all positives and all negatives of the batch
(`batch`), which takes a teacher's vectors: its cosines are the scores then. Contrasts are not candidates, of whatever
teacher: one that takes them for right would train against them. No candidate is masked for a false negative: the
teacher says how good it is.

Letters: B pairs, R rows, K negatives a pair, C candidates.
"""

import torch
from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.settings import Scope, ScoreDistillation


def distil_scores(batch: EmbeddedBatch, settings: ScoreDistillation, *, rows: slice | None = None) -> Tensor:
    """Compute the distillation loss of pairs.

    Args:
        batch: B pairs, with a teacher's vectors, or with its scores for candidates of their own.
        settings: Settings of the formula.
        rows: The R pairs asked for; default all.

    Returns:
        [R]; 0 for pairs that `scored_rows` does not mark.

    Raises:
        ValueError: the batch has neither vectors nor scores of a teacher, or candidates `batch` without vectors.
    """
    rows = slice(0, batch.pairs) if rows is None else rows
    if batch.teacher is None and (batch.scores is None or settings.candidates == "batch"):
        raise ValueError(f"distillation over {settings.candidates} candidates of a batch without a teacher's vectors")
    student, present = _cosines(batch, rows, settings.candidates)
    if batch.teacher is None:
        assert batch.scores is not None
        scores = batch.scores[rows].to(student)
        judged = ~scores.isnan()
        judged[:, 0] = True  # rows without scores count as 0 below; with no candidate at all they would be NaN
        present, teacher = present & judged, scores.nan_to_num(0.0)
    else:
        teacher = _cosines(batch.teacher, rows, settings.candidates)[0].to(student)
    student, teacher = student / settings.temperature, teacher / settings.teacher_temperature
    if settings.kind == "kl":
        loss = kl_divergence(student, teacher, present)
    else:
        numbers = torch.arange(rows.start, rows.stop, device=student.device)
        columns = numbers if settings.candidates == "batch" else torch.zeros_like(numbers)
        loss = margin_mse(student, teacher, present, columns)
    return torch.where(scored_rows(batch)[rows], loss, 0.0)


def scored_rows(batch: EmbeddedBatch) -> Tensor:
    """Mark the pairs a teacher has judged: [B] bool."""
    if batch.teacher is not None or batch.scores is None:
        return torch.full((batch.pairs,), batch.teacher is not None, device=batch.query.device)
    return ~batch.scores[:, 0].isnan()


def kl_divergence(student: Tensor, teacher: Tensor, present: Tensor) -> Tensor:
    """Give the divergence of the student's softmax from the teacher's.

    Args:
        student: [R, C] logits, already divided by the temperature.
        teacher: [R, C], likewise.
        present: [R, C] bool, at least one in each row; the rest are not candidates.

    Returns:
        [R].
    """
    wanted = torch.log_softmax(teacher.masked_fill(~present, -torch.inf), dim=1)
    found = torch.log_softmax(student.masked_fill(~present, -torch.inf), dim=1)
    gap = (wanted - found).masked_fill(~present, 0.0)
    return (wanted.exp() * gap).sum(dim=1)


def margin_mse(student: Tensor, teacher: Tensor, present: Tensor, positive: Tensor) -> Tensor:
    """Give the mean squared difference of margins.

    Args:
        student: [R, C] scores.
        teacher: [R, C] scores.
        present: [R, C] bool; the rest are not candidates.
        positive: [R] int64, the column of each row's positive.

    Returns:
        [R]; 0 for a row with no candidate but its positive.
    """
    gap = student - teacher
    error = gap.gather(1, positive[:, None]) - gap  # 0 in the positive's own column
    squares = error.square().masked_fill(~present, 0.0).sum(dim=1)
    return squares / (present.sum(dim=1) - 1).clamp_min(1)


def _cosines(batch: EmbeddedBatch, rows: slice, scope: Scope) -> tuple[Tensor, Tensor]:
    """Compare the queries of the rows with their candidates.

    Returns:
        [R, C] cosines, the own positive at column 0 (`own`) or at the row's number (`batch`), and [R, C] bool, which
        of the candidates there are.
    """
    query, positive, present = batch.query[rows], batch.positive, batch.judged
    if scope == "own":
        similarity = (query * positive[rows]).sum(-1, keepdim=True)
        present = present[rows]
        if batch.negatives is not None:
            mined = (query[:, None] * batch.negatives[rows]).sum(-1)
            similarity = torch.cat([similarity, mined], dim=1)
    else:
        documents = positive if batch.negatives is None else torch.cat([positive, batch.negatives.flatten(0, 1)])
        similarity = query @ documents.T
        present = present.flatten()[None, :].expand(len(query), -1)
    always = torch.ones(len(query), similarity.shape[1] - present.shape[1], dtype=torch.bool, device=query.device)
    return similarity, torch.cat([always, present], dim=1)
