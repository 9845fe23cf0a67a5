"""The model under a probe: its vectors kept so that no text is embedded twice, its work counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from slimvec.engine.embedder import Embedder
from slimvec.evaluation.models import EvaluatedModel, ModelCard, Prompt, Usage
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.vector_store import VectorStore, embed_cached
from slimvec.text.embeddings import Embeddings, OnProgress
from slimvec.text.prompts import Prompts


@dataclass(slots=True)
class Work:
    """What was asked of a model so far.

    Attributes:
        num_texts: Texts, repeated and known ones included.
        num_tokens: Their tokens, prompts included, as far as somebody counts them.
        num_truncated: Truncated ones, as far as somebody knows.
    """

    num_texts: int = 0
    num_tokens: int = 0
    num_truncated: int = 0

    def add(self, embedded: Embeddings) -> None:
        """Count what was embedded."""
        self.num_texts += len(embedded.vectors)
        self.num_tokens += embedded.num_tokens
        self.num_truncated += embedded.num_truncated


class CachedModel:
    """A model that embeds each text once.

    Args:
        model: Embeds.
        store: Store of its vectors.

    Attributes:
        model: The same, without the store.
        work: Counted from the beginning; replace it to count anew.
    """

    def __init__(self, model: EvaluatedModel, store: VectorStore) -> None:
        self.model = model
        self.work = Work()
        self._store = store

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        return self.model.card

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage, as the model does."""
        return self.model.prompt(usage)

    def embed(self, texts: Sequence[str], prompt: Prompt, *, on_progress: OnProgress | None = None) -> Embeddings:
        """Embed texts; errors as for `embed_cached`."""
        found = embed_cached(self.model, texts, prompt, store=self._store, on_progress=on_progress)
        self.work.add(found)
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
