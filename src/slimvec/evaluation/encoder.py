"""An evaluated model as mteb wants one: mteb hands it texts, it hands back vectors, and keeps count of the texts."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta
from mteb.types import PromptType
from numpy.typing import NDArray

from slimvec.errors import InputError
from slimvec.evaluation.cached_model import CachedModel
from slimvec.evaluation.ledger import Ledger
from slimvec.evaluation.models import EvaluatedModel, Usage
from slimvec.evaluation.vector_store import VectorStore
from slimvec.text.embeddings import OnProgress
from slimvec.text.prompts import Role

_ROLES: Mapping[PromptType | None, Role | None] = {
    PromptType.query: "query",
    PromptType.document: "document",
    None: None,
}


class MtebEncoder(AbsEncoder):
    """An evaluated model behind mteb's encoder protocol; similarity is the cosine.

    Args:
        model: Embeds.
        store: Store of the model's vectors; None keeps none.
        instructions: What models that take instructions are given, by mteb's name of the task.
        on_progress: Called with how many more texts are done.

    Attributes:
        ledgers: What was embedded, by mteb's name of the task and subset.
    """

    def __init__(
        self,
        model: EvaluatedModel,
        *,
        store: VectorStore | None = None,
        instructions: Mapping[str, str | None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._cached = CachedModel(model, store)
        self.mteb_model_meta = ModelMeta.create_empty()
        self.ledgers: dict[tuple[str, str], Ledger] = {}
        self._instructions, self._on_progress = instructions or {}, on_progress

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: TaskMetadata,
        hf_split: str,  # noqa: ARG002 - mteb's protocol
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **_: Any,
    ) -> NDArray[np.float32]:
        """Embed the texts of mteb's batches: [N, D].

        Raises:
            InputError: a text that cannot be embedded, named by the task; or inputs that are no texts.
        """
        role = _ROLES[prompt_type]
        texts = list(_texts(inputs, task_metadata.name))
        usage = Usage(task_metadata.name, task_metadata.type, role, self._instructions.get(task_metadata.name))
        prompt = self._cached.prompt(usage)
        try:
            found = self._cached.embed(texts, role=prompt.role, task=prompt.task, on_progress=self._on_progress)
        except InputError as error:
            place = f"{task_metadata.name}, {hf_subset}, {role or 'text'}"
            raise InputError(f"{place}: {error.found}", expected=error.expected, do=error.do) from error
        self.ledgers.setdefault((task_metadata.name, hf_subset), Ledger()).add(role, prompt.text, found)
        return found.vectors

    def similarity(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Give the cosines of both sides as an array, which mteb copies without a warning."""
        return np.asarray(super().similarity(embeddings1, embeddings2))


def _texts(inputs: Any, task: str) -> Iterator[str]:
    """The texts of mteb's batches, in order."""
    for batch in inputs:
        if "text" not in batch:
            raise InputError(f"task {task} has no texts but {', '.join(batch)}", expected="a task on texts")
        yield from batch["text"]
