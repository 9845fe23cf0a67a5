"""The sections about the course of a run: optimiser, length, checkpoints, evaluation."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.data.overlap_limit import MAX_SHARED
from slimvec.frozen import Section, refuse

MOST_SEEDS = 1 << 63
"""Seeds are below this: torch takes no larger number."""
LENGTHS = ("steps", "tokens", "epochs", "max_minutes")
"""Ways to say how long a run is."""


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
        wrong = not all(0 <= beta < 1 for beta in self.betas)
        refuse(wrong, "betas", f"betas {list(self.betas)} must be at least 0 and below 1")
        return self


class Run(Section):
    """How long, and how carefully. One of `steps`, `tokens`, `epochs` and `max_minutes` is given, and no more.

    Attributes:
        steps: Number of optimiser steps.
        tokens: The run ends with the first step that brings it to so many tokens, and the learning rate follows them:
            equal work for models whose tokenizers cut the same texts into more or fewer tokens.
        epochs: Passes over the data.
        max_minutes: Wall time of training; the learning rate follows the time and reaches zero at its end.
        shard: Share weights, gradients and moments out over the processes (FSDP2), for models that do not fit a
            device with all of these. With tuning.method full only.
        seed: Random seed for data order, adapter and dropout.
        dtype: Data type of the weights in the products. auto is bf16 where the device computes in it and fp32
            elsewhere; it is settled when the run begins. bf16 keeps float32 copies of trained weights in the optimiser.
        cache_states: Gigabytes of slimvec's cache for the states behind the layers below `tuning.first_layer`, so that
            epochs, variants and seeds over the same texts compute them once; 0 is off. A text of 100 tokens takes
            230 kB in a model of width 576 in fp32. Losses are the same to rounding.
        checkpoint_steps: A checkpoint every so many steps; 0 for none but the one a stop leaves.
        checkpoint_minutes: A checkpoint at least every so many minutes; 0 for none.
        keep: Checkpoints kept, the newest.
        collapse_limit: The run ends in an error when texts that do not belong together stay nearer than this: their
            mean cosine has been above it, and in the nearer half of the way to 1 from where the run began, for
            `collapse_steps` steps in a row after the warm-up. Raw causal models begin at 0.8 to 0.9, and leave it.
            1 is off.
        collapse_steps: How long that has to last.
        attention_ramp: Share of the run over which its steps turn from causal to bidirectional, for a causal base
            that shall become bidirectional: the share of bidirectional steps rises from 0 to 1. 0 is off.
        loggers: Where metrics go beside their file: `tensorboard`, `trackio`.
    """

    steps: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    max_minutes: float | None = Field(default=None, gt=0)
    shard: bool = False
    seed: int = Field(default=0, ge=0, lt=MOST_SEEDS)
    dtype: Literal["auto", "bf16", "fp32"] = "auto"
    cache_states: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    checkpoint_steps: int = Field(default=0, ge=0)
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    keep: int = Field(default=2, ge=1)
    collapse_limit: float = Field(default=0.98, gt=0, le=1)
    collapse_steps: int = Field(default=20, ge=1)
    attention_ramp: float = Field(default=0.0, ge=0, le=1)
    loggers: tuple[Literal["tensorboard", "trackio"], ...] = ()

    @property
    def lengths(self) -> list[str]:
        """Those keys that say when the run is over and are given."""
        return [key for key in LENGTHS if getattr(self, key) is not None]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        found = " and ".join(self.lengths)
        message = f"{found} are all given; give one of {', '.join(LENGTHS)}"
        refuse(len(self.lengths) > 1, "".join(self.lengths[-1:]), message)
        return self


class Validation(Section):
    """Retrieval among held-out records, now and then. One of `count`, `share` and `path` says which.

    Attributes:
        count: Hold out about so many of the records, whole queries at a time.
        share: Hold out this share of them. Which ones is decided by a hash of the query, so that all stages and
            seeds hold out the same.
        path: Take the records of this file instead; those of their queries are left out of the training data.
        max_shared: With `path`: refuse a run in which more than this share of the training records, or of the file's
            queries, shares text with the other side. 1 refuses none; the count stays with the run.
        every_steps: Steps between two evaluations; there is one before the first step and one after the last too.
        metric: `ndcg_at_10` or `mrr_at_10` on the held-out records, or a measure of an evaluation handed in from
            outside, as `NAME/MEASURE`.
        patience: End the stage after so many evaluations in a row without a better one; default never.
        keep: What the stage gives: the weights of its best evaluation, or its last ones.
    """

    count: int | None = Field(default=None, ge=2)
    share: float | None = Field(default=None, gt=0, lt=1)
    path: Path | None = None
    max_shared: float = Field(default=MAX_SHARED, ge=0, le=1)
    every_steps: int = Field(default=100, ge=1)
    metric: str = "ndcg_at_10"
    patience: int | None = Field(default=None, ge=1)
    keep: Literal["best", "last"] = "best"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [key for key in ("count", "share", "path") if getattr(self, key) is not None]
        found = " and ".join(given) + " are all given" if given else "nothing says what is held out"
        refuse(len(given) != 1, "".join(given[-1:]), f"{found}; give one of count, share, path")
        return self
