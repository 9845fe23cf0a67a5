"""Opening a model: from a source to its folder, settings and tokenizer, before any weights are read.

Training and inference open models alike; then each loads the weights its own way.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch

from slimvec.errors import InputError, ModelError, ModelWarning
from slimvec.model.agreement import check_agreement
from slimvec.model.architectures import Config, read_attention_mode, read_config
from slimvec.model.dtypes import compute_dtype
from slimvec.model.foreign_settings import Decision, ForeignSettings, read_foreign
from slimvec.model.head import Head, check_dims
from slimvec.model.head_files import layer_folder, load_head
from slimvec.model.manifest import MANIFEST_NAME, Manifest, Origin, read_manifest
from slimvec.model.modules import MODULES_NAME, read_modules
from slimvec.model.rope_lengths import refuse_dynamic
from slimvec.model.rope_scaling import RopeScaling, scaled_config
from slimvec.model.sources import resolve_source
from slimvec.model.spec import AttentionMode, ModelSpec, Pooling, PoolingMode
from slimvec.model.tokenizer_class import check_bytes, check_class
from slimvec.text.echo import EchoTokenizer
from slimvec.text.prompts import Prompts
from slimvec.text.tokenizer import Tokenizer

ADAPTER_NAME, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model whose weights have not been read.

    Attributes:
        folder: Its own folder.
        weights: The folder with the weights: its own, or for an adapter its base's.
        config: `config.json` of the weights.
        spec: Its settings.
        origin: Where the weights started.
        is_adapter: Whether `folder` holds an adapter on `weights`.
        base: What its files say that it was trained from; None for what slimvec did not write.
        is_language_model: Whether its own weights, adapter included, predict the next token; else those of `base` do.
        tokenizer_folder: Where its tokenizer lies.
        head_folders: Where the layers of its head lie.
        training: What its manifest says about its training.
        rope: How its positions are stretched beyond what its files say, which `config` says already.
        saved: Settings as its files have them; None for a folder that slimvec did not write.
        decisions: What decides each setting.
        notices: What may make its vectors differ from what its maker meant; each has been a `ModelWarning`.
    """

    folder: Path
    weights: Path
    config: Config
    spec: ModelSpec
    origin: Origin
    is_adapter: bool
    base: Origin | None
    is_language_model: bool
    tokenizer_folder: Path
    head_folders: tuple[Path, ...]
    training: dict[str, Any] | None
    rope: RopeScaling | None = None
    saved: ModelSpec | None = None
    decisions: tuple[Decision, ...] = ()
    notices: tuple[str, ...] = ()

    def tokenizer(self) -> Tokenizer:
        """Read its tokenizer.

        Raises:
            ModelError: it has none, one with more ids than the model, or one that transformers reads in another way.
        """
        spec = self.spec
        tokenizer = (EchoTokenizer if spec.echo else Tokenizer).from_folder(
            self.tokenizer_folder,
            max_tokens=spec.max_tokens,
            vocabulary=self.vocabulary,
            lower_case=spec.lower_case,
        )
        check_bytes(self.tokenizer_folder, tokenizer)
        return tokenizer

    def head(self) -> Head:
        """Read its head: layers behind the pooling, with their weights in float32 and frozen.

        Raises:
            ModelError: they do not fit together, or weights are missing.
        """
        return load_head(self.head_folders, self.spec, int(self.config["hidden_size"]))

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return int(self.config["vocab_size"])

    def default_dtype(self, device: torch.device | None = None) -> torch.dtype:
        """Choose the dtype of the weights in memory.

        16-bit weights stay bfloat16 where the device computes in it and become float32 where it would have to emulate
        it; float32 weights stay float32, so that nothing is rounded unasked.

        Args:
            device: Where they will be; default CUDA where there is one, else the CPU.
        """
        stored = self.config.get("dtype", self.config.get("torch_dtype"))
        return compute_dtype(device) if stored in ("bfloat16", "float16") else torch.float32


class OpenSettings(TypedDict, total=False):
    """What may be asked of a model when it is opened. Absent or None: as the model has it.

    Attributes:
        revision: Revision of a hub name.
        attention: Attention mode. Only a plain language model may be given another than its own.
        pooling: Pooling, or the name of its mode.
        prompts: Prompts by role and task.
        dims: Width of the vectors.
        max_tokens: Longest text in tokens.
        rope: Stretch rotary positions for longer texts; kept in the files when the model is saved.
        recency: Attention calibration of a causal model, as in `ModelSpec`; runs through transformers.
        echo: Read every text twice and pool its second copy, as in `ModelSpec`; causal models only.
        progress: Called with what is fetched or converted, and the share done.
    """

    revision: str | None
    attention: AttentionMode | None
    pooling: Pooling | PoolingMode | None
    prompts: Prompts | None
    dims: int | None
    max_tokens: int | None
    rope: RopeScaling | None
    recency: float | None
    echo: bool
    progress: Callable[[str, float | None], None] | None


