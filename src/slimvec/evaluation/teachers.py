"""Teachers for distillation: any model the engine loads, with its vectors kept on disk.

The vectors lie where those of evaluations do, by the model's identity, its prompt and the text: runs with the same
teacher and data embed each text once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slimvec.evaluation.models import Prompt
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.vector_store import VectorStore, embed_cached
from slimvec.model.opening import open_model
from slimvec.text.prompts import Prompts, Role


class Teacher:
    """A model as a teacher.

    Args:
        model: Embeds.
        prompts: Its own.
    """

    def __init__(self, model: SlimvecModel, prompts: Prompts) -> None:
        self._model, self._prompts = model, prompts
        assert model.card.dims is not None
        assert model.card.identity is not None
        self.dims: int = model.card.dims
        self.identity: str = model.card.identity
        self._store = VectorStore(self.identity)

    def __call__(self, texts: Sequence[str], role: Role, task: str | None) -> NDArray[np.float32]:
        """Embed texts: [N, E]. A task's name that the teacher does not know leaves it to its default task."""
        known = task if task is not None and (" " in task.strip() or task in self._prompts.tasks) else None
        prompt = Prompt(self._prompts.render(role, known), role, known)
        return embed_cached(self._model, texts, prompt, store=self._store).vectors


def open_teacher(name: str) -> Teacher:
    """Load a teacher as `loss.distill.teacher` names it.

    Raises:
        SlimvecError: as for `Embedder.load`.
    """
    return Teacher(SlimvecModel.load(name), open_model(name).spec.prompts)
