"""Haystack: `SlimvecTextEmbedder` for queries and `SlimvecDocumentEmbedder` for documents, as pipelines take them."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from haystack import Document, component, default_from_dict, default_to_dict

from slimvec.errors import InputError
from slimvec.integrations.loading import LoadSettings, load
from slimvec.text.prompts import Role

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder


class _Model:
    """A model that is loaded when a pipeline warms up.

    Args:
        model: As for `Embedder.load`.
        task: A task the model knows, or an instruction; default the model's.
        dims: Width of the vectors, when fewer than the model's.
        settings: Settings of `Embedder.load`.
    """

    def __init__(self, model: str, task: str | None, dims: int | None, settings: LoadSettings | None) -> None:
        self.written: dict[str, Any] = {
            "model": str(model),
            "task": task,
            "dims": dims,
            "settings": dict(settings or {}),
        }
        self._embedder: Embedder | None = None

    def load(self) -> "Embedder":
        """Give the model, loaded once.

        Raises:
            SlimvecError: as `Embedder.load` does.
        """
        if self._embedder is None:
            self._embedder = load(self.written["model"], self.written["settings"])
        return self._embedder

    def embed(self, texts: list[str], role: Role) -> tuple[list[list[float]], dict[str, Any]]:
        """Give the vectors of texts, and what happened to them on the way."""
        found = self.load().embed(texts, role=role, task=self.written["task"], dims=self.written["dims"])
        meta = {"model": self.written["model"], "num_tokens": found.num_tokens, "num_truncated": found.num_truncated}
        return found.vectors.tolist(), meta


@component
class SlimvecTextEmbedder:
    """Embeds a query.

    Args:
        model: As for `Embedder.load`.
        task: A task the model knows, or an instruction; default the model's.
        dims: Width of the vectors, when fewer than the model's.
        settings: Settings of `Embedder.load`.
    """

    def __init__(
        self, model: str, task: str | None = None, dims: int | None = None, settings: LoadSettings | None = None
    ) -> None:
        self._model = _Model(model, task, dims, settings)

    def warm_up(self) -> None:
        """Load the model."""
        self._model.load()

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """Embed a query.

        Raises:
            InputError: an empty text, or a list.
        """
        if not isinstance(text, str):
            raise InputError(f"a {type(text).__name__}", expected="a text", do="use SlimvecDocumentEmbedder for lists")
        vectors, meta = self._model.embed([text], "query")
        return {"embedding": vectors[0], "meta": meta}

    def to_dict(self) -> dict[str, Any]:
        """Write it down for a pipeline's file."""
        return default_to_dict(self, **self._model.written)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SlimvecTextEmbedder":
        """Read it from a pipeline's file."""
        return default_from_dict(cls, data)


@component
class SlimvecDocumentEmbedder:
    """Embeds documents.

    Args:
        model: As for `Embedder.load`.
        task: A task the model knows, or an instruction; default the model's.
        dims: Width of the vectors, when fewer than the model's.
        settings: Settings of `Embedder.load`.
        meta_fields_to_embed: Fields of a document's meta that are embedded in front of its content.
        embedding_separator: Between them.
    """

    def __init__(
        self,
        model: str,
        task: str | None = None,
        dims: int | None = None,
        settings: LoadSettings | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
    ) -> None:
        self._model = _Model(model, task, dims, settings)
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.embedding_separator = embedding_separator

    def warm_up(self) -> None:
        """Load the model."""
        self._model.load()

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Give copies of documents with their vectors.

        Raises:
            InputError: a document without text.
        """
        vectors, meta = self._model.embed([self._text(one) for one in documents], "document")
        embedded = [replace(one, embedding=vector) for one, vector in zip(documents, vectors, strict=True)]
        return {"documents": embedded, "meta": meta}

    def _text(self, document: Document) -> str:
        fields = [str(document.meta[name]) for name in self.meta_fields_to_embed if document.meta.get(name)]
        return self.embedding_separator.join([*fields, document.content or ""])

    def to_dict(self) -> dict[str, Any]:
        """Write it down for a pipeline's file."""
        return default_to_dict(
            self,
            **self._model.written,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SlimvecDocumentEmbedder":
        """Read it from a pipeline's file."""
        return default_from_dict(cls, data)
