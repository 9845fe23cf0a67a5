"""`Embedder`: what users hold. Texts in, vectors out; load, save and compare."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from slimvec.errors import InputError
from slimvec.model.embedding_model import EmbeddingModel, check_dims
from slimvec.model.folder import load_model, save_model
from slimvec.model.golden import worst_cosine
from slimvec.model.spec import AttentionMode, ModelSpec, Pooling
from slimvec.text.prompts import Prompts, Role
from slimvec.text.schedule import plan_batches

Vectors = NDArray[np.float32]
_DTYPES = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16}
_TEXTS_PER_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of texts, with what happened to the texts on the way.

    Attributes:
        vectors: [N, D] float32, in the order of the texts.
        num_tokens: Tokens run through the model, prompts included.
        num_truncated: Texts that were longer than the model's limit and lost their end.
    """

    vectors: Vectors
    num_tokens: int
    num_truncated: int


class Embedder:
    """A text-embedding model ready for work.

    Args:
        model: Backbone, tokenizer and settings.
        token_budget: Most tokens in a batch. 4,096 fills two CPU cores; more only costs memory.
    """

    def __init__(self, model: EmbeddingModel, *, token_budget: int = 4096) -> None:
        self.model = model.eval()
        self.token_budget = token_budget

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        attention: AttentionMode | None = None,
        pooling: Pooling | None = None,
        prompts: Prompts | None = None,
        dims: int | None = None,
        max_tokens: int | None = None,
        progress: Callable[[str, float | None], None] | None = None,
    ) -> Self:
        """Load a model.

        Args:
            source: A folder (slimvec's, sentence-transformers' or a plain language model's), a `.gguf` file, a built-in
                name (`smollm2-135m`, `gemma3-270m`, `minilm-l6`) or a hub name.
            revision: Of a hub name.
            dtype: `auto`, `float32` or `bfloat16`. Auto keeps 16-bit weights in bfloat16 where the machine computes in
                it, and float32 otherwise.
            device: Default CUDA where there is one, else the CPU.
            attention: Attention mode, for a plain language model.
            pooling: Pooling, when another than the model's.
            prompts: Prompts, when others than the model's.
            dims: Width of the vectors, when fewer than the model's.
            max_tokens: Longest text in tokens, when another than the model's.
            progress: Told what is being fetched or converted, and the share done.

        Raises:
            InputError: an unknown source or dtype, dims larger than the model's.
            FetchError: something has to be fetched and cannot be.
            ModelError: the folder cannot be used, or does not attend as it says.
        """
        if dtype not in _DTYPES:
            raise InputError(f"dtype {dtype!r}", expected=f"one of {', '.join(_DTYPES)}")
        model = load_model(
            source,
            revision=revision,
            dtype=_DTYPES[dtype],
            attention=attention,
            pooling=pooling,
            prompts=prompts,
            dims=dims,
            max_tokens=max_tokens,
            progress=progress,
        )
        return cls(model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")))

    @property
    def spec(self) -> ModelSpec:
        """The model's settings."""
        return self.model.spec

    @property
    def dims(self) -> int:
        """Width of the vectors."""
        return self.model.dims

    @property
    def dtype(self) -> str:
        """Dtype of the weights in memory."""
        return str(next(self.model.parameters()).dtype).removeprefix("torch.")

    @property
    def engine(self) -> str:
        """What runs the model: the path and its attention kernel."""
        return f"transformers/{self.model.backbone.kernel}"

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        task: str | None = None,
        dims: int | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Embeddings:
        """Embed texts in a role.

        Args:
            texts: N texts. None may be empty.
            role: `query` or `document`; it decides the prompt.
            task: A task the model knows, or a whole instruction; default the model's default task.
            dims: Width of the vectors, when fewer than the model's.
            on_progress: Told how many more texts are done.

        Raises:
            InputError: an empty text, one without tokens, an unknown role or task, dims larger than the model's.
        """
        if isinstance(texts, str):
            raise InputError("one string", expected="a list of texts", do="write [text]")
        check_dims(dims, self.model.backbone.dims)
        prompt = self.spec.prompts.render(role, task)
        vectors = np.empty((len(texts), dims or self.dims), dtype=np.float32)
        num_tokens = num_truncated = 0
        for start in range(0, len(texts), _TEXTS_PER_BLOCK):
            block = texts[start : start + _TEXTS_PER_BLOCK]
            tokenized = self.model.tokenizer.tokenize(block, prompt=prompt, first=start)
            num_tokens += sum(tokenized.lengths)
            num_truncated += tokenized.num_truncated
            for chosen in plan_batches(tokenized.lengths, token_budget=self.token_budget):
                with torch.inference_mode():
                    output = self.model(tokenized.pack(chosen), dims=dims)
                vectors[np.asarray(chosen) + start] = output.cpu().numpy()
                if on_progress is not None:
                    on_progress(len(chosen))
        return Embeddings(vectors, num_tokens, num_truncated)

    def embed_queries(self, texts: Sequence[str], *, task: str | None = None, dims: int | None = None) -> Vectors:
        """Embed queries: [N, D]. As `embed` with role `query`."""
        return self.embed(texts, role="query", task=task, dims=dims).vectors

    def embed_documents(self, texts: Sequence[str], *, task: str | None = None, dims: int | None = None) -> Vectors:
        """Embed documents: [N, D]. As `embed` with role `document`."""
        return self.embed(texts, role="document", task=task, dims=dims).vectors

    def similarity(self, queries: Vectors, documents: Vectors) -> Vectors:
        """Cosine of every query [Q, D] with every document [N, D]: [Q, N]."""
        scales = [np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12) for vectors in (queries, documents)]
        result: Vectors = (queries / scales[0]) @ (documents / scales[1]).T
        return result

    def save(
        self, folder: str | Path, *, merged: bool = True, training: dict[str, Any] | None = None, force: bool = False
    ) -> None:
        """Write the model as a folder that slimvec, sentence-transformers, TEI and vLLM read.

        Args:
            folder: Must not exist, or `force`.
            merged: Whole weights; else the adapter alone, which needs its base to be at hand when it is loaded.
            training: Recipe and data of the training, for `slimvec.json`.
            force: Replace what is there.

        Raises:
            InputError: the folder exists.
            ModelError: an adapter alone is asked for and there is none.
            StorageError: it cannot be written.
        """
        save_model(self.model, Path(folder), merged=merged, training=training, force=force)

    def verify(self, folder: str | Path) -> float:
        """Embed a folder's golden texts and give the lowest cosine with the vectors stored there.

        Raises:
            ModelError: the folder has no golden vectors.
        """
        return worst_cosine(Path(folder), lambda texts, role: self.embed(texts, role=role).vectors)
