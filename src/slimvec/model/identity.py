"""What tells one model from another: the one identity that caches, reports, merges, indexes and servers go by.

A `ModelIdentity` holds what decides a vector, and no names: the same files in another folder are the same model.

    weights  weight files, adapter, head, tokenizer, config with its stretched positions; not names, versions and
             golden vectors
    spec     attention, pooling, head, dims (always a number), scaling to length, similarity, lower case, longest text,
             recency, prompts; not trained_dims, which change no vector
    dtype    what it is computed in

Who compares models picks the part that matters to it:

- `sha256`: indexes, reports and servers. The dtype counts by its class: `int8` moves vectors (a cosine of .999), while
  float32 and bfloat16 agree to rounding and may ask for each other's vectors.
- `vectors_sha256`: caches of vectors. The exact dtype, the engine and slimvec's own code count; prompts do not, they
  are part of each text's key.
- `weights_sha256`: merges and generation, where the weights alone matter.
"""

import json
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Self

import slimvec
from slimvec.files import sha256_of, sha256_of_json
from slimvec.frozen import Frozen
from slimvec.model.architectures import Config
from slimvec.model.cache import Progress, cached_sha256
from slimvec.model.opening import ADAPTER_NAME, ADAPTER_WEIGHTS, OpenedModel
from slimvec.model.spec import ModelSpec
from slimvec.model.weight_files import WeightFiles
from slimvec.progress import tell_nobody

INCIDENTAL = ("dtype", "torch_dtype", "transformers_version", "_name_or_path", "architectures")
"""Keys of a config that say nothing about the shape or the meaning of the weights."""
_CODE = ("text", "model", "engine")
_PACKAGES = ("torch", "transformers", "tokenizers")
_FOLDER_SUFFIXES = (".safetensors", ".bin", ".json", ".model", ".txt")


class ModelIdentity(Frozen):
    """What decides the vectors of a model.

    Attributes:
        weights: SHA-256 over weights, adapter, head, tokenizer and config.
        spec: Its settings, with `dims` as a number and without `trained_dims`.
        dtype: What it is computed in: `float32`, `bfloat16` or `int8`.
    """

    weights: str
    spec: ModelSpec
    dtype: str

    @classmethod
    def of(cls, opened: OpenedModel, *, dtype: str) -> Self:
        """Identify a model; its files are hashed once for as long as they stay.

        Args:
            opened: The model.
            dtype: What it is computed in.

        Raises:
            ModelError: a file of weights is missing.
            StorageError: the cache cannot be written.
        """
        width = opened.spec.full_width(int(opened.config["hidden_size"]))
        spec = opened.spec.replace(dims=opened.spec.dims or width, trained_dims=())
        parts = [_route(opened), *([] if opened.queries is None else [_route(opened.queries)])]
        return cls(weights=parts[0] if len(parts) == 1 else sha256_of_json(parts), spec=spec, dtype=dtype)

    @property
    def precision(self) -> str:
        """Class of the dtype, within which vectors agree to rounding: `float` or `int8`."""
        return "int8" if self.dtype == "int8" else "float"

    @property
    def sha256(self) -> str:
        """One hash for the model as it is used: weights, settings, prompts and class of dtype."""
        return sha256_of_json([self.weights, _dump(self.spec), self.precision])

    def vectors_sha256(self, engine: str) -> str:
        """Give one hash for its stored vectors: weights, settings without prompts, dtype, and the code that runs it.

        Args:
            engine: What runs the backbone, as `Embedder.engine` names it.
        """
        settings = self.spec.model_dump_json(exclude={"prompts"})
        return sha256_of_json([_code_sha256(), self.weights, settings, self.dtype, engine])

    def differences(self, other: "ModelIdentity") -> list[str]:
        """Name what differs in another model, in the words of `slimvec.json`; nothing when `sha256` is the same."""
        found = [] if self.weights == other.weights else ["weights"]
        found += [
            f"{name} {_short(value)} and {_short(theirs)}"
            for (name, value), (_, theirs) in zip(self.spec, other.spec, strict=True)
            if value != theirs
        ]
        found += [] if self.precision == other.precision else [f"dtype {self.dtype} and {other.dtype}"]
        return found


def weights_sha256(folder: Path, *, progress: Progress | None = None) -> str:
    """Hash the weight files of a folder, in the order of their names.

    Args:
        folder: Folder of a transformers model.
        progress: Called with what is hashed.

    Raises:
        ModelError: there are none.
    """
    return sha256_of_json([cached_sha256(path, progress=progress or tell_nobody) for path in WeightFiles(folder).paths])


def same_backbone(one: OpenedModel, other: OpenedModel) -> bool:
    """Whether two models give the same states: one transformer, by its place or by what its files hold."""
    if one.spec.attention != other.spec.attention or essential_config(one.config) != essential_config(other.config):
        return False
    return one.weights == other.weights or weights_sha256(one.weights) == weights_sha256(other.weights)


def folder_sha256(*folders: Path) -> str:
    """Hash every weight and settings file of model folders that another library reads, whatever they are called.

    Args:
        folders: Searched with the folders in them.
    """
    parts = []
    for folder in dict.fromkeys(path.resolve() for path in folders):
        files = sorted(path for path in folder.rglob("*") if path.suffix in _FOLDER_SUFFIXES and path.is_file())
        parts += [f"{path.relative_to(folder)} {sha256_of(path)}" for path in files if path.name != "golden.json"]
    return sha256_of_json(parts)


def essential_config(config: Config) -> Config:
    """Leave out of a config what says nothing about the weights."""
    return {key: value for key, value in config.items() if key not in INCIDENTAL}


def _route(opened: OpenedModel) -> str:
    """Hash the files of a model, or of one route of it."""
    config = json.dumps(essential_config(opened.config), sort_keys=True, default=str)
    return sha256_of_json([config, *(cached_sha256(path, progress=tell_nobody) for path in _files(opened))])


def _files(opened: OpenedModel) -> Iterator[Path]:
    """Give the files that decide the vectors of a model."""
    yield from WeightFiles(opened.weights).paths
    if opened.is_adapter:
        yield from (opened.folder / ADAPTER_NAME, opened.folder / ADAPTER_WEIGHTS)
    for layer, folder in zip(opened.spec.head, opened.head_folders, strict=True):
        if layer.kind in ("dense", "layer_norm"):
            yield from WeightFiles(folder).paths
    yield opened.tokenizer_folder / "tokenizer.json"


@cache
def _code_sha256() -> str:
    """Hash the code that makes vectors, so that a changed kernel never meets the vectors of the old one."""
    package = Path(slimvec.__file__).parent
    files = sorted(path for name in _CODE for path in (package / name).rglob("*") if path.is_file())
    sources = [f"{path.relative_to(package)} {sha256_of(path)}" for path in files if "__pycache__" not in path.parts]
    return sha256_of_json([*sources, *(f"{name} {version(name)}" for name in _PACKAGES)])


def _dump(spec: ModelSpec) -> str:
    return json.dumps(spec.model_dump(mode="json"), sort_keys=True)


def _short(value: object) -> str:
    """Show a setting within a line."""
    shown = " ".join(f"{value}".split())
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
