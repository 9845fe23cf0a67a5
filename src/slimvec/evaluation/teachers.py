"""Teachers for distillation: any model the engine loads, with its vectors kept on disk.

The vectors are kept as float16 in the cache's folder `teachers`, by the model's identity, its prompt and the text: runs
with the same teacher and data embed each text once. The identity leaves out which engine computed them, and with which
version of slimvec: they agree to rounding, and a run that is resumed after an update goes on.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slimvec.evaluation.models import Prompt
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.vector_store import VectorStore, embed_cached
from slimvec.model.cache import cache_root
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
        self._store = VectorStore(self.identity, cache_root() / "teachers", half=True)

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
    model = SlimvecModel.load(name)
    return Teacher(model, model.embedder.identity.sha256)
