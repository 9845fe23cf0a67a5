"""LoRA on every linear layer of a backbone, and on its token embeddings, through PEFT (arXiv 2106.09685).

    embeddings    E' = E + s A^T B^T,  A [r, V] a few numbers for each token, B [H, r] what they add to its embedding

A is drawn, or says what each token means to a teacher (`slimvec.training.step.token_vectors`), and B starts at zero.
The factor s is that of `embedding_scale`, so that one learning rate serves these and the linear layers.

Letters: V tokens of the vocabulary, H width, r rank.
"""

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora import Embedding as LoraEmbedding
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from slimvec.errors import ModelError
from slimvec.model.backbone import TransformersBackbone, TransformersCache
from slimvec.model.opening import ADAPTER_NAME, ADAPTER_WEIGHTS
from slimvec.model.spec import LoraSettings
from slimvec.model.weight_files import refuse_not_finite
from slimvec.text.batch import PackedBatch

_SECOND_HALF = re.compile(r"lora_(embedding_)?B")
_EMBEDDING_STD = 0.04
"""Spread of a fresh A of token embeddings."""


def check_size(settings: LoraSettings, *, num_layers: int, width: int) -> None:
    """See that a model has the layers that an adapter goes on, and is wide enough for its rank.

    Args:
        settings: Size of the adapter.
        num_layers: Number of the model's layers.
        width: Width of its states.

    Raises:
        ModelError: it has not, or is not.
    """
    if settings.first_layer >= num_layers:
        raise ModelError(f"first_layer {settings.first_layer}", expected=f"below the {num_layers} layers of the model")
    for name in ("rank", "embedding_rank"):
        if (rank := getattr(settings, name)) > width:
            raise ModelError(f"{name} {rank:,}", expected=f"at most {width:,}, the width of the model's states")


def add_lora(backbone: TransformersBackbone, settings: LoraSettings, *, seed: int = 0) -> None:
    """Put a fresh adapter on all linear layers and freeze the rest.

    The adapter's weights are float32 whatever the base's dtype: bf16 steps at small learning rates round to nothing.

    Args:
        backbone: Changed in place.
        settings: Size of the adapter.
        seed: Random seed for its random half (the other half starts at zero, so vectors do not change).

    Raises:
        ModelError: the backbone has an adapter already, fewer layers than `first_layer`, or states that are narrower
            than the adapter's rank.
    """
    if isinstance(backbone.hf_model, PeftModel):
        raise ModelError("the model has an adapter already", do="merge it first")
    check_size(settings, num_layers=backbone.config.num_hidden_layers, width=backbone.config.hidden_size)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_targets(backbone.hf_model, settings.first_layer),
    )
    if settings.embedding_rank:
        _target_embeddings(config, backbone.hf_model, settings)
    with torch.random.fork_rng(devices=[]), _quiet_peft():
        torch.manual_seed(seed)
        backbone.hf_model = get_peft_model(backbone.hf_model, config)
        if settings.embedding_rank:
            layer = embedding_layer(backbone)
            drawn = torch.randn(layer.in_features, settings.embedding_rank, device=backbone.device)
            start_embeddings(backbone, drawn)


def adapted_layers(model: PreTrainedModel, first_layer: int) -> list[nn.Linear]:
    """List the linear layers of a bare model that `add_lora` puts an adapter on."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if first_layer == 0:
        return [*layers.values()]
    targets = re.compile(_targets(model, first_layer))
    return [layer for name, layer in layers.items() if targets.fullmatch(name)]


def _targets(model: PreTrainedModel, first_layer: int) -> str:
    """Say in PEFT's words which layers get an adapter; its own choice of layers does not go with "all-linear"."""
    if first_layer == 0:
        return "all-linear"
    numbers = range(first_layer, model.config.num_hidden_layers)
    return rf"(.*\.)?layers?\.({'|'.join(map(str, numbers))})\..*\.({'|'.join(_linear_names(model))})"


def _linear_names(model: PreTrainedModel) -> list[str]:
    """List the last names of the linear layers."""
    modules = model.named_modules()
    return sorted({name.rpartition(".")[2] for name, module in modules if isinstance(module, nn.Linear)})


def _target_embeddings(config: LoraConfig, model: PreTrainedModel, settings: LoraSettings) -> None:
    """Put the token embeddings among what gets an adapter, with a rank and a factor of their own."""
    embeddings = model.get_input_embeddings()
    (name,) = (name for name, module in model.named_modules() if module is embeddings)
    linear = rf"(.*\.)?({'|'.join(_linear_names(model))})" if settings.first_layer == 0 else config.target_modules
    config.target_modules = rf"{linear}|(.*\.)?{re.escape(name)}"
    config.rank_pattern = {name: settings.embedding_rank}
    config.alpha_pattern = {name: embedding_scale(embeddings.weight) * settings.embedding_rank}


