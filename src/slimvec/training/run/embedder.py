"""The model in training as an embedder of texts, for evaluations between two steps."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from slimvec.errors import TrainingError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.text.embeddings import Embeddings
from slimvec.text.prompts import Prompts, Role
from slimvec.text.schedule import plan_batches
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.recipe import Batch


class TrainingEmbedder:
    """Embeds texts with the weights as they are, under the limits of the training.

    Args:
        model: In training.
        batch: Its longest texts, and how many tokens run at once.
    """

    def __init__(self, model: EmbeddingModel, batch: Batch) -> None:
        self._model, self._budget = model, batch.micro_batch_tokens
        limits: dict[Role, int] = {"query": batch.max_query_tokens, "document": batch.max_document_tokens}
        self._tokenizers = {
            role: Tokenizer(model.tokenizer.backend, max_tokens=min(limit, model.tokenizer.max_tokens))
            for role, limit in limits.items()
        }

    @property
    def prompts(self) -> Prompts:
        """The model's."""
        return self._model.spec.prompts

    @property
    def max_tokens(self) -> int:
        """Longest document, in tokens."""
        return self._tokenizers["document"].max_tokens

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role,
        task: str | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Embeddings:
        """Embed N texts in a role. Dropout is as the model has it at the time.

        Raises:
            InputError: a text without tokens, or a task that is not known.
            TrainingError: a vector that is NaN or infinite; its text is named.
        """
        tokenized = self._tokenizers[role].tokenize(texts, prompt=self._model.spec.prompts.render(role, task))
        vectors = np.empty((len(texts), self._model.dims), dtype=np.float32)
        for indices in plan_batches(tokenized.lengths, token_budget=self._budget):
            with torch.no_grad():
                found = F.normalize(self._model(tokenized.pack(indices)), dim=-1)
            vectors[indices] = found.float().cpu().numpy()
            if on_progress is not None:
                on_progress(len(indices))
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist()
        if bad:
            raise TrainingError(
                f"evaluating in training: text {bad[0]} ({texts[bad[0]][:40]!r}) has a vector with NaN or infinity",
                expected="numbers",
                do="the training broke down: lower its learning rate, or go on from an earlier checkpoint",
            )
        return Embeddings(
            vectors,
            np.asarray(tokenized.lengths, dtype=np.int32),
            np.asarray(tokenized.truncated, dtype=np.int8),
            sum(tokenized.lengths),
        )
