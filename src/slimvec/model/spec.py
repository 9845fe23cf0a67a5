"""What makes a backbone an embedding model: attention mode, pooling, widths, prompts. Stored with the model.

No torch here: recipes and the command line validate specs before anything heavy is imported.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slimvec.frozen import Frozen, checked
from slimvec.text.prompts import Prompts, Role

AttentionMode = Literal["causal", "bidirectional"]
PoolingMode = Literal["mean", "last", "weighted", "beta", "cls"]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Activation = Literal[
    "Identity", "Tanh", "GELU", "ReLU", "LeakyReLU", "SiLU", "ELU", "SELU", "CELU", "Mish", "Softplus", "Softsign",
    "Sigmoid", "LogSigmoid", "Hardtanh", "Hardswish", "Hardsigmoid", "ReLU6", "Tanhshrink", "Softshrink", "Hardshrink",
]  # fmt: skip
"""Activations of torch that have no weights and work element by element, by their names in `torch.nn`."""


class Pooling(BaseModel):
    """How the states of a text become one vector.

    Attributes:
        mode: `mean`, `last`, `weighted` (position-weighted mean), `beta` (the family that holds those three), `cls`.
        beta: The family's parameter, for mode `beta` only: 0 is mean, 1 is weighted, infinity is last.
        include_prompt: Whether the instruction's tokens are pooled too. `last` and `cls` look at one token anyhow.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True, ser_json_inf_nan="strings")

    mode: PoolingMode = "mean"
    beta: float | None = Field(default=None, ge=0)
    include_prompt: bool = True

    @model_validator(mode="before")
    @classmethod
    def _mode_alone(cls, value: object) -> object:
        """Take the name of a mode for the pooling of that mode."""
        return {"mode": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _beta_belongs_to_its_mode(self) -> Self:
        if (self.beta is not None) != (self.mode == "beta"):
            raise ValueError(f"pooling mode {self.mode!r} with beta {self.beta}: beta goes with mode 'beta', always")
        return self

    def of_text_alone(self) -> "Pooling":
        """Give the same pooling with the instruction's tokens left out."""
        return self.model_copy(update={"include_prompt": False})

    def standard_mode(self) -> PoolingMode:
        """The name that other readers know this pooling by; `beta` when they know none."""
        if self.mode != "beta" or self.beta is None:
            return self.mode
        names: dict[float, PoolingMode] = {0.0: "mean", 1.0: "weighted", math.inf: "last"}
        return names.get(self.beta, "beta")


class DenseLayer(Frozen):
    """A linear layer behind the pooling: activation(W x + b), plus x itself with `residual`.

    Attributes:
        in_dims: Width that it takes.
        out_dims: Width that it gives.
        bias: Whether there is a b.
        activation: Name in `torch.nn`.
        residual: Add x, through a matrix of its own where the widths differ.
    """

    kind: Literal["dense"] = "dense"
    in_dims: int = Field(ge=1)
    out_dims: int = Field(ge=1)
    bias: bool = True
    activation: Activation = "Tanh"
    residual: bool = False


class NormLayer(Frozen):
    """A layer norm with weight and bias behind the pooling; `dims` is its width."""

    kind: Literal["layer_norm"] = "layer_norm"
    dims: int = Field(ge=1)


class DropoutLayer(Frozen):
    """Dropout behind the pooling: in training alone, with probability `rate`."""

    kind: Literal["dropout"] = "dropout"
    rate: float = Field(default=0.2, ge=0, le=1)


class UnitLayer(Frozen):
    """Scaling to unit length ahead of another layer; the scaling that comes last is `ModelSpec.normalize`."""

    kind: Literal["normalize"] = "normalize"


HeadLayer = Annotated[DenseLayer | NormLayer | DropoutLayer | UnitLayer, Field(discriminator="kind")]


class Route(Frozen):
    """Settings of queries in a model that runs them through other modules than documents (a Router).

    Attributes as in `ModelSpec`; those that it has not, prompts and dims among them, are the model's for both roles.
    """

    attention: AttentionMode
    pooling: Pooling
    head: tuple[HeadLayer, ...]
    normalize: bool
    lower_case: bool
    max_tokens: int = Field(ge=1)


class ModelSpec(Frozen):
    """Everything about an embedding model that its weights do not say.

    Attributes:
        attention: Whether a token sees the tokens after it.
        pooling: How states become a vector; the name of a mode stands for the pooling of that mode.
        head: Layers between the pooled states and the cut to `dims`, in their order; their weights lie in the model's
            folder. Most models have none.
        dims: Width of the vectors when fewer than the model's; they are cut to the first `dims` (Matryoshka,
            arXiv 2205.13147). Default: the whole width.
        trained_dims: Widths the training aimed at; cutting to another works worse than its size suggests.
        normalize: Scale vectors to unit length, so that a dot product is a cosine.
        similarity: How two vectors are compared; of the two distances, the negative.
        lower_case: Put texts into small letters first, ahead of what the tokenizer itself does.
        max_tokens: Longest text in tokens, prompt included; the rest is truncated and counted. 512 as KaLM-Embedding
            and most training data have it.
        recency: Attention calibration of causal models: how much late keys gain on early ones, 0 for none (see
            `slimvec.model.attention`). Set when a model is loaded, never saved.
        echo: Read every text twice and pool its second copy (see `slimvec.text.tokenizer`); causal models only. Set
            when a model is loaded, never saved.
        prompts: What is written in front of queries and documents.
        num_layers: How many of the backbone's layers run, from the bottom (see `slimvec.model.depth`); decoders only.
            Default: all.
        queries: What is different for queries, where they run through other modules than documents; the fields above
            are then those of documents.
    """

    attention: AttentionMode = "causal"
    pooling: Pooling = Pooling()
    head: tuple[HeadLayer, ...] = ()
    dims: int | None = Field(default=None, ge=1)
    trained_dims: tuple[int, ...] = ()
    normalize: bool = True
    similarity: Similarity = "cosine"
    lower_case: bool = False
    max_tokens: int = Field(default=512, ge=1)
    recency: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    echo: bool = False
    prompts: Prompts = Prompts()
    num_layers: int | None = Field(default=None, ge=1, exclude_if=lambda number: number is None)
    queries: Route | None = Field(default=None, exclude_if=lambda route: route is None)

    def for_role(self, role: Role) -> "ModelSpec":
        """Give the settings of one role alone."""
        if self.queries is None:
            return self
        return self.replace(**(dict(self.queries) if role == "query" else {}), queries=None)

    def with_queries(self, queries: "ModelSpec") -> "ModelSpec":
        """Give these settings for documents together with others for queries."""
        return self.replace(queries=Route(**{name: getattr(queries, name) for name in Route.model_fields}))

    def full_width(self, width: int) -> int:
        """Give the width of the vectors before any cut, for a backbone whose states have `width`."""
        return next((layer.out_dims for layer in reversed(self.head) if isinstance(layer, DenseLayer)), width)

    def replace(self, **changes: Any) -> "ModelSpec":
        """Give a copy with these fields changed, validated again.

        Raises:
            InputError: a field that is not known or does not fit.
        """
        with checked("model settings: "):
            return ModelSpec.model_validate({**dict(self), **changes})


class LoraSettings(BaseModel):
    """Size of an adapter (LoRA, arXiv 2106.09685).

    Attributes:
        rank: Rank of the update. 16, with which every figure in docs/log.md was measured.
        alpha: Scale of the update is alpha / rank; twice the rank by custom.
        dropout: On the adapter's input; 0 because short runs never see a pair twice.
        first_layer: Lowest decoder layer that gets an adapter. The layers below run without gradient: of SmolLM2's
            30, leaving out 10 makes a step 1.3 times as fast, 15 1.5 times, 20 1.8 times.
        embedding_rank: Rank of an update of the token embeddings; 0 leaves them as they are. An adapter on layers moves
            no word by itself. It takes rank * (vocabulary + width) numbers, and layers below `first_layer` have no
            adapter but run with gradients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    first_layer: int = Field(default=0, ge=0)
    embedding_rank: int = Field(default=0, ge=0)