def embedding_scale(table: Tensor) -> float:
    """Give the factor s of an update of token embeddings: the spread of the table [V, H] by that of a fresh A.

    Adam moves every number by about its learning rate. A rate that suits an adapter on layers, some .002, is then 5% of
    the numbers of A and, times s, 5% of an embedding's for those of B.
    """
    return float(f"{float(table.detach().float().std()) / _EMBEDDING_STD:.4g}")


def embedding_layer(backbone: TransformersBackbone) -> LoraEmbedding:
    """Give the token embeddings with their adapter.

    Raises:
        ModelError: there is none on them.
    """
    layer = backbone.hf_model.get_input_embeddings()
    if not isinstance(layer, LoraEmbedding):
        raise ModelError("no adapter on the token embeddings", expected="one", do="set tuning.embedding_rank above 0")
    return layer


def has_fresh_embeddings(backbone: TransformersBackbone) -> bool:
    """Whether an adapter is on the token embeddings and changes nothing yet."""
    layer = backbone.hf_model.get_input_embeddings()
    return isinstance(layer, LoraEmbedding) and not any(b.any() for b in layer.lora_embedding_B.values())


def start_embeddings(backbone: TransformersBackbone, vectors: Tensor) -> None:
    """Set what a fresh adapter on token embeddings says of each token; nothing else changes, as B is zero.

    Args:
        backbone: With such an adapter.
        vectors: [V, r], not all the same.

    Raises:
        ModelError: it has none.
    """
    layer = embedding_layer(backbone)
    adapter = _adapter(layer)
    with torch.no_grad():
        layer.lora_embedding_A[adapter].copy_(vectors.T * (_EMBEDDING_STD / vectors.std()))
        layer.lora_embedding_B[adapter].zero_()


def load_lora(backbone: TransformersBackbone, folder: Path, *, trained: bool = False) -> None:
    """Put a saved adapter on a backbone, frozen. Every tensor of the file finds its place, and every place its tensor.

    Args:
        backbone: Changed in place.
        folder: Holds `adapter_config.json` and `adapter_model.safetensors`.
        trained: Whether it was: then it has an effect.

    Raises:
        ModelError: the adapter is not there, does not fit, has NaN or infinite weights, or was trained and changes
            nothing.
    """
    path = folder / ADAPTER_WEIGHTS
    for needed in (folder / ADAPTER_NAME, path):
        if not needed.is_file():  # PEFT would look for the folder's name on the hub
            raise ModelError(f"adapter {folder} has no {needed.name}", expected="an adapter as PEFT writes it")
    try:
        # Numbers of 8 bits are for storage alone: torch hardly computes with them.
        tensors = {name: t.float() if t.itemsize == 1 else t for name, t in load_file(path).items()}
        for name, tensor in tensors.items():
            refuse_not_finite(tensor, f"{name} of {path}")
        config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
        config.inference_mode = True
        with _quiet_peft():
            adapted = PeftModel(backbone.hf_model, config)
            _account(get_peft_model_state_dict(adapted, save_embedding_layers=False), tensors, path)
            set_peft_model_state_dict(adapted, tensors)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ModelError(f"adapter of {folder} cannot be loaded: {error}") from error
    if trained and not any(tensor.any() for name, tensor in tensors.items() if _SECOND_HALF.search(name)):
        raise ModelError(
            f"{path} was trained and changes nothing: its lora_B are all 0",
            expected="vectors that differ from the base's",
            do="copy the adapter again, or train it again",
        )
    backbone.hf_model = adapted.eval()  # its dropout is for training alone


