"""The section about the loss."""

from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.training.recipe.section import ContradictionError, Section

Term = Literal["q-d", "q-q", "d-d", "d-q"]


class Loss(Section):
    """InfoNCE and what is around it; formulas in `slimvec.objectives`.

    Attributes:
        temperature: Of the softmax. KaLM has 0.01 over long runs; short runs on small models did best at 0.03.
        terms: Kinds of candidates: `q-d`, `q-q`, `d-d`, `d-q`.
        mask_equal_texts: Candidates whose text is a known answer are no negatives.
        margin: Candidates this much above the positive's cosine are no negatives; KaLM-V2.5 has 0.1. Default: off.
        focal: Power of the focal weight; KaLM-V2 has 0.5. 0 is off.
        mrl_dims: Widths the loss is summed over (Matryoshka); empty for the full width only.
        mrl_weights: One for each width; default 1 for all.
    """

    temperature: float = Field(default=0.03, gt=0)
    terms: tuple[Term, ...] = Field(default=("q-d",), min_length=1)
    mask_equal_texts: bool = True
    margin: float | None = Field(default=None, ge=0)
    focal: float = Field(default=0.0, ge=0)
    mrl_dims: tuple[int, ...] = ()
    mrl_weights: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.terms)) < len(self.terms):
            raise ContradictionError("terms", f"terms {list(self.terms)} name one twice")
        if len(set(self.mrl_dims)) < len(self.mrl_dims) or any(dims < 1 for dims in self.mrl_dims):
            raise ContradictionError("mrl_dims", f"mrl_dims {list(self.mrl_dims)} must be different and at least 1")
        if self.mrl_weights and len(self.mrl_weights) != len(self.mrl_dims):
            message = f"{len(self.mrl_weights)} mrl_weights for {len(self.mrl_dims)} mrl_dims; give one for each"
            raise ContradictionError("mrl_weights", message)
        return self


def check_mrl_dims(loss: Loss, dims: int) -> None:
    """Refuse Matryoshka widths above the model's; called again when the width of the base is known.

    Raises:
        ContradictionError: always then.
    """
    if loss.mrl_dims and max(loss.mrl_dims) > dims:
        message = f"mrl_dims go up to {max(loss.mrl_dims)}, and the model has {dims} dims"
        raise ContradictionError("loss.mrl_dims", message)