def open_model(source: str | Path, **settings: Unpack[OpenSettings]) -> OpenedModel:
    """Open an embedding model, or a plain language model as one.

    Args:
        source: A folder, a `.gguf` file, a built-in name or a hub name.
        settings: What shall differ from the model's own.

    Raises:
        InputError: an unknown source, dims larger than the model's, or recency or echo for a bidirectional one.
        FetchError: something has to be fetched and cannot be.
        ModelError: the folder cannot be used, its files contradict each other, or its positions cannot be stretched.
    """
    revision, attention = settings.get("revision"), settings.get("attention")
    folder = resolve_source(source, revision=revision, progress=settings.get("progress"))
    origin = Origin(source=str(source), revision=revision)
    manifest = read_manifest(folder)
    notices: tuple[str, ...] = ()
    if manifest is None:
        found, weights, head_folders = _foreign_settings(folder, attention)
        spec, decisions, notices, tokenizer_folder = found.spec(), found.decisions, tuple(found.notices), weights
    else:
        weights, spec, tokenizer_folder = _weights_folder(folder, manifest), manifest.spec, folder
        decisions = [Decision(name, value, str(folder / MANIFEST_NAME), f"spec.{name}") for name, value in spec]
        head_folders = tuple(folder / layer_folder(number, layer) for number, layer in enumerate(spec.head))
        origin = manifest.base if manifest.adapter and manifest.base is not None else origin
    if attention is not None and attention != spec.attention:
        raise ModelError(
            f"{source} was trained with {spec.attention} attention",
            expected=f"no other, {attention} was asked for",
            do="train it in that mode first",
        )
    for notice in notices:
        warnings.warn(notice, ModelWarning, stacklevel=2)
    asked = ("pooling", "prompts", "dims", "max_tokens", "recency", "echo")
    changes = {name: value for name, value in settings.items() if name in asked and value not in (None, False)}
    spec = spec.replace(**changes)
    if spec.echo:
        spec = spec.replace(pooling=spec.pooling.of_text_alone())
    decisions = [one for one in decisions if one.setting not in changes]
    decisions += [Decision(name, value, key="asked for") for name, value in changes.items()]
    if spec.recency and spec.attention != "causal":
        raise InputError(
            f"recency {spec.recency:g} for {source}, which attends in both directions",
            expected="a causal model: only there do early tokens reach more states than late ones",
        )
    if spec.echo and spec.attention != "causal":
        raise InputError(
            f"echo for {source}, which attends in both directions",
            expected="a causal model: only there does a second copy see more than the first",
        )
    config = scaled_config(read_config(weights), settings.get("rope"))
    refuse_dynamic(config, spec.max_tokens)
    check_class(tokenizer_folder)
    if manifest is not None:
        check_agreement(folder, manifest, config)
    for width in (spec.dims, *spec.trained_dims):
        check_dims(width, spec.full_width(int(config["hidden_size"])))
    return OpenedModel(
        folder=folder,
        weights=weights,
        config=config,
        spec=spec,
        origin=origin,
        is_adapter=manifest is not None and manifest.adapter,
        base=None if manifest is None else manifest.base,
        is_language_model=manifest is None or manifest.language_model == "own",
        tokenizer_folder=tokenizer_folder,
        head_folders=head_folders,
        training=None if manifest is None else manifest.training,
        rope=settings.get("rope"),
        saved=None if manifest is None else manifest.spec,
        decisions=tuple(decisions),
        notices=notices,
    )


def _foreign_settings(folder: Path, attention: AttentionMode | None) -> tuple[ForeignSettings, Path, tuple[Path, ...]]:
    """Settings of a folder that slimvec did not write, its transformers files, and the folders of its head.

    A plain language model takes the attention mode asked for.
    """
    if (folder / ADAPTER_NAME).is_file():
        raise ModelError(
            f"{folder} is an adapter without {MANIFEST_NAME}", expected="a merged model", do="merge it with PEFT first"
        )
    if (folder / MODULES_NAME).is_file():
        modules = read_modules(folder)
        found = read_foreign(folder, modules, read_config(modules.transformer))
        return found, modules.transformer, modules.head_folders
    found = read_foreign(folder, None, read_config(folder))
    if attention is not None:
        found.decide("attention", attention, key="asked for")
    return found, folder, ()


def _weights_folder(folder: Path, manifest: Manifest) -> Path:
    """Where the weights of a folder with a manifest are.

    Raises:
        ModelError: an adapter without a base, or a config that contradicts the manifest.
    """
    if manifest.adapter:
        if manifest.base is None:
            raise ModelError(f"{folder / MANIFEST_NAME} has an adapter and no base", expected="a base model's name")
        return resolve_source(manifest.base.source, revision=manifest.base.revision)
    declared = read_attention_mode(read_config(folder))
    if declared != manifest.spec.attention:
        raise ModelError(
            f"{folder}: its config declares {declared} attention",
            expected=f"{manifest.spec.attention}, as {MANIFEST_NAME} says",
            do="restore the file that was changed",
        )
    return folder