def _account(places: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Hold the tensors of a file against the places that its config makes.

    Raises:
        ModelError: one is missing, too many, or of another shape.
    """
    missing, unknown = sorted(places.keys() - tensors.keys()), sorted(tensors.keys() - places.keys())
    problems = [
        f"{len(names)} of {total} tensors {what}, as {names[0]}"
        for names, total, what in ((missing, len(places), "missing"), (unknown, len(tensors), "not known"))
        if names
    ]
    problems += [
        f"{name} has the shape {tuple(tensors[name].shape)} and its place {tuple(place.shape)}"
        for name, place in places.items()
        if name in tensors and tensors[name].shape != place.shape
    ][:1]
    if problems:
        raise ModelError(
            f"{path}: {'; '.join(problems)}",
            expected=f"the tensors that {ADAPTER_NAME} and the base call for, each once",
            do="copy the adapter again, whole, and see that its base is the one it was trained on",
        )


def enlarge_lora(backbone: TransformersBackbone, settings: LoraSettings, *, seed: int = 0) -> None:
    """Put a fresh adapter in the place of the one that is on, with the same updates to begin with.

    It may be larger, and its alpha another. A half A is as large as a fresh one (a power of two is moved from B to A,
    which changes no product), so that a learning rate does what it does to a fresh adapter, however the old one was
    stored.

    Args:
        backbone: Changed in place.
        settings: Size of the fresh adapter.
        seed: As in `add_lora`.

    Raises:
        ModelError: there is no adapter, or the fresh one has no place for an update.
    """
    if not has_lora(backbone):
        raise ModelError("no adapter on the model", expected="one")
    before = {name: _update(layer) for name, layer in _lora_layers(backbone)}
    backbone.hf_model = backbone.hf_model.unload()
    add_lora(backbone, settings, seed=seed)
    layers = dict(_lora_layers(backbone))
    for name, (old_a, old_b, old_scale) in before.items():
        new_rank = layers[name].r[_adapter(layers[name])] if name in layers else 0
        if new_rank < (rank := len(old_a)):
            raise ModelError(
                f"rank {new_rank} for {name}, which has an adapter of rank {rank}",
                expected="at least as much, to train it on",
                do="raise rank or embedding_rank, or lower first_layer",
            )
        a, b, scale = _update(layers[name])
        moved = 2.0 ** round(math.log2(float(a.std()) / (float(old_a.std()) or float(a.std()))))
        with torch.no_grad():
            a[:rank] = old_a.to(a) * moved
            b[:, :rank] = old_b.to(b) * (old_scale / scale / moved)


def _lora_layers(backbone: TransformersBackbone) -> Iterator[tuple[str, LoraLayer]]:
    """Give the layers with an adapter, by name."""
    return ((name, module) for name, module in backbone.hf_model.named_modules() if isinstance(module, LoraLayer))


def _adapter(layer: LoraLayer) -> str:
    """Name the adapter on a layer."""
    (name,) = layer.active_adapters
    return str(name)


def _update(layer: LoraLayer) -> tuple[Tensor, Tensor, float]:
    """Give A [r, in], B [out, r] and the factor of their product, as they are in the layer."""
    name = _adapter(layer)
    if isinstance(layer, LoraEmbedding):
        return layer.lora_embedding_A[name].data, layer.lora_embedding_B[name].data, layer.scaling[name]
    return layer.lora_A[name].weight.data, layer.lora_B[name].weight.data, layer.scaling[name]


def train_lora(backbone: TransformersBackbone) -> None:
    """Make an adapter that is on trainable again, as a fresh one is. Its weights become float32, as in `add_lora`."""
    for name, parameter in backbone.hf_model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)


def has_lora(backbone: TransformersBackbone) -> bool:
    """Whether an adapter is on."""
    return isinstance(backbone.hf_model, PeftModel)


class WithoutAdapter:
    """A backbone as its base is: the adapter is off while it runs, and on again behind it. The weights are shared.

    Args:
        backbone: With or without an adapter. Nothing else may run it at the same time.
    """

    def __init__(self, backbone: TransformersBackbone) -> None:
        self._backbone = backbone

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Give the states [T, H] of a batch."""
        with self._off():
            states: Tensor = self._backbone(batch)
        return states

    def open_cache(self) -> "CacheWithoutAdapter":
        """Begin a text that can go on."""
        return CacheWithoutAdapter(self._backbone.open_cache(), self._off)

    def _off(self) -> AbstractContextManager[None]:
        model = self._backbone.hf_model
        return model.disable_adapter() if isinstance(model, PeftModel) else nullcontext()


class CacheWithoutAdapter:
    """A text under way on a backbone whose adapter is off. Made by `WithoutAdapter`."""

    def __init__(self, cache: TransformersCache, off: Callable[[], AbstractContextManager[None]]) -> None:
        self._cache, self._off = cache, off

    def extend(self, tokens: Sequence[int]) -> Tensor:
        """Run the tokens that follow: states [T, H]."""
        with self._off():
            return self._cache.extend(tokens)


def merge_lora(backbone: TransformersBackbone) -> None:
    """Fold the adapter into the weights, in place; without an adapter nothing happens."""
    if isinstance(backbone.hf_model, PeftModel):
        with _quiet_peft():
            merged = backbone.hf_model.merge_and_unload()
        assert isinstance(merged, PreTrainedModel)
        backbone.hf_model = merged


@contextmanager
def _quiet_peft() -> Iterator[None]:
    """Silence two warnings that are not ours.

    PEFT 0.21 asks transformers 5.23 by a name that it has deprecated, and it speaks of a head that is tied to adapted
    embeddings, where a bare model has none.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings=True", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield
