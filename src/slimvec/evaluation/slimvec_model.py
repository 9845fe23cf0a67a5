"""A slimvec model as something to evaluate."""

from collections.abc import Mapping, Sequence
from typing import Self, Unpack

import numpy as np

from slimvec.engine.embedder import Embedder
from slimvec.evaluation.models import Embedded, ModelCard, OnProgress, Prompt, Usage
from slimvec.model.opening import OpenSettings, open_model
from slimvec.model.sources import describe_source
from slimvec.text.prompts import ROLES, Prompts

TASK_NAMES: Mapping[str, tuple[str, ...]] = {
    "STS": ("sts",),
    "PairClassification": ("pair_classification", "sts"),
    "Classification": ("classification",),
    "Clustering": ("clustering",),
    "BitextMining": ("bitext", "sts"),
}
"""Tasks among a model's prompts that fit mteb's types, the first that is there first."""


class SlimvecModel:
    """A slimvec model.

    Retrieval uses the model's query and document prompts. Where the two sides are alike, a task of the model's that
    fits (`sts`, `classification`, ...) is used, then the suite's instruction, then the document side, which has no
    instruction: so does KaLM-Embedding, whose symmetric tasks have none.

    Args:
        embedder: The model, loaded.
        name: As the user called it.
        identity: Identity of its vectors.
        revision: Commit of a hub name.
    """

    def __init__(self, embedder: Embedder, *, name: str, identity: str, revision: str | None = None) -> None:
        self._embedder = embedder
        prompts = {role: embedder.spec.prompts.render(role) for role in ROLES}
        self._card = ModelCard(
            name=name,
            kind="slimvec",
            identity=identity,
            revision=revision,
            dtype=embedder.dtype,
            dims=embedder.dims,
            max_tokens=embedder.spec.max_tokens,
            engine=embedder.engine,
            prompts=prompts,
            remark=embedder.engine_reason,
        )

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
        settings["prompts"] = _with_prompts(opened.spec.prompts, query_prompt, document_prompt)
        embedder = Embedder.load(source, dtype=dtype, **settings)
        identity = embedder.identity.vectors_sha256(embedder.engine)
        revision = describe_source(opened.folder).revision
        return cls(embedder, name=source, identity=identity, revision=revision)

    @property
    def card(self) -> ModelCard:
        """What is known of it."""
        return self._card

    @property
    def embedder(self) -> Embedder:
        """What runs it, for those who look deeper than vectors."""
        return self._embedder

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage."""
        return choose_prompt(self._embedder.spec.prompts, usage)

    def embed(self, texts: Sequence[str], prompt: Prompt, *, on_progress: OnProgress | None = None) -> Embedded:
        """Embed texts; errors as for `Embedder.embed`."""
        role = prompt.role or "document"
        found = self._embedder.embed(texts, role=role, task=prompt.task, on_progress=on_progress)
        tokenized = self._embedder.tokenizer.tokenize(texts, prompt=prompt.text)
        lengths = np.asarray(tokenized.lengths, dtype=np.int32)
        return Embedded(found.vectors, lengths, np.asarray(tokenized.truncated, dtype=np.int8))


def choose_prompt(prompts: Prompts, usage: Usage) -> Prompt:
    """Choose among a model's prompts, as `SlimvecModel` says.

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
