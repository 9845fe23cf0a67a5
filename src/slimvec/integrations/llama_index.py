"""LlamaIndex: `SlimvecEmbedding` is a `BaseEmbedding`, for `Settings.embed_model` and indexes."""

import asyncio
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr

from slimvec.errors import ModelError, StorageError
from slimvec.integrations.loading import LoadSettings, load

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder


class SlimvecEmbedding(BaseEmbedding):
    """A model as LlamaIndex wants it: queries and texts each behind their own prompt.

    Args:
        model: As for `Embedder.load`, or an embedder.
        task: A task the model knows, or an instruction; default the model's.
        dims: Width of the vectors, when fewer than the model's.
        embed_batch_size: Texts that LlamaIndex hands over at once; the engine makes its own batches of them.
        settings: Settings of `Embedder.load`.

    Raises:
        SlimvecError: as `Embedder.load` does.
    """

    identity: str
    """Hash of what decides the model's vectors. LlamaIndex keeps vectors by a transformation's fields."""
    task: str | None = None
    dims: int | None = None
    _embedder: Any = PrivateAttr()

    def __init__(
        self,
        model: "str | Path | Embedder",
        *,
        task: str | None = None,
        dims: int | None = None,
        embed_batch_size: int = 512,
        **settings: Unpack[LoadSettings],
    ) -> None:
        embedder = load(model, settings)
        super().__init__(
            model_name=str(model) if isinstance(model, str | Path) else "slimvec",
            embed_batch_size=embed_batch_size,
            identity=_identity(embedder),
            task=task,
            dims=dims,
        )
        self._embedder = embedder

    @classmethod
    def class_name(cls) -> str:
        """Give the name by which LlamaIndex writes it down."""
        return "SlimvecEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        found: list[float] = self._embedder.embed_queries([query], task=self.task, dims=self.dims)[0].tolist()
        return found

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        found: list[list[float]] = self._embedder.embed_documents(texts, task=self.task, dims=self.dims).tolist()
        return found

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


def _identity(embedder: "Embedder") -> str:
    """Give a model's hash; where it has none (in memory it may change), a name that nothing else has."""
    try:
        return embedder.identity.sha256
    except (ModelError, StorageError):
        return uuid.uuid4().hex
