"""Settings of the losses, as recipes write them and as the formulas beside this file take them. No torch here."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from slimvec.frozen import Section, refuse

Term = Literal["q-d", "q-q", "d-d", "d-q"]
TERMS: tuple[Term, ...] = get_args(Term)
ScoreKind = Literal["kl", "margin-mse"]
VectorKind = Literal["cosine", "mse"]
Scope = Literal["own", "batch"]
RECORDS = "records"
"""Stands for a teacher whose scores the training records hold."""


class Mixing(Section):
    """Negatives mixed of mined ones; formulas in `slimvec.objectives.negative_mixing`.

    Attributes:
        kind: `pair` mixes two at a time, `list` all of a query, `both` does both.
        count: Pair-wise mixtures a query; default 1.
        temperature: Temperature of the list's weights. At 1, the default, they are nearly even; at the loss's own
            temperature the hardest negative has most of it.
        stop_gradient: Take mixtures for constants.
    """

    kind: Literal["pair", "list", "both"] = "pair"
    count: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, gt=0)
    stop_gradient: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, kind in (("count", "list"), ("temperature", "pair")):
            given = getattr(self, key) is not None
            refuse(given and self.kind == kind, key, f"{key} has no meaning for mixing of kind {kind}")
        return self


@dataclass(frozen=True)
class ScoreDistillation:
    """Distillation by scores with nothing left open; attributes as for `Distillation`."""

    kind: ScoreKind
    temperature: float
    teacher_temperature: float
    candidates: Scope


class Distillation(Section):
    """What is learnt from a teacher; formulas in `slimvec.objectives.score_distillation` and `.vector_distillation`.

    Attributes:
        teacher: A model as in `base.source`, or `records` for the scores that the training records hold.
        kind: `kl` and `margin-mse` are about the teacher's scores of candidates, `cosine` and `mse` about its vectors.
        judges_by: What a model scores candidates by: `cosine` of its vectors, or `likelihood`, log p(query | document)
            a token by the language model it was trained from (arXiv 2204.07496).
        weight: Weight of the loss in the sum.
        temperature: Temperature of the student's scores. Default for `kl` the loss's temperature, for `margin-mse` 1.
        teacher_temperature: Temperature of the teacher's scores; default the student's, and 0.1 for likelihoods. Other
            scores that are no cosines want their own.
        candidates: `own` scores a query's positive and mined negatives, `batch` all documents of the batch. Default
            `batch` with a model's cosines, which score them all; likelihoods are of a query's own alone.
        projection: Whether the student's vector goes through a trained matrix before it is compared with the
            teacher's. The matrix is in the checkpoints and not in the model. Default: where the widths differ.
    """

    teacher: str = Field(min_length=1)
    kind: ScoreKind | VectorKind = "kl"
    judges_by: Literal["cosine", "likelihood"] = "cosine"
    weight: float = Field(default=1.0, gt=0)
    temperature: float | None = Field(default=None, gt=0)
    teacher_temperature: float | None = Field(default=None, gt=0)
    candidates: Scope | None = None
    projection: bool | None = None

    @property
    def by_vectors(self) -> VectorKind | None:
        """How vectors are compared; None where scores are."""
        return self.kind if self.kind == "cosine" or self.kind == "mse" else None

    def by_scores(self, loss_temperature: float) -> ScoreDistillation | None:
        """How scores are compared beside a loss of some temperature; None where vectors are."""
        if self.kind == "cosine" or self.kind == "mse":
            return None
        temperature = self.temperature or (loss_temperature if self.kind == "kl" else 1.0)
        return ScoreDistillation(
            kind=self.kind,
            temperature=temperature,
            teacher_temperature=self.teacher_temperature or (0.1 if self.by_likelihood else temperature),
            candidates=self.candidates or ("batch" if self.has_model and not self.by_likelihood else "own"),
        )

    def projects(self, dims: int, teacher_dims: int) -> bool:
        """Whether a matrix leads from vectors of the student, of width `dims`, to the teacher's."""
        return dims != teacher_dims if self.projection is None else self.projection

    @property
    def has_model(self) -> bool:
        """Whether the teacher is a model."""
        return self.teacher != RECORDS

    @property
    def by_likelihood(self) -> bool:
        """Whether the teacher judges by likelihoods."""
        return self.judges_by == "likelihood"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        of_others = self.by_vectors or not self.has_model or self.candidates == "batch"
        message = "likelihood is a model's, of a query's own candidates: kind kl or margin-mse, candidates own"
        refuse(self.by_likelihood and of_others, "judges_by", message)
        if not self.has_model:
            refuse(self.by_vectors, "teacher", f"kind {self.kind} takes a model; records hold scores, not vectors")
            message = "candidates batch takes a model for teacher; records hold the scores of their own texts"
            refuse(self.candidates == "batch", "candidates", message)
        for key in ("temperature", "teacher_temperature", "candidates") if self.by_vectors else ("projection",):
            given = getattr(self, key) is not None
            refuse(given, key, f"{key} has no meaning for distillation of kind {self.kind}")
        return self


