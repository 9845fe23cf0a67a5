"""What the functions for causal models need of an embedder: a backbone, a tokenizer, settings."""

from typing import Protocol

import torch
from torch import Tensor

from slimvec.engine.bad_texts import bad_rows
from slimvec.engine.fused import FusedDecoder
from slimvec.errors import InputError, ModelError
from slimvec.model.head import Head, cut, finish
from slimvec.model.protocols import Backbone
from slimvec.model.spec import ModelSpec
from slimvec.text.batch import PackedBatch
from slimvec.text.embeddings import Vectors
from slimvec.text.located import LocatedTokens, locate
from slimvec.text.prompts import Role
from slimvec.text.tokenizer import Tokenizer


class HasParts(Protocol):
    """An embedder, or anything with its parts."""

    @property
    def backbone(self) -> Backbone:
        """Packed batch to states."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's own."""
        ...

    @property
    def head(self) -> Head:
        """The layers behind its pooling, where the backbone is."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """The model's settings."""
        ...

    @property
    def dims(self) -> int:
        """Width of the vectors."""
        ...

    def for_role(self, role: Role, /) -> "HasParts":
        """Give what texts in a role run through."""
        ...


def read_text(parts: HasParts, text: str, *, role: Role, task: str | None) -> LocatedTokens:
    """Tokenise a text behind the prompt of its role.

    Raises:
        InputError: an empty text, one without tokens, an unknown role or task.
    """
    return locate(parts.tokenizer, text, prompt=parts.spec.prompts.render(role, task))


def check_fits(tokens: LocatedTokens, *, do: str) -> None:
    """Refuse a text that is longer than the model's limit.

    Args:
        tokens: The text.
        do: What the caller can do about it.

    Raises:
        InputError: always then.
    """
    if tokens.num_fitting < tokens.num_own:
        raise InputError(
            f"the text has {len(tokens.sequence):,} tokens",
            expected=f"at most {tokens.max_tokens:,}, the model's limit",
            do=do,
        )


def run_states(parts: HasParts, batch: PackedBatch) -> Tensor:
    """Run the backbone: states [T, H] float32 on the CPU."""
    with torch.inference_mode():
        return parts.backbone(batch).float().cpu()


def finish_vectors(pooled: Tensor, parts: HasParts, dims: int | None) -> Vectors:
    """Turn pooled states [N, H] into vectors [N, D], cut and scaled as the model has it.

    Raises:
        InputError: `dims` is more than the model's width.
        ModelError: a vector is NaN, infinite or all 0.
    """
    with torch.inference_mode():
        return _numbers(finish(pooled, parts.head, parts.spec, dims).numpy())


def cut_vectors(vectors: Tensor, parts: HasParts, dims: int | None) -> Vectors:
    """Cut and scale what is behind the model's head already, [N, D], as the model has it."""
    return _numbers(cut(vectors, parts.spec, dims).numpy())


def _numbers(vectors: Vectors) -> Vectors:
    """See that the vectors [N, D] of a text's parts are numbers.

    Raises:
        ModelError: one is not.
    """
    bad = bad_rows(vectors, [""] * len(vectors))
    if bad:
        raise ModelError(
            f"part {bad[0].number} of the text {bad[0].reason}",
            expected="numbers",
            do="load the model with dtype='float32'",
        )
    return vectors


def causal_decoder(parts: HasParts) -> FusedDecoder:
    """Give the backbone as one that keeps keys and values.

    Raises:
        ModelError: it attends in both directions, or another engine runs it.
    """
    check_causal(parts, "appending")
    if not isinstance(parts.backbone, FusedDecoder):
        raise ModelError(
            f"appending on {type(parts.backbone).__name__}, which keeps no keys and values",
            expected="the fused decoder",
            do="load the model with engine='fused', on the CPU",
        )
    return parts.backbone


def check_causal(parts: HasParts, what: str) -> None:
    """Refuse a model whose tokens see what comes after them.

    Raises:
        ModelError: always then.
    """
    if parts.spec.attention != "causal":
        raise ModelError(f"{what} with {parts.spec.attention} attention", expected="a causal model")
