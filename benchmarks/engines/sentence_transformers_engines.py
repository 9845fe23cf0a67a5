"""sentence-transformers: its default, bfloat16, and the ONNX and OpenVINO backends of its own extras."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.engines.base import Model, Run, versions

Backend = Literal["torch", "onnx", "openvino"]


class SentenceTransformers:
    """`SentenceTransformer(folder).encode(texts)` with nothing set: float32, batches of 32 sorted by length."""

    backend: Backend = "torch"
    packages: tuple[str, ...] = ("sentence-transformers", "transformers", "torch")

    def __init__(self) -> None:
        self._model: Any = None
        self._instruction = ""

    def model_options(self) -> dict[str, Any]:
        """What is passed on to the loader of the backbone."""
        return {}

    def source(self, model: Model) -> Path:
        """The folder that is loaded."""
        return Path(model.folder)

    def prepare(self, model: Model) -> None:
        """Nothing to convert."""

    def load(self, model: Model) -> Mapping[str, str]:
        """Load the folder."""
        from sentence_transformers import SentenceTransformer

        self._instruction = model.instruction
        self._model = SentenceTransformer(
            str(self.source(model)), backend=self.backend, device="cpu", model_kwargs=self.model_options()
        )
        self._model.max_seq_length = model.max_tokens
        return {"dtype": str(self._dtype()), **versions(*self.packages)}

    def _dtype(self) -> str:
        return str(next(self._model.parameters()).dtype).removeprefix("torch.")

    def embed(self, texts: Sequence[str], instructed: bool) -> Run:
        """Encode; one text at a time goes the same way."""
        prompt = self._instruction if instructed else None
        vectors = self._model.encode(
            list(texts), prompt=prompt, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return Run(np.asarray(vectors, dtype=np.float32))


class Bfloat16(SentenceTransformers):
    """The same with the weights in bfloat16."""

    def model_options(self) -> dict[str, Any]:
        """Ask for bfloat16."""
        return {"dtype": "bfloat16"}


class _Exported(SentenceTransformers):
    """A backend that runs an exported graph; exported once by sentence-transformers itself."""

    def source(self, model: Model) -> Path:
        """The folder with the exported graph."""
        return model.cached(f"st-{self.backend}")

    def prepare(self, model: Model) -> None:
        """Export, unless that was done."""
        target = self.source(model)
        if target.is_dir():
            return
        from sentence_transformers import SentenceTransformer

        exported = SentenceTransformer(
            model.folder, backend=self.backend, device="cpu", model_kwargs={"export": True, **self.model_options()}
        )
        unfinished = target.with_name(f"{target.name}.unfinished")
        exported.save_pretrained(str(unfinished))
        unfinished.rename(target)


class Onnx(_Exported):
    """The ONNX backend, float32: ONNX Runtime has no bfloat16 products on CPUs."""

    backend: Backend = "onnx"
    packages = ("sentence-transformers", "optimum-onnx", "onnxruntime", "transformers")

    def _dtype(self) -> str:
        return "float32"


class OpenVino(_Exported):
    """The OpenVINO backend; OpenVINO itself chooses bfloat16 where the CPU has it."""

    backend: Backend = "openvino"
    packages = ("sentence-transformers", "optimum-intel", "openvino", "transformers")

    def _dtype(self) -> str:
        return _precision(self._model)


def _precision(model: Any) -> str:
    """The precision OpenVINO computes in."""
    backbone = model[0].auto_model
    compiled = getattr(backbone, "compiled_model", None) or backbone.request.get_compiled_model()
    return {"bf16": "bfloat16", "f32": "float32", "f16": "float16"}.get(
        compiled.get_property("INFERENCE_PRECISION_HINT").to_string(), "unknown"
    )
