"""The engines by name: what they are called in tables, where their code is, and the environment they need."""

from collections.abc import Mapping
from dataclasses import dataclass

BASELINE = "slimvec"
"""The engine every other is compared with."""
INT8 = "slimvec-int8"
"""The engine whose ratios are given as well."""
REFERENCE = "slimvec-reference"
"""The engine vectors are compared with; never timed."""


@dataclass(frozen=True)
class EngineEntry:
    """An engine.

    Attributes:
        label: Its name in tables.
        factory: `MODULE:CLASS`.
        environment: A key of `environments.PEER_ENVIRONMENTS`, or empty for the environment of the benchmark itself.
        workloads: Names of the only workloads it makes sense in; empty means all.
    """

    label: str
    factory: str
    environment: str = ""
    workloads: tuple[str, ...] = ()


_OURS = "benchmarks.engines.slimvec_engines"
_SENTENCE_TRANSFORMERS = "benchmarks.engines.sentence_transformers_engines"

ENGINES: Mapping[str, EngineEntry] = {
    BASELINE: EngineEntry("slimvec", f"{_OURS}:Slimvec"),
    INT8: EngineEntry("slimvec, int8", f"{_OURS}:Int8"),
    "slimvec-no-reuse": EngineEntry(
        "slimvec, instruction run with every query", f"{_OURS}:WithoutReuse", workloads=("queries",)
    ),
    "slimvec-transformers": EngineEntry("slimvec through transformers", f"{_OURS}:Transformers"),
    "st": EngineEntry("sentence-transformers, default", f"{_SENTENCE_TRANSFORMERS}:SentenceTransformers"),
    "st-bf16": EngineEntry("sentence-transformers, bfloat16", f"{_SENTENCE_TRANSFORMERS}:Bfloat16"),
    "st-onnx": EngineEntry("sentence-transformers, ONNX", f"{_SENTENCE_TRANSFORMERS}:Onnx", environment="st-onnx"),
    "st-openvino": EngineEntry(
        "sentence-transformers, OpenVINO", f"{_SENTENCE_TRANSFORMERS}:OpenVino", environment="st-openvino"
    ),
    "openvino": EngineEntry("OpenVINO directly, sorted", "benchmarks.engines.openvino_engine:OpenVinoDirect"),
    "openvino-int8": EngineEntry("OpenVINO directly, int8 by NNCF", "benchmarks.engines.openvino_engine:OpenVinoInt8"),
    "onnx-int8": EngineEntry("ONNX Runtime directly, int8", "benchmarks.engines.onnx_engine:OnnxInt8"),
    "llama-cpp": EngineEntry("llama.cpp, GGUF", "benchmarks.engines.llama_cpp_engine:LlamaCpp"),
    "llama-cpp-q8": EngineEntry("llama.cpp, Q8_0", "benchmarks.engines.llama_cpp_engine:Q8"),
    "hf-pipeline": EngineEntry("transformers pipeline", "benchmarks.engines.pipeline:Pipeline"),
}
REFERENCE_ENTRY = EngineEntry("slimvec through transformers, float32", f"{_OURS}:Reference")
