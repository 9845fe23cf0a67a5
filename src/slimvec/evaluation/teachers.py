"""Teachers for distillation: any model the engine loads, with its vectors kept on disk.

The vectors are kept as float16 in the cache's folder `teachers`, by the model's identity, its prompt and the text: runs
with the same teacher and data embed each text once. The identity leaves out which engine computed them, and with which
version of slimvec: they agree to rounding, and a run that is resumed after an update goes on.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray

from slimvec.engine.likelihood import LikelihoodPrompt
from slimvec.evaluation.cached_model import CachedModel
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.vector_store import VectorStore
from slimvec.model.cache import cache_root
from slimvec.model.dtypes import compute_dtype
from slimvec.text.embeddings import Embeddings
from slimvec.text.prompts import Role


class Teacher:
    """A model as a teacher.

    Args:
        model: Embeds.
        identity: Identity of its vectors.
    """

    def __init__(self, model: SlimvecModel, identity: str) -> None:
        self._model, self._prompts = model, model.embedder.spec.prompts
        self.dims: int = model.embedder.dims
        self.identity = identity
        self._cached = CachedModel(model, VectorStore(identity, cache_root() / "teachers", half=True))
        judge = f"{identity} {LikelihoodPrompt()!r}"
        self._likelihoods = VectorStore(sha256(judge.encode()).hexdigest(), cache_root() / "teacher-likelihoods")

    def __call__(self, texts: Sequence[str], role: Role, task: str | None) -> NDArray[np.float32]:
        """Embed texts: [N, E]. A task's name that the teacher does not know leaves it to its default task."""
        known = task if task is not None and (" " in task.strip() or task in self._prompts.tasks) else None
        return self._cached.embed(texts, role=role, task=known).vectors

    def likelihoods(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Give log p(query | document) a token of pairs (query, document): [P] float32, each computed once.

        Raises:
            ModelError: the model has no language model.
        """
        documents: dict[str, dict[str, float]] = defaultdict(dict)
        for query, document in pairs:
            documents[query][document] = math.nan
        for query, known in documents.items():
            stored = self._likelihoods.read(query, list(known))
            known.update({document: float(row[0][0]) for document, row in stored.items()})
        missing = [
            (query, document)
            for query, known in documents.items()
            for document, value in known.items()
            if math.isnan(value)
        ]
        for (query, document), value in zip(missing, self._compute(missing), strict=True):
            documents[query][document] = value
        for query in dict(missing):
            new = [document for asked, document in missing if asked == query]
            values = np.array([[documents[query][document]] for document in new], dtype=np.float32)
            self._likelihoods.write(query, new, Embeddings.uncounted(values))
        return np.array([documents[query][document] for query, document in pairs], dtype=np.float32)

    def _compute(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Run the language model."""
        if not pairs:
            return []
        queries, documents = (list(dict.fromkeys(texts)) for texts in zip(*pairs, strict=True))
        asked = {text: number for number, text in enumerate(queries)}
        given = {text: number for number, text in enumerate(documents)}
        found = self._model.embedder.language_model.log_likelihood(
            queries, documents, pairs=[(asked[query], given[document]) for query, document in pairs]
        )
        return [float(value) for value in found.values]


def open_teacher(name: str) -> Teacher:
    """Load a teacher as `loss.distill.teacher` names it.

    It computes in bfloat16 where the machine does, whatever its weights are held in: nearly twice as fast, at cosines
    of .9999 with its vectors in float32, which are kept in 16 bits anyway.

    Raises:
        SlimvecError: as for `Embedder.load`.
    """
    model = SlimvecModel.load(name, dtype="bfloat16" if compute_dtype() == torch.bfloat16 else "auto")
    return Teacher(model, model.embedder.identity.sha256)
