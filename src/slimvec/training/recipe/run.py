"""The sections about the course of a run: optimiser, length, checkpoints."""

from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.training.recipe.section import ContradictionError, Section


class Optim(Section):
    """AdamW (arXiv 1711.05101) and its learning rate.

    Attributes:
        lr: Highest learning rate. 1e-3 suits LoRA for short runs; full fine-tuning wants 1e-5 to 1e-4.
        warmup: Share of the run over which the learning rate rises to `lr`.
        decay: How it falls to zero over the rest.
        weight_decay: On matrices only, never on norms and biases.
        betas: Decay of the two moments.
        clip: Gradients are scaled down to this norm; 0 is off.
    """

    lr: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    decay: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ContradictionError("betas", f"betas {list(self.betas)} must be at least 0 and below 1")
        return self


class Run(Section):
    """How long, and how carefully. Exactly one of `steps`, `epochs` and `max_minutes` is given.

    Attributes:
        steps: Number of optimiser steps.
        epochs: Passes over the data.
        max_minutes: Wall time of training; the learning rate follows the time and reaches zero at its end.
        seed: Of data order, adapter and dropout.
        dtype: Of the weights in the products. bf16 keeps float32 copies of trained weights in the optimiser.
        checkpoint_steps: A checkpoint every so many steps; 0 for none but the one a stop leaves.
        checkpoint_minutes: A checkpoint at least every so many minutes; 0 for none.
        keep: Checkpoints kept, the newest.
    """

    steps: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    max_minutes: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    dtype: Literal["bf16", "fp32"] = "bf16"
    checkpoint_steps: int = Field(default=0, ge=0)
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    keep: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [key for key in ("steps", "epochs", "max_minutes") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) + " are all given" if given else "no length is given"
            raise ContradictionError(given[-1] if given else "", f"{found}; give one of steps, epochs, max_minutes")
        return self
