"""ONNX Runtime directly: the backbone exported with its pooling, products in int8 by its own dynamic quantisation."""

from collections.abc import Mapping
from typing import Any

from benchmarks.engines.base import Model, Vectors, built_once, versions
from benchmarks.engines.padded import Ids, Padded, pooled_model
from slimvec.engine.machine import this_machine

_NAMES = ("ids", "mask")


class OnnxInt8(Padded):
    """A graph from token ids to pooled vectors: weights in int8 by channel, activations rounded batch by batch."""

    def __init__(self) -> None:
        super().__init__()
        self._session: Any = None

    def prepare(self, model: Model) -> None:
        """Export the float32 weights and quantise them, once."""
        target = model.cached(_folder())
        if target.is_dir():
            return
        import torch
        from onnxruntime.quantization import QuantType, quantize_dynamic

        pooled, example = pooled_model(model.folder)
        free = {0: "batch", 1: "length"}
        with built_once(target) as building:
            whole = building / "whole.onnx"
            with torch.inference_mode():
                torch.onnx.export(
                    pooled,
                    example,
                    str(whole),
                    input_names=list(_NAMES),
                    output_names=["vectors"],
                    dynamic_axes={**dict.fromkeys(_NAMES, free), "vectors": {0: "batch"}},
                    dynamo=False,
                )
            quantize_dynamic(
                whole,
                building / "model.onnx",
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=not _has_vnni(),
            )
            for path in building.iterdir():
                if not path.name.startswith("model."):
                    path.unlink()

    def load(self, model: Model) -> Mapping[str, str]:
        """Open a session with as many threads as there are cores."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = model.num_threads, 1
        path = model.cached(_folder()) / "model.onnx"
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.read_tokenizer(model)
        return {"dtype": "int8 and float32", **versions("onnxruntime", "onnx")}

    def run(self, ids: Ids, mask: Ids) -> Vectors:
        """Run the graph."""
        vectors: Vectors = self._session.run(None, dict(zip(_NAMES, (ids, mask), strict=True)))[0]
        return vectors


def _has_vnni() -> bool:
    """Tell whether products of bytes are summed without saturating; without that weights get 7 bits, as is advised."""
    return bool({"avx-vnni", "avx512-vnni"} & {*this_machine().instruction_sets})


def _folder() -> str:
    """Name the graph by how its weights are rounded."""
    return "onnx-int8" if _has_vnni() else "onnx-int7"
