"""llama.cpp through llama-cpp-python: the GGUF file as it is, quantised weights and all, mean pooling."""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.engines.base import Model, Run, UnusableError, built_once, unit, versions

_BATCH_TOKENS = 2048


class LlamaCpp:
    """`Llama(..., embedding=True)` with room for several texts in a batch."""

    def __init__(self) -> None:
        self._llama: Any = None
        self._instruction = ""

    def file(self, model: Model) -> str:
        """Path of the file that is run."""
        return model.gguf

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
            self.file(model),
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


class Q8(LlamaCpp):
    """The same weights in Q8_0, which llama.cpp makes of its file; it multiplies them in 8 bits."""

    def file(self, model: Model) -> str:
        """Path of the file in Q8_0."""
        return str(model.cached("q8_0") / "model.gguf")

    def prepare(self, model: Model) -> None:
        """Quantise the file anew, once."""
        super().prepare(model)
        target = model.cached("q8_0")
        if target.is_dir():
            return
        import llama_cpp

        settings = llama_cpp.llama_model_quantize_default_params()
        settings.ftype, settings.allow_requantize = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, True
        settings.nthread = model.num_threads
        with built_once(target) as building:
            made = str(building / "model.gguf").encode()
            if llama_cpp.llama_model_quantize(model.gguf.encode(), made, ctypes.byref(settings)):
                raise UnusableError(f"llama.cpp does not quantise {model.gguf}")
