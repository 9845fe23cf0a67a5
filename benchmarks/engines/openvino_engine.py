"""OpenVINO directly: the backbone converted with its pooling, in the machine's dtype or in int8 by NNCF."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines.base import Model, Vectors, built_once, versions
from benchmarks.engines.padded import Ids, Padded, calibration_batches, pooled_model


class OpenVinoDirect(Padded):
    """A graph from token ids to pooled vectors, run with as many threads as there are cores."""

    packages: tuple[str, ...] = ("openvino",)

    def __init__(self) -> None:
        super().__init__()
        self._compiled: Any = None

    def graph(self, model: Model) -> Path:
        """Folder of the converted graph."""
        return model.cached("openvino-direct")

    def prepare(self, model: Model) -> None:
        """Convert the float32 weights, once."""
        target = model.cached("openvino-direct")
        if target.is_dir():
            return
        import openvino

        with built_once(target) as building:
            openvino.save_model(_convert(model.folder), building / "model.xml", compress_to_fp16=False)

    def load(self, model: Model) -> Mapping[str, str]:
        """Compile for the CPU with the hint to compute in bfloat16."""
        import openvino

        core = openvino.Core()
        native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        hints = {
            "INFERENCE_PRECISION_HINT": "bf16" if native else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": model.num_threads,
        }
        self._compiled = core.compile_model(self.graph(model) / "model.xml", "CPU", hints)
        self.read_tokenizer(model)
        return {"dtype": self.dtype("bfloat16" if native else "float32"), **versions(*self.packages)}

    def dtype(self, hinted: str) -> str:
        """Name what it computes in, where the hint says `hinted`."""
        return hinted

    def run(self, ids: Ids, mask: Ids) -> Vectors:
        """Run the graph."""
        vectors: Vectors = self._compiled([ids, mask])[0]
        return vectors


class OpenVinoInt8(OpenVinoDirect):
    """The same with weights and activations of every product in int8, calibrated by NNCF on slimvec's own texts."""

    packages = ("openvino", "nncf")

    def graph(self, model: Model) -> Path:
        """Folder of the quantised graph."""
        return model.cached("openvino-int8")

    def prepare(self, model: Model) -> None:
        """Quantise the float32 graph, once."""
        super().prepare(model)
        if self.graph(model).is_dir():
            return
        import nncf
        import openvino

        batches = calibration_batches(model)
        graph = openvino.Core().read_model(model.cached("openvino-direct") / "model.xml")
        quantised = nncf.quantize(
            graph, nncf.Dataset(batches), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(batches)
        )
        with built_once(self.graph(model)) as building:
            openvino.save_model(quantised, building / "model.xml", compress_to_fp16=False)

    def dtype(self, hinted: str) -> str:
        """Int8, and what the hint says between the products."""
        return f"int8 and {hinted}"


def _convert(folder: str) -> Any:
    """Trace backbone and pooling into a graph with free batch and length."""
    import openvino
    import torch

    pooled, example = pooled_model(folder)
    with torch.inference_mode():
        return openvino.convert_model(pooled, example_input=example, input=[([-1, -1], np.int64), ([-1, -1], np.int64)])
