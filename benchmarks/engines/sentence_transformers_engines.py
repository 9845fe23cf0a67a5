"""sentence-transformers: its default, bfloat16, and the ONNX and OpenVINO backends of its own extras."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.engines.base import Model, Run, built_once, versions

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

        with built_once(target) as building, tempfile.TemporaryDirectory() as name:
            folder = self.exported_from(Path(model.folder), Path(name))
            exported = SentenceTransformer(
                str(folder), backend=self.backend, device="cpu", model_kwargs={"export": True}
            )
            exported.save_pretrained(str(building))
            self.finish(building)

    def exported_from(self, folder: Path, work: Path) -> Path:  # noqa: ARG002
        """The folder to export: the model's own, or a copy in an empty folder."""
        return folder

    def finish(self, folder: Path) -> None:
        """Nothing more to do to what was exported."""


class Onnx(_Exported):
    """The ONNX backend, float32: ONNX Runtime has no bfloat16 products on CPUs."""

    backend: Backend = "onnx"
    packages = ("sentence-transformers", "optimum-onnx", "onnxruntime", "transformers")

    def exported_from(self, folder: Path, work: Path) -> Path:
        """A copy that transformers 4 reads: the extra needs it, and it knows neither tokenizer class nor rotary keys.

        Unknown keys are ignored there without a word, so the vectors would be others.
        """
        copy = work / "transformers-4"
        shutil.copytree(folder, copy)
        _change(copy / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
        config = json.loads((copy / "config.json").read_bytes())
        rope = config.get("rope_parameters", {})
        old = {"torch_dtype": "float32"}
        if "full_attention" in rope:
            old |= {
                "rope_theta": rope["full_attention"]["rope_theta"],
                "rope_local_base_freq": rope["sliding_attention"]["rope_theta"],
            }
        elif "rope_theta" in rope:
            old["rope_theta"] = rope["rope_theta"]
        _change(copy / "config.json", old)
        return copy

    def finish(self, folder: Path) -> None:
        """Have the graph count positions itself: the backend asks for `position_ids` of a decoder and has none."""
        import onnx
        from onnx import helper

        path = folder / "onnx" / "model.onnx"
        model = onnx.load(path)
        unset = [value for value in model.graph.input if value.name == "position_ids"]
        if not unset:
            return
        model.graph.input.remove(unset[0])
        for name, value in (("zero_", 0), ("one_", 1)):
            model.graph.initializer.append(helper.make_tensor(name, onnx.TensorProto.INT64, [], [value]))
        counted = [
            helper.make_node("Shape", ["input_ids"], ["shape_"]),
            helper.make_node("Gather", ["shape_", "one_"], ["length_"]),
            helper.make_node("Range", ["zero_", "length_", "one_"], ["places_"]),
            helper.make_node("Expand", ["places_", "shape_"], ["position_ids"]),
        ]
        for node in reversed(counted):
            model.graph.node.insert(0, node)
        for old in path.parent.iterdir():
            old.unlink()
        onnx.save(model, path)

    def _dtype(self) -> str:
        return "float32"


class OpenVino(_Exported):
    """The OpenVINO backend; OpenVINO itself chooses bfloat16 where the CPU has it."""

    backend: Backend = "openvino"
    packages = ("sentence-transformers", "optimum-intel", "openvino", "transformers")

    def finish(self, folder: Path) -> None:
        """Have the graph count positions itself.

        optimum-intel 2.2 exports a decoder with `position_ids` as an input and never feeds it: every vector is then
        NaN. Texts are padded on the right, so positions count from 0.
        """
        graph_path = folder / "openvino" / "openvino_model.xml"
        import openvino
        from openvino import opset13 as ops

        graph = openvino.Core().read_model(graph_path)
        unset = [node for node in graph.get_parameters() if "position_ids" in node.output(0).get_names()]
        if not unset:
            return
        shape = ops.shape_of(graph.input("input_ids"))
        length = ops.gather(shape, ops.constant(1), ops.constant(0))
        counted = ops.broadcast(ops.range(ops.constant(0), length, ops.constant(1), "i64"), shape)
        for reader in unset[0].output(0).get_target_inputs():
            reader.replace_source_output(counted.output(0))
        graph.remove_parameter(unset[0])
        with tempfile.TemporaryDirectory() as name:
            openvino.save_model(graph, Path(name) / graph_path.name, compress_to_fp16=False)
            del graph  # it reads from the files that are replaced now
            for file in Path(name).iterdir():
                shutil.move(file, graph_path.parent / file.name)

    def _dtype(self) -> str:
        request = self._model[0].auto_model.request  # a compiled model, or a request made from one
        compiled = request if hasattr(request, "get_property") else request.get_compiled_model()
        precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        return {"bf16": "bfloat16", "f32": "float32", "f16": "float16"}.get(precision, precision)


def _change(path: Path, values: dict[str, Any]) -> None:
    """Set keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **values}, indent=2), encoding="utf-8")