class CoSENT(Section):
    """CoSENT over graded pairs: records with one positive, no negatives and a score.

    Attributes:
        scale: Scale of the differences of cosines; 20 as published.
        weight: Weight of the loss in the sum.
    """

    scale: float = Field(default=20.0, gt=0)
    weight: float = Field(default=1.0, gt=0)


class InfoNCE(Section):
    """Settings of `slimvec.objectives.infonce`.

    Attributes:
        temperature: Temperature of the softmax. KaLM has 0.01 over long runs; short runs on small models did best at
            0.03.
        terms: Kinds of candidates: `q-d`, `q-q`, `d-d`, `d-q`.
        mask_equal_texts: Candidates whose text is a known answer are no negatives; does nothing without ids of texts.
        margin: Candidates this much above the positive's cosine are no negatives, unless they are contrasts of the row
            (`EmbeddedBatch.contrast_mask`), made alike and known to be wrong; KaLM-V2.5 has 0.1. Default: off.
        focal: Power of the focal weight, which has its gradient, as in the focal loss (arXiv 1708.02002); KaLM-V2 has
            0.5. 0 is off.
        hardness: A query's own mined negatives weigh e to the power of this times their cosine; EmbeddingGemma has 5.
            0 is off.
    """

    temperature: float = Field(default=0.03, gt=0)
    terms: tuple[Term, ...] = Field(default=("q-d",), min_length=1)
    mask_equal_texts: bool = True
    margin: float | None = Field(default=None, ge=0)
    focal: float = Field(default=0.0, ge=0)
    hardness: float = Field(default=0.0, ge=0)


class Loss(InfoNCE):
    """InfoNCE and what is around it; formulas beside this file.

    Attributes:
        contrastive: Weight of InfoNCE in the sum; 0 leaves it out.
        mixing: Further negatives, mixed of mined ones. Default: none.
        spread: Weight of the spread-out regulariser; 0 is off.
        distill: A teacher to learn from. Default: none.
        graded: What to do with graded pairs. Default: there are none.
        mrl_dims: Widths the loss is summed over (Matryoshka); empty for the full width only.
        mrl_weights: One for each width; default 1 for all.
    """

    contrastive: float = Field(default=1.0, ge=0)
    mixing: Mixing | None = None
    spread: float = Field(default=0.0, ge=0)
    distill: Distillation | None = None
    graded: CoSENT | None = None
    mrl_dims: tuple[int, ...] = ()
    mrl_weights: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(len(set(self.terms)) < len(self.terms), "terms", f"terms {list(self.terms)} name one twice")
        wrong = len(set(self.mrl_dims)) < len(self.mrl_dims) or any(dims < 1 for dims in self.mrl_dims)
        refuse(wrong, "mrl_dims", f"mrl_dims {list(self.mrl_dims)} must be different and at least 1")
        num_weights, num_dims = len(self.mrl_weights), len(self.mrl_dims)
        message = f"{num_weights} mrl_weights for {num_dims} mrl_dims; give one for each"
        refuse(num_weights not in (0, num_dims), "mrl_weights", message)
        self._check_contrastive()
        return self

    @property
    def uses_mined(self) -> str | None:
        """The first setting that asks for mined negatives, if any does."""
        return "hardness" if self.hardness else "mixing" if self.mixing is not None else None

    def _check_contrastive(self) -> None:
        """See that what changes InfoNCE finds it there, with negatives to work on."""
        if not self.contrastive:
            message = "contrastive 0 without distill or graded leaves nothing to learn; give one of them"
            refuse(self.distill is None and self.graded is None, "contrastive", message)
            for key in ("margin", "focal", "hardness", "mixing"):
                refuse(getattr(self, key), key, f"{key} belongs to the contrastive loss, and contrastive is 0")
        mined, compared = self.uses_mined or "", "q-d" in self.terms
        refuse(mined and not compared, mined, f"{mined} is about mined negatives, which only the term q-d compares")


class TextVectors(Section):
    """Weights of the formulas in `slimvec.objectives.text_vectors`.

    Attributes:
        cosine: Weight of the vectors' own cosines.
        gram: Weight of the differences of all cosines in the batch.
        kl: Weight of the divergence of similarities in the batch.
        temperature: Temperature of those similarities.
    """

    cosine: float = Field(default=1.0, ge=0)
    gram: float = Field(default=0.0, ge=0)
    kl: float = Field(default=0.0, ge=0)
    temperature: float = Field(default=0.05, gt=0)


def check_mrl_dims(loss: Loss, dims: int) -> None:
    """Refuse Matryoshka widths above the model's; called again when the width of the base is known.

    Raises:
        ContradictionError: always then.
    """
    most = max(loss.mrl_dims, default=0)
    refuse(most > dims, "loss.mrl_dims", f"mrl_dims go up to {most}, and the model has {dims} dims")


def check_mined(loss: Loss, negatives: int) -> None:
    """Refuse settings about mined negatives for batches without any.

    Raises:
        ContradictionError: always then.
    """
    if negatives:
        return
    message = "likelihood judges mined negatives beside the positive, and batch.negatives is 0"
    refuse(loss.distill and loss.distill.by_likelihood, "loss.distill.judges_by", message)
    mined = loss.uses_mined
    refuse(mined, f"loss.{mined}", f"{mined} is about mined negatives, and batch.negatives is 0")
