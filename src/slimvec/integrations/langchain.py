"""LangChain: `SlimvecEmbeddings` is an `Embeddings`, for vector stores, retrievers and chains."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from langchain_core.embeddings import Embeddings

from slimvec.integrations.loading import LoadSettings, load

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder


class SlimvecEmbeddings(Embeddings):
    """A model as LangChain wants it: queries and documents each behind their own prompt.

    Args:
        model: As for `Embedder.load`, or an embedder.
        task: A task the model knows, or an instruction; default the model's.
        dims: Width of the vectors, when fewer than the model's.
        settings: Settings of `Embedder.load`.

    Raises:
        SlimvecError: as `Embedder.load` does.
    """

    def __init__(
        self,
        model: "str | Path | Embedder",
        *,
        task: str | None = None,
        dims: int | None = None,
        **settings: Unpack[LoadSettings],
    ) -> None:
        self.embedder, self.task, self.dims = load(model, settings), task, dims

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents."""
        found: list[list[float]] = self.embedder.embed_documents(texts, task=self.task, dims=self.dims).tolist()
        return found

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        found: list[float] = self.embedder.embed_queries([text], task=self.task, dims=self.dims)[0].tolist()
        return found
