"""The recipe as a whole."""

from typing import Self

from pydantic import Field, model_validator

from slimvec.training.recipe.data import Batch, Source
from slimvec.training.recipe.loss import Loss, check_mrl_dims
from slimvec.training.recipe.model import Base, ModelSettings, Tuning
from slimvec.training.recipe.run import Optim, Run
from slimvec.training.recipe.section import ContradictionError, Section


class Recipe(Section):
    """Everything a run depends on. Sections as named; unset keys have the defaults of this version."""

    base: Base
    model: ModelSettings = ModelSettings()
    tuning: Tuning = Tuning()
    data: tuple[Source, ...] = Field(min_length=1)
    loss: Loss = Loss()
    optim: Optim = Optim()
    batch: Batch = Batch()
    run: Run

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.model.trained_dims:
            raise ContradictionError("model.trained_dims", "trained_dims is what training writes; use loss.mrl_dims")
        if self.model.dims is not None:
            check_mrl_dims(self.loss, self.model.dims)
        for key in ("max_query_tokens", "max_document_tokens"):
            if key in self.batch.model_fields_set and getattr(self.batch, key) > self.model.max_tokens:
                message = f"{key} {getattr(self.batch, key)} is above the model's max_tokens {self.model.max_tokens}"
                raise ContradictionError(f"batch.{key}", message)
        return self
