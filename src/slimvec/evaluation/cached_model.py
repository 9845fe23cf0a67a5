"""A model whose vectors are kept, so that no text is embedded twice, and what was asked of it is counted."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from slimvec.engine.embedder import Embedder
from slimvec.evaluation.models import EvaluatedModel, Ledger, ModelCard, Prompt, Usage
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.vector_store import VectorStore, blocks_of
from slimvec.progress import tell_nobody
from slimvec.text.embeddings import Embeddings, OnProgress
from slimvec.text.prompts import Prompts, Role

BLOCK_TEXTS = 4096
"""Texts that are computed and then written together: what a killed run loses at most."""


class CachedModel:
    """A model that embeds each text once: its store gives what it knows, and gets what it does not.

    Args:
        model: Embeds.
        store: Store of its vectors; None keeps none, and a text is computed once a call.

    Attributes:
        model: The same, without the store.
        work: Counted from the beginning, repeated and known texts included; replace it to count anew.
    """

    def __init__(self, model: EvaluatedModel, store: VectorStore | None) -> None:
        self.model = model
        self.work = Ledger()
        self._store = store

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self.model.card

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage, as the model does."""
        return self.model.prompt(usage)

    def render(self, role: Role | None, task: str | None = None) -> str:
        """Give what the model writes in front of texts."""
        return self.model.render(role, task)

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        task: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Embeddings:
        """Embed texts, and tell how many more are done, those found included. Errors of the model and of the store."""
        report = on_progress or tell_nobody
        prompt = self.model.render(role, task)
        key = f"{role or ''}\0{prompt}"
        different = list(dict.fromkeys(texts))
        known = {} if self._store is None else self._store.read(key, different)
        report(len(known))
        for block in blocks_of([text for text in different if text not in known], BLOCK_TEXTS):
            made = self.model.embed(block, role=role, task=task, on_progress=report)
            vectors = made.vectors
            if self._store is not None:
                self._store.write(key, block, made)
                vectors = self._store.rounded(vectors)
            rows = zip(vectors, made.tokens.tolist(), made.truncated.tolist(), strict=True)
            known |= dict(zip(block, rows, strict=True))
        report(len(texts) - len(different))
        vectors_by_text, tokens, truncated = zip(*(known[text] for text in texts), strict=True)
        found = Embeddings(np.stack(vectors_by_text), np.array(tokens, np.int32), np.array(truncated, np.int8))
        self.work.add(role, prompt, found)
        return found


def bare_model(model: EvaluatedModel) -> EvaluatedModel:
    """Give the model without its store: it then computes all it is asked for, in the batches it is asked in."""
    return model.model if isinstance(model, CachedModel) else model


def embedder_of(model: EvaluatedModel) -> Embedder | None:
    """Give what runs a model of slimvec's, for probes that look deeper than vectors; None for all others."""
    bare = bare_model(model)
    return bare.embedder if isinstance(bare, SlimvecModel) else None


@runtime_checkable
class HasPrompts(Protocol):
    """A model, or an embedder, that makes its prompts of templates that can be seen."""

    @property
    def prompts(self) -> Prompts:
        """The templates."""
        ...


def prompts_of(model: EvaluatedModel) -> Prompts | None:
    """Give the templates a model makes its prompts of; None where nobody can see them."""
    bare, embedder = bare_model(model), embedder_of(model)
    if embedder is not None:
        return embedder.spec.prompts
    return bare.prompts if isinstance(bare, HasPrompts) else None
