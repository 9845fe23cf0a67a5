"""The sections about the model: where it starts, what it shall be, which of its weights move."""

from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.frozen import Section, refuse
from slimvec.model.scratch import Shape, TokenizerChoice
from slimvec.model.spec import LoraSettings, ModelSpec
from slimvec.text.prompts import INSTRUCTED, Prompts


class Base(Section):
    """The model to start from: a source, or the shape of a new one with its tokenizer.

    Attributes:
        source: A folder, a hub name, a `.gguf` file or a built-in name.
        revision: Revision of a hub name; a commit or tag makes the run repeatable.
        shape: Shape of a model whose weights are drawn at random by the run's seed.
        tokenizer: Tokenizer of such a model; goes with a shape, always.
    """

    source: str | None = Field(default=None, min_length=1)
    revision: str | None = None
    shape: Shape | None = None
    tokenizer: TokenizerChoice | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        found = "both are given" if self.source else "neither is given"
        refuse((self.source is None) == (self.shape is None), "source", f"{found}; give one of source, shape")
        alone = (self.shape is None) != (self.tokenizer is None)
        refuse(alone, "tokenizer", "shape and tokenizer go together; give both or none")
        return self

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return f"a new {self.shape.architecture} model" if self.shape is not None else str(self.source)


class ModelSettings(ModelSpec):
    """The spec of the model to be trained. What is not given is taken from the base.

    Attributes:
        prompts: Default the base's, and instructed queries for a base that has none and was not trained here.
    """

    prompts: Prompts = INSTRUCTED


class Tuning(LoraSettings):
    """Which weights move. The size of the adapter is as `LoraSettings` says.

    Attributes:
        method: `lora` trains an adapter on all linear layers, `full` every weight.
        fold: Multiply by the sum of base and adapter in one product (see training/step/folding.py): 1.2 times as fast,
            and equal up to the rounding of a merged weight. Not with dropout, which is on the adapter alone.
            Default: whenever there is no dropout.
        merge: Save whole weights, which every reader takes; else the adapter and the name of its base. Stages with it
            false train one adapter, each from where the last left it; they cannot change its size. A base that is an
            adapter itself is trained on with false, in this size or a larger one, and folded into its base with true.
        train_head: Whether the layers of `model.head` are trained beside the adapter. Default: where the recipe names
            them. A head that an earlier stage has filled by regression wants to stay: its numbers are as small as the
            pooled states are large, and an adapter's rate undoes them.
        frozen_dtype: What the layers below `first_layer`, which train nothing, are multiplied in: `int8` makes them 1.3
            (bfloat16) to 1.4 times (AVX2) as fast where the CPU's kernels have it, and elsewhere they run as with
            `model`, in the model's own dtype, with a remark. As in QLoRA (arXiv 2305.14314) the adapter is trained on
            rounded layers; the saved model has them unrounded.
        keep_language_model: Save the base's head with the model, which then predicts the next token with the weights
            that were trained. For objectives that train it to; default the base stays the language model. `ngrams`
            always saves it.
    """

    method: Literal["lora", "full"] = "lora"
    fold: bool | None = None
    merge: bool = True
    train_head: bool | None = None
    frozen_dtype: Literal["model", "int8"] = "model"
    keep_language_model: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.method == "full":
            for key in sorted(self.model_fields_set - {"method", "keep_language_model"}):
                refuse(True, key, f"{key} belongs to method lora, and the method is full")
        both = self.dropout and self.fold
        refuse(both, "fold", "fold with dropout: the folded product cannot drop the adapter's input")
        return self

    @property
    def num_frozen(self) -> int:
        """How many layers from the bottom run without gradient."""
        return self.first_layer if self.method == "lora" and not self.embedding_rank else 0

    @property
    def folded(self) -> bool:
        """Whether there is an adapter, and it is folded in."""
        return self.method == "lora" and (not self.dropout if self.fold is None else self.fold)
