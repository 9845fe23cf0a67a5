"""Opening a model: from a source to its folder, settings and tokenizer, before any weights are read.

Training and inference open models alike; then each loads the weights its own way.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch

from slimvec.errors import InputError, ModelError, ModelWarning
from slimvec.model.agreement import check_agreement
from slimvec.model.architectures import Config, read_attention_mode, read_config
from slimvec.model.depth import shallow_config
from slimvec.model.dtypes import compute_dtype
from slimvec.model.foreign_settings import Decision, read_foreign
from slimvec.model.gguf_settings import unknown_keys
from slimvec.model.head import Head, check_dims
from slimvec.model.head_files import layer_folder, load_head, route_home
from slimvec.model.json_files import read_object
from slimvec.model.manifest import MANIFEST_NAME, Manifest, Origin, read_manifest
from slimvec.model.modules import MODULES_NAME, has_routes, read_modules
from slimvec.model.rope_lengths import refuse_dynamic
from slimvec.model.rope_scaling import RopeScaling, scaled_config
from slimvec.model.settings_table import ADAPTER
from slimvec.model.sources import resolve_source
from slimvec.model.spec import AttentionMode, ModelSpec, Pooling, PoolingMode, Route
from slimvec.model.tokenizer_class import check_bytes, check_class
from slimvec.text.prompts import ROLES, Prompts, Role
from slimvec.text.tokenizer import EchoTokenizer, Tokenizer

_ROUTE = (*Route.model_fields,)
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
        roles: Roles of the texts that run through it.
        queries: What queries run through, where that is something else than all the above; they share the folder.
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
    roles: tuple[Role, ...] = ROLES
    queries: "OpenedModel | None" = None

    def with_prompts(self, prompts: Prompts) -> "OpenedModel":
        """Give the model with other prompts."""
        queries = None if self.queries is None else self.queries.with_prompts(prompts)
        return replace(self, spec=self.spec.replace(prompts=prompts), queries=queries)

    def check_one_route(self) -> None:
        """Refuse a model that queries and documents run through different modules of.

        Raises:
            ModelError: always then.
        """
        if self.queries is not None:
            raise ModelError(
                f"{self.folder} has different modules for queries and documents",
                expected="the same for both, to train or to merge it",
                do="take the modules of one route as a model of their own",
            )

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
        num_layers: How many of the backbone's layers run, as in `ModelSpec`. A model that slimvec saved has its own.
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
    num_layers: int | None
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
    unknown = settings.keys() - OpenSettings.__annotations__
    if unknown or not isinstance(source, str | Path):
        found = f"setting {min(unknown)!r} of a model" if unknown else f"a model of type {type(source).__name__}"
        known = ", ".join(OpenSettings.__annotations__)
        raise InputError(found, expected=f"one of {known}" if unknown else "its name or its path")
    folder = resolve_source(source, revision=settings.get("revision"), progress=settings.get("progress"))
    manifest = read_manifest(folder)
    if manifest is None:
        routed = (folder / MODULES_NAME).is_file() and has_routes(folder)
    else:
        routed = manifest.spec.queries is not None
    if routed:
        queries, documents = (_open(source, folder, manifest, settings, (role,)) for role in ROLES)
        opened = _joined(documents, queries)
    else:
        opened = _open(source, folder, manifest, settings, ROLES)
    for notice in opened.notices:
        warnings.warn(notice, ModelWarning, stacklevel=2)
    return opened


def _open(
    source: str | Path, folder: Path, manifest: Manifest | None, settings: OpenSettings, roles: tuple[Role, ...]
) -> OpenedModel:
    """Open what texts in one role run through, or in both."""
    attention = settings.get("attention")
    files = _foreign_files(folder, attention, roles[-1]) if manifest is None else _own_files(folder, manifest, roles)
    origin = Origin(source=str(source), revision=settings.get("revision"))
    if manifest is not None and manifest.adapter and manifest.base is not None:
        origin = manifest.base
    if attention is not None and attention != files.spec.attention:
        raise ModelError(
            f"{source} was trained with {files.spec.attention} attention",
            expected=f"no other, {attention} was asked for",
            do="train it in that mode first",
        )
    asked = ("pooling", "prompts", "dims", "max_tokens", "recency", "echo", "num_layers")
    given = {name: value for name, value in settings.items() if name in asked}
    changes = {name: value for name, value in given.items() if value is not None and value is not False}
    whole = read_config(files.weights)
    if manifest is not None and (asked_depth := settings.get("num_layers")) is not None:
        _refuse_other_depth(source, whole, files.spec, asked_depth)
        del changes["num_layers"]
    spec = files.spec.replace(**changes)
    if spec.echo:
        spec = spec.replace(pooling=spec.pooling.of_text_alone())
    decisions = [one for one in files.decisions if one.setting not in changes]
    decisions += [Decision(name, value, key="asked for") for name, value in changes.items()]
    _refuse_for_bidirectional(spec, source)
    config = shallow_config(scaled_config(whole, settings.get("rope")), spec.num_layers)
    refuse_dynamic(config, spec.max_tokens)
    check_class(files.tokenizer)
    if manifest is not None:
        check_agreement(folder, manifest, config, roles)
    for width in (spec.dims, *spec.trained_dims):
        check_dims(width, spec.full_width(int(config["hidden_size"])))
    return OpenedModel(
        folder=folder,
        weights=files.weights,
        config=config,
        spec=spec,
        origin=origin,
        is_adapter=manifest is not None and manifest.adapter,
        base=None if manifest is None else manifest.base,
        is_language_model=manifest is None or manifest.language_model == "own",
        tokenizer_folder=files.tokenizer,
        head_folders=files.head,
        training=None if manifest is None else manifest.training,
        rope=settings.get("rope"),
        saved=None if manifest is None else files.spec,
        decisions=tuple(decisions),
        notices=files.notices,
        roles=roles,
    )


def _refuse_other_depth(source: str | Path, config: Config, saved: ModelSpec, asked: int) -> None:
    """Refuse another number of layers than a model was saved with.

    Raises:
        ModelError: always then.
    """
    own = saved.num_layers or int(config["num_hidden_layers"])
    if asked != own:
        raise ModelError(
            f"{source} was saved with {own} layers",
            expected=f"no other number, {asked} was asked for",
            do="train it with so many from its base",
        )


def _refuse_for_bidirectional(spec: ModelSpec, source: str | Path) -> None:
    """Refuse what makes sense for causal models alone.

    Raises:
        InputError: always then.
    """
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


def _joined(documents: OpenedModel, queries: OpenedModel) -> OpenedModel:
    """Put the two routes of a model together.

    Raises:
        ModelError: their vectors cannot be compared.
    """
    dims = [one.spec.dims or one.spec.full_width(int(one.config["hidden_size"])) for one in (queries, documents)]
    if dims[0] != dims[1]:
        raise ModelError(
            f"{documents.folder} gives queries {dims[0]} dims and documents {dims[1]}",
            expected="one width, so that they can be compared",
            do="load its routes as two models, or give both a Dense of one width",
        )
    decisions = [replace(one, setting=f"queries.{one.setting}") for one in queries.decisions if one.setting in _ROUTE]
    return replace(
        documents,
        spec=documents.spec.with_queries(queries.spec),
        decisions=(*documents.decisions, *decisions),
        notices=tuple(dict.fromkeys(documents.notices + queries.notices)),
        queries=queries,
    )


@dataclass(frozen=True, eq=False)
class _Files:
    """Settings that the files of a folder say, and where the rest lies; as in `OpenedModel`."""

    spec: ModelSpec
    weights: Path
    tokenizer: Path
    head: tuple[Path, ...]
    decisions: Sequence[Decision]
    notices: tuple[str, ...] = ()


def _foreign_files(folder: Path, attention: AttentionMode | None, role: Role) -> _Files:
    """Read a folder that slimvec did not write. A plain language model takes the attention mode asked for.

    Raises:
        ModelError: something in it is not served.
    """
    modules = read_modules(folder, role) if (folder / MODULES_NAME).is_file() else None
    weights = folder if modules is None else modules.transformer
    if (folder / ADAPTER_NAME).is_file() or (weights / ADAPTER_NAME).is_file():
        raise ModelError(
            f"{folder} is an adapter without {MANIFEST_NAME}", expected="a merged model", do="merge it with PEFT first"
        )
    found = read_foreign(folder, modules, read_config(weights))
    if modules is None and attention is not None:
        found.decide("attention", attention, key="asked for")
    head = () if modules is None else modules.head_folders
    notices = (*found.notices, *unknown_keys(weights))
    return _Files(found.spec(), weights, weights, head, found.decisions, notices)


def _own_files(folder: Path, manifest: Manifest, roles: tuple[Role, ...]) -> _Files:
    """Read a folder that slimvec wrote.

    Raises:
        ModelError: an adapter without a base, or a config that contradicts the manifest.
    """
    spec = manifest.spec.for_role(roles[-1])
    weights = tokenizer = route_home(folder, roles)
    notices: list[str] = []
    if manifest.adapter:
        notices = ADAPTER.check(folder / ADAPTER_NAME, read_object(folder / ADAPTER_NAME, missing=True))
        if manifest.base is None:
            raise ModelError(f"{folder / MANIFEST_NAME} has an adapter and no base", expected="a base model's name")
        weights = resolve_source(manifest.base.source, revision=manifest.base.revision)
    elif (declared := read_attention_mode(read_config(weights))) != spec.attention:
        raise ModelError(
            f"{folder}: its config declares {declared} attention",
            expected=f"{spec.attention}, as {MANIFEST_NAME} says",
            do="restore the file that was changed",
        )
    layers = folder if roles == ROLES else folder / roles[0]
    head = tuple(layers / layer_folder(number, layer) for number, layer in enumerate(spec.head))
    prefix = "queries." if manifest.spec.queries is not None and roles == ("query",) else ""
    decisions = [Decision(name, value, str(folder / MANIFEST_NAME), f"spec.{prefix}{name}") for name, value in spec]
    decisions = [one for one in decisions if one.setting != "queries"]
    return _Files(spec, weights, tokenizer, head, decisions, tuple(notices))
