"""Slimvec's embedders as models to evaluate."""

from collections.abc import Mapping, Sequence
from typing import Self, Unpack

from slimvec.engine.embedder import Embedder
from slimvec.evaluation.models import ModelCard, Prompt, Usage
from slimvec.model.opening import OpenSettings, open_model
from slimvec.model.sources import describe_source
from slimvec.text.embeddings import Embeddings, OnProgress, TextEmbedder
from slimvec.text.prompts import ROLES, Prompts, Role

TASK_NAMES: Mapping[str, tuple[str, ...]] = {
    "STS": ("sts",),
    "PairClassification": ("pair_classification", "sts"),
    "Classification": ("classification",),
    "Clustering": ("clustering",),
    "BitextMining": ("bitext", "sts"),
}
"""Tasks among a model's prompts that fit mteb's types, the first that is there first."""


class EmbedderModel:
    """Whatever embeds texts by role and task, with prompts of slimvec's kind: a loaded model, or one in training.

    Retrieval uses the model's query and document prompts. Where the two sides are alike, a task of the model's that
    fits (`sts`, `classification`, ...) is used, then the suite's instruction, then the document side, which has no
    instruction: so does KaLM-Embedding, whose symmetric tasks have none.

    Args:
        embedder: Embeds.
        prompts: The templates of its prompts.
        card: What is known of it.

    Attributes:
        prompts: As given.
        card: As given.
    """

    def __init__(self, embedder: TextEmbedder, prompts: Prompts, card: ModelCard) -> None:
        self._embedder, self.prompts, self.card = embedder, prompts, card

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage."""
        return choose_prompt(self.prompts, usage)

    def render(self, role: Role | None, task: str | None = None) -> str:
        """Give what is written in front of texts."""
        return self.prompts.render(role or "document", task)

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        task: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Embeddings:
        """Embed texts; errors as for the embedder."""
        return self._embedder.embed(texts, role=role or "document", task=task, on_progress=on_progress)


class SlimvecModel(EmbedderModel):
    """A slimvec model.

    Args:
        embedder: The model, loaded.
        name: As the user called it.
        identity: Identity of its vectors.
        model_sha256: By which indexes and servers know it; None for a model in memory.
        revision: Commit of a hub name.

    Attributes:
        embedder: What runs it, for those who look deeper than vectors.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        name: str,
        identity: str,
        model_sha256: str | None = None,
        revision: str | None = None,
    ) -> None:
        self.embedder = embedder
        card = describe_embedder(embedder, name=name, identity=identity, model_sha256=model_sha256, revision=revision)
        super().__init__(embedder, embedder.spec.prompts, card)

    @classmethod
    def load(
        cls,
        source: str,
        *,
        dtype: str = "auto",
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        **settings: Unpack[OpenSettings],
    ) -> Self:
        """Load a model. Errors as for `Embedder.load`.

        Args:
            source: A folder, a `.gguf` file, a built-in name or a hub name.
            dtype: As for `Embedder.load`.
            query_prompt: Written in front of queries instead of the model's own; `{task}` stands for the instruction.
            document_prompt: The same for documents.
            settings: What shall differ from the model's own, as for `Embedder.load`; not `prompts`.
        """
        opened = open_model(source, **settings)
        prompts = _with_prompts(opened.spec.prompts, query_prompt, document_prompt)
        embedder = Embedder.from_opened(opened.with_prompts(prompts), dtype=dtype)
        known = embedder.identity
        return cls(
            embedder,
            name=source,
            identity=known.vectors_sha256(embedder.engine),
            model_sha256=known.sha256,
            revision=describe_source(opened.folder).revision,
        )


def describe_embedder(
    embedder: Embedder,
    *,
    name: str,
    identity: str | None = None,
    model_sha256: str | None = None,
    revision: str | None = None,
    task: str | None = None,
) -> ModelCard:
    """Say what results tell of a loaded model.

    Args:
        embedder: The model.
        name: As the user called it.
        identity: What tells it from every other; default `ModelIdentity.sha256`.
        model_sha256: By which indexes and servers know it; None for a model in memory.
        revision: Commit of a hub name.
        task: Task it is used for, where that is always the same one.
    """
    return ModelCard(
        name=name,
        kind="slimvec",
        identity=embedder.identity.sha256 if identity is None else identity,
        model_sha256=model_sha256,
        revision=revision,
        dtype=embedder.dtype,
        dims=embedder.dims,
        max_tokens=embedder.spec.max_tokens,
        engine=embedder.engine,
        prompts={role: embedder.spec.prompts.render(role, task) for role in ROLES},
        remark=embedder.engine_reason,
    )


def choose_prompt(prompts: Prompts, usage: Usage) -> Prompt:
    """Choose among a model's prompts, as `EmbedderModel` says.

    Args:
        prompts: The model's.
        usage: What texts are embedded for.
    """
    if usage.role is not None:
        task = usage.instruction if usage.role == "query" and prompts.takes_task else None
        return Prompt(prompts.render(usage.role, task), usage.role, task)
    names = (usage.kind, *TASK_NAMES.get(usage.kind, ()))
    known = next((name for name in names if name in prompts.named or name in prompts.tasks), None)
    task = known or (usage.instruction if prompts.takes_task else None)
    if task is not None:
        return Prompt(prompts.render("query", task), "query", task)
    return Prompt(prompts.render("document"), "document")


def _with_prompts(prompts: Prompts, query: str | None, document: str | None) -> Prompts:
    changes = {"query": query, "document": document}
    return prompts.model_copy(update={key: value for key, value in changes.items() if value is not None})
