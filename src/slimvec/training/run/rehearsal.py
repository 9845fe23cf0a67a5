"""What can fail at the end of a training is tried before its first step.

The untrained model is written as the trained one will be, read back, loaded and checked; then the folder goes. A full
disk, a base that cannot be saved or a tokenizer that other readers take for another show before hours of work.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimvec.errors import TrainingError
from slimvec.files import temporary_folder
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import embedder_by_role, load_opened, save_model
from slimvec.model.golden import NUM_QUICK, TEXTS
from slimvec.model.opening import open_model
from slimvec.text.prompts import ROLES, Role

QuickVectors = Mapping[Role, NDArray[np.float32]]
"""Vectors of the first golden texts by role."""


def rehearse_saving(model: EmbeddingModel, output: Path, *, merged: bool) -> None:
    """Save a model beside where it will be saved, load it again, and remove it.

    Args:
        model: As it is before its training.
        output: Where the trained model's folder shall appear.
        merged: As for `save_model`.

    Raises:
        InputError: the model's prompts leave a text no tokens.
        ModelError: it cannot be saved, or not be loaded as it was saved.
        StorageError: there is no room for it.
    """
    for role in ROLES:
        model.tokenizer.tokenize(TEXTS, prompt=model.spec.prompts.render(role))
    with temporary_folder(output) as folder:
        save_model(model, folder / "model", merged=merged, training={}, golden=TEXTS[:NUM_QUICK])
        load_opened(open_model(folder / "model"), dtype=model.backbone.hf_model.dtype, device=model.device)


def quick_vectors(model: EmbeddingModel) -> QuickVectors:
    """Embed the first golden texts in both roles."""
    was_training = model.training
    model.train(False)
    embed = embedder_by_role(model)
    vectors = {role: embed(TEXTS[:NUM_QUICK], role) for role in ROLES}
    model.train(was_training)
    return vectors


def check_moved(before: QuickVectors, after: QuickVectors, *, steps: int) -> None:
    """See that a training has changed something.

    Args:
        before: Vectors of the model before its first step.
        after: Vectors of the trained model.
        steps: How many it has taken.

    Raises:
        TrainingError: every vector is as it was, to the last bit.
    """
    if steps and all(np.array_equal(before[role], after[role]) for role in ROLES):
        raise TrainingError(
            f"{steps} steps moved no vector: the trained model is its base",
            expected="vectors that differ",
            do="raise optim.lr, look at the losses in metrics.jsonl, or train in fp32",
        )
