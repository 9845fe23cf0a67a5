"""The recipe: every setting of a training run, as one frozen and validated tree. No torch here.

A recipe is saved with every run. Settings that contradict each other are errors, never silently ranked.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slimvec.model.spec import ModelSpec
from slimvec.text.prompts import INSTRUCTED, Prompts

Term = Literal["q-d", "q-q", "d-d", "d-q"]


class ContradictionError(ValueError):
    """Settings that exclude each other.

    Args:
        key: The key within its section that the message is about, so that a reader can point to its line.
        message: What is wrong and what would be right.
    """

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


class Section(BaseModel):
    """A part of the recipe: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Base(Section):
    """The model to start from.

    Attributes:
        source: A folder, a hub name, a `.gguf` file or a built-in name.
        revision: Of a hub name; a commit or tag makes the run repeatable.
    """

    source: str = Field(min_length=1)
    revision: str | None = None


class ModelSettings(ModelSpec):
    """The spec of the model to be trained. What is not given is taken from the base.

    Attributes:
        prompts: Default the base's, and instructed queries for a base that has none.
    """

    prompts: Prompts = INSTRUCTED


class Tuning(Section):
    """Which weights move.

    Attributes:
        method: `lora` trains an adapter on all linear layers, `full` every weight.
        rank: Of the adapter.
        alpha: The adapter's update is scaled by alpha / rank; twice the rank by custom.
        dropout: On the adapter's input; 0 because short runs never see a pair twice.
        first_layer: Lowest layer with an adapter. The layers below run without gradient: of SmolLM2's 30, leaving
            out 10 makes a step 1.3 times as fast, 15 1.5 times, 20 1.8 times.
        fold: Multiply by the sum of base and adapter in one product (see training/folding.py): 1.2 times as fast,
            and equal up to the rounding of a merged weight. Not with dropout, which is on the adapter alone.
            Default: whenever there is no dropout.
        merge: Save whole weights, which every reader takes; else the adapter and the name of its base.
    """

    method: Literal["lora", "full"] = "lora"
    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    first_layer: int = Field(default=0, ge=0)
    fold: bool | None = None
    merge: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.method == "full":
            for key in sorted(self.model_fields_set - {"method"}):
                raise ContradictionError(key, f"{key} belongs to method lora, and the method is full")
        if self.dropout and self.fold:
            raise ContradictionError("fold", "fold with dropout: the folded product cannot drop the adapter's input")
        return self

    @property
    def folded(self) -> bool:
        """Whether the adapter is folded in."""
        return not self.dropout if self.fold is None else self.fold


class Source(Section):
    """A file of training records; `slimvec.data.records` says what its rows hold.

    Attributes:
        path: `.jsonl`, `.jsonl.gz` or `.parquet`.
        task: Task name or whole instruction for the prompts of records that name none.
        limit: Take this many records, chosen by the run's seed; default all.
    """

    path: Path
    task: str | None = None
    limit: int | None = Field(default=None, ge=1)


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


class Batch(Section):
    """What one step takes in.

    Attributes:
        pairs: Pairs a step; in-batch negatives grow with it.
        negatives: Mined negatives used of each pair, at most; KaLM has 7.
        max_query_tokens: Longest query, prompt included; the rest is cut off and counted.
        max_document_tokens: Longest document, likewise.
        micro_batch_tokens: Tokens run at once. Below 2,048 the many small products cost more than they save.
        graph_tokens: Batches of up to this many tokens keep all intermediate results for the backward pass, with
            SmolLM2-135M 0.75 GB for 1,000 tokens. Larger ones compute them twice (gradient cache), which takes 1.4
            times as long and bounds the memory to one micro-batch.
    """

    pairs: int = Field(default=48, ge=2)
    negatives: int = Field(default=7, ge=0)
    max_query_tokens: int = Field(default=64, ge=1)
    max_document_tokens: int = Field(default=256, ge=1)
    micro_batch_tokens: int = Field(default=2048, ge=1)
    graph_tokens: int = Field(default=8192, ge=0)


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


def check_mrl_dims(loss: Loss, dims: int) -> None:
    """Refuse Matryoshka widths above the model's; called again when the width of the base is known.

    Raises:
        ContradictionError: always then.
    """
    if loss.mrl_dims and max(loss.mrl_dims) > dims:
        message = f"mrl_dims go up to {max(loss.mrl_dims)}, and the model has {dims} dims"
        raise ContradictionError("loss.mrl_dims", message)
