"""What is evaluated: slimvec's models, those of sentence-transformers, and servers, behind one protocol.

Everything is scored by the same path: a model says which prompt it wants for a usage, and turns texts with that prompt
into vectors. Whoever embeds counts tokens and truncation by text, so that a cached vector knows them too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from slimvec.text.prompts import Role

Vectors = NDArray[np.float32]
OnProgress = Callable[[int], None]


class ModelCard(BaseModel):
    """What is known of a model that is evaluated.

    Attributes:
        name: As the user called it.
        kind: What runs it: `slimvec`, `sentence-transformers` or `openai` (a server).
        identity: SHA-256 over everything a vector depends on; None for a server, whose weights nobody here can see.
        revision: Commit of a hub name, where known.
        dtype: Data type of the computation, where known.
        dims: Width of the vectors, where known.
        max_tokens: Longest text in tokens, prompt included, where known.
        engine: What runs the backbone.
        prompts: What is written in front of a text, by role.
        remark: Anything a reader of the scores should know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    identity: str | None
    revision: str | None = None
    dtype: str | None = None
    dims: int | None = None
    max_tokens: int | None = None
    engine: str = ""
    prompts: Mapping[str, str] = {}
    remark: str = ""


@dataclass(frozen=True)
class Usage:
    """What texts are embedded for.

    Attributes:
        task: The task's name, as mteb knows it.
        kind: Its type in mteb's words: `Retrieval`, `STS`, `Classification` and so on.
        role: `query` or `document`; None where both sides are alike, or there is one side.
        instruction: What the suite gives models that take instructions; None is the model's own choice.
    """

    task: str
    kind: str
    role: Role | None
    instruction: str | None = None


@dataclass(frozen=True)
class Prompt:
    """The prompt of a usage, as a model has chosen it.

    Attributes:
        text: Written in front of the text.
        role: Role the model is used in.
        task: Task or instruction given to the model, where it takes one.
    """

    text: str = ""
    role: Role | None = None
    task: str | None = None


@dataclass(frozen=True, eq=False)
class Embedded:
    """Vectors of texts, with what happened to each on the way.

    Attributes:
        vectors: [N, D] float32.
        num_tokens: [N] tokens that were computed, prompt included; -1 where nobody knows.
        truncated: [N] 1 where a text was truncated, 0 where not, -1 where nobody knows.
    """

    vectors: Vectors
    num_tokens: NDArray[np.int32]
    truncated: NDArray[np.int8]


class EvaluatedModel(Protocol):
    """A model that can be evaluated."""

    @property
    def card(self) -> ModelCard:
        """What is known of it."""
        ...

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage."""
        ...

    def embed(self, texts: Sequence[str], prompt: Prompt, *, on_progress: OnProgress | None = None) -> Embedded:
        """Embed N texts with a prompt, and tell how many more are done."""
        ...


def unknown_counts(num_texts: int) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Token counts and truncation of texts nobody counted."""
    return np.full(num_texts, -1, dtype=np.int32), np.full(num_texts, -1, dtype=np.int8)
