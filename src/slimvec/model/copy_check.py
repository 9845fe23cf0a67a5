"""The check of a model folder that this machine has not seen yet: do its weights give the vectors it was saved with?

Twenty texts are embedded once a copy and kind of engine; the cache then remembers the state of all its files, so that
a later load costs a look at their sizes and times. A changed adapter, base, setting or byte that matters is an error.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from slimvec.files import FileState, sha256_of_json
from slimvec.model.cache import is_noted, note
from slimvec.model.dtypes import slowness
from slimvec.model.golden import GOLDEN_NAME, check_golden
from slimvec.model.head import finish
from slimvec.model.manifest import package_versions
from slimvec.model.opening import OpenedModel
from slimvec.model.pooling import pool
from slimvec.model.protocols import Backbone
from slimvec.model.spec import ModelSpec
from slimvec.text.prompts import Role
from slimvec.text.tokenizer import Tokenizer


def check_copy(opened: OpenedModel, backbone: Backbone, *, engine: str, dtype: torch.dtype) -> None:
    """Hold a loaded model against its golden vectors, unless this machine has done so for the same files.

    Models that slimvec did not write have none. Stretched positions and calibrated attention change the vectors on
    purpose and are not checked; pooling, prompts and widths asked for at loading are left out of the check.

    Args:
        opened: The model.
        backbone: With its weights; an adapter is on it.
        engine: What runs it; another one is another check.
        dtype: Data type of the weights in memory.

    Raises:
        ModelError: the vectors are others.
    """
    saved = opened.saved
    read_otherwise = opened.rope is not None or opened.spec.recency or opened.spec.echo
    if saved is None or read_otherwise or not (opened.folder / GOLDEN_NAME).is_file():
        return
    name = str(dtype).removeprefix("torch.")
    fingerprint = _fingerprint(opened, engine, name)
    if is_noted("checked", fingerprint):
        return
    emulated = bool(slowness(dtype))
    check_golden(opened.folder, _Embedding(opened, backbone, saved), dtype=name, quick=emulated, roles=opened.roles)
    note("checked", fingerprint, str(opened.folder.resolve()))


class _Embedding:
    """Embeds a few texts with the settings that the folder was saved with."""

    def __init__(self, opened: OpenedModel, backbone: Backbone, saved: ModelSpec) -> None:
        self._backbone, self._spec, self._head = backbone, saved, opened.head()
        self._tokenizer = Tokenizer.from_folder(
            opened.tokenizer_folder, max_tokens=saved.max_tokens, lower_case=saved.lower_case
        )

    def __call__(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        batch = self._tokenizer.tokenize(texts, prompt=self._spec.prompts.render(role)).pack()
        with torch.inference_mode():
            states = self._backbone(batch)
            pooled = pool(states, batch.to(states.device), self._spec.pooling)
            vectors: NDArray[np.float32] = finish(pooled, self._head, self._spec).cpu().numpy()
        return vectors


def _fingerprint(opened: OpenedModel, engine: str, dtype: str) -> str:
    """Hash what decides the vectors: the state of all files, what runs them and in which dtype."""
    folders = dict.fromkeys(folder.resolve() for folder in (opened.folder, opened.weights))
    files = [
        (str(path), *FileState.of(path)) for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    return sha256_of_json([engine, dtype, package_versions(), opened.roles, files])
