"""A folder's vectors beside those that sentence-transformers gives for it."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from slimvec.engine.embedder import Embedder
from slimvec.text.prompts import ROLES

TEXTS = ("How do I read a file line by line?", "Mars is the fourth planet from the Sun.", "Übergrößenträger, 3.14 🙂")


def cosine_beside(embedder: Embedder, folder: Path) -> tuple[float | None, str]:
    """Embed three texts in both roles with both.

    Args:
        embedder: The folder, loaded.
        folder: For sentence-transformers.

    Returns:
        The lowest cosine between the two, and an empty reason; or None and why there is none.
    """
    if find_spec("sentence_transformers") is None:
        return None, "sentence-transformers is not installed"
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
        )
        theirs = {"query": model.encode_query(list(TEXTS)), "document": model.encode_document(list(TEXTS))}
    except Exception as error:  # whatever the folder makes it raise is its answer
        return None, f"sentence-transformers does not load it: {(str(error).splitlines() or [type(error).__name__])[0]}"
    lowest = 1.0
    for role in ROLES:
        ours = embedder.embed(TEXTS, role=role).vectors
        if ours.shape != theirs[role].shape:
            return None, f"sentence-transformers gives {theirs[role].shape[1]} dims, slimvec {ours.shape[1]}"
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs[role], axis=1)
        lowest = min(lowest, float(((ours * theirs[role]).sum(axis=1) / lengths).min()))
    return lowest, ""
