"""What is evaluated: slimvec's models, those of sentence-transformers, and servers, behind one protocol.

Each is an embedder like any other (`slimvec.text.embeddings.TextEmbedder`): texts in a role and a task become vectors.
Beyond that it says what it is, and which role and task it wants to be used in. Whoever embeds counts tokens and
truncation by text, so that a cached vector knows them too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypedDict

from slimvec.frozen import Frozen
from slimvec.text.embeddings import Embeddings, OnProgress, TextEmbedder
from slimvec.text.prompts import Role


class ModelCard(Frozen):
    """What is known of a model that is evaluated.

    Attributes:
        name: As the user called it.
        kind: What runs it: `slimvec`, `sentence-transformers`, `openai` (a server) or `bm25`; empty in results that
            are older than this field.
        identity: What tells it from every other: a hash of its files, or its settings; None for a server, whose weights
            nobody here can see.
        model_sha256: `ModelIdentity.sha256`, by which indexes and servers know the model; None where another library
            runs it, and in results that are older than this field.
        revision: Commit of a hub name, where known.
        dtype: Data type of the computation, where known.
        dims: Width of the vectors, where known.
        max_tokens: Longest text in tokens, prompt included, where known.
        engine: What runs the backbone.
        prompts: What is written in front of a text, by role.
        remark: Anything a reader of the scores should know.
    """

    name: str
    kind: str = ""
    identity: str | None
    model_sha256: str | None = None
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
        role: Role the model is used in; None for neither side.
        task: Task, instruction or whole prompt given to the model; None for its own.
    """

    text: str = ""
    role: Role | None = None
    task: str | None = None


class EvaluatedModel(TextEmbedder, Protocol):
    """An embedder that can be evaluated."""

    @property
    def card(self) -> ModelCard:
        """What is known of it."""
        ...

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage."""
        ...

    def render(self, role: Role | None, task: str | None = None) -> str:
        """Give what is written in front of texts in a role and a task."""
        ...

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        task: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Embeddings:
        """Embed N texts in the role and the task of a prompt, and tell how many more are done."""
        ...


class Counts(TypedDict):
    """What a result says of the texts that were embedded; the keys are those of `SubsetResult`."""

    prompts: Mapping[str, str]
    num_texts: int
    num_tokens: int
    truncated_share: float | None


@dataclass
class Ledger:
    """What was embedded for a subset of a task: counts over its texts, repeated ones included.

    Attributes:
        prompts: By role; `both` where the sides are alike.
        num_texts: Texts.
        num_tokens: Tokens of those whose tokens are known, prompts included.
        num_truncated: Truncated texts.
        num_unknown: Texts of which nobody knows whether they were.
    """

    prompts: dict[str, str] = field(default_factory=dict)
    num_texts: int = 0
    num_tokens: int = 0
    num_truncated: int = 0
    num_unknown: int = 0

    def add(self, role: Role | None, prompt: str | None, embedded: Embeddings) -> None:
        """Count a batch of texts; None is a prompt that nobody knows."""
        if prompt is not None:
            self.prompts[role or "both"] = prompt
        self.num_texts += len(embedded.vectors)
        self.num_tokens += embedded.num_tokens
        self.num_truncated += embedded.num_truncated
        self.num_unknown += int((embedded.truncated == -1).sum())

    @property
    def counts(self) -> Counts:
        """All of it."""
        known = self.num_texts - self.num_unknown
        return {
            "prompts": self.prompts,
            "num_texts": self.num_texts,
            "num_tokens": self.num_tokens,
            "truncated_share": self.num_truncated / known if known else None,
        }
