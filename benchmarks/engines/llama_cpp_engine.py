"""llama.cpp through llama-cpp-python: the GGUF file as it is, quantised weights and all, mean pooling."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.engines.base import Model, Run, UnusableError, unit, versions

_BATCH_TOKENS = 2048


class LlamaCpp:
    """`Llama(..., embedding=True)` with room for several texts in a batch."""

    def __init__(self) -> None:
        self._llama: Any = None
        self._instruction = ""

    def prepare(self, model: Model) -> None:
        """Check that there is a GGUF file."""
        if not model.gguf:
            raise UnusableError(f"there is no GGUF file of {model.source}")

    def load(self, model: Model) -> Mapping[str, str]:
        """Load the file."""
        self.prepare(model)
        from llama_cpp import LLAMA_POOLING_TYPE_MEAN, Llama

        self._instruction = model.instruction
        self._llama = Llama(
            model.gguf,
            embedding=True,
            pooling_type=LLAMA_POOLING_TYPE_MEAN,
            n_ctx=_BATCH_TOKENS,
            n_batch=_BATCH_TOKENS,
            n_ubatch=_BATCH_TOKENS,
            n_threads=model.num_threads,
            n_threads_batch=model.num_threads,
            verbose=False,
        )
        kind = self._llama.metadata.get("general.file_type", "unknown")
        return {"dtype": "float32", "weights": f"GGUF file type {kind}", **versions("llama-cpp-python")}

    def embed(self, texts: Sequence[str], instructed: bool) -> Run:
        """Embed; the library fills its batches itself."""
        prompt = self._instruction if instructed else ""
        vectors = self._llama.embed([prompt + text for text in texts], normalize=True)
        return Run(unit(np.asarray(vectors, dtype=np.float32)))
