"""Backbones: a packed batch in, a state for every token out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, DynamicCache, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from slimvec.errors import ModelError
from slimvec.model.architectures import attention_settings, check_served
from slimvec.model.attention import ATTENTION_NAME, Attends, Continuation, Packing, kernel_name, register
from slimvec.model.depth import names_below
from slimvec.model.rope_lengths import alike, longrope_limits
from slimvec.model.spec import AttentionMode
from slimvec.model.weight_files import WeightFiles, refuse_unaccounted
from slimvec.text.batch import PackedBatch

_ATTENTION_DROPOUTS = ("attention_dropout", "attention_probs_dropout_prob")
"""As the configs of decoders and of encoders call it."""


class TransformersBackbone(nn.Module):
    """Any transformers model of a served architecture, run on packed batches.

    A dropout on attention weights, which published encoders have, is set to 0, in the config too: kernels for packed
    texts have none. Dropout of states stays as the model has it, and works in training mode alone, as everywhere.

    Args:
        hf_model: The bare model (`AutoModel`), without a head.
        mode: Attention mode to run it in; written into its config, so that every reader of the saved model obeys it.
        recency: Attention calibration, as `slimvec.model.attention` defines it.

    Raises:
        ModelError: an architecture that is not served.
    """

    def __init__(self, hf_model: PreTrainedModel, mode: AttentionMode, *, recency: float = 0.0) -> None:
        super().__init__()
        described = hf_model.config.to_dict()
        check_served(described)
        register()
        hf_model.set_attn_implementation(ATTENTION_NAME)
        self.hf_model = hf_model
        self._limits = longrope_limits(described)
        self.recency = recency
        for name in _ATTENTION_DROPOUTS:
            if getattr(self.config, name, 0):
                setattr(self.config, name, 0.0)
        self.attend(mode)

    def attend(self, mode: AttentionMode) -> None:
        """Change the attention mode, in the config too."""
        for name, value in attention_settings(self.config.to_dict(), mode).items():
            setattr(self.config, name, value)
        self.mode: AttentionMode = mode

    @property
    def bare_model(self) -> PreTrainedModel:
        """The model without PEFT's wrapping, where it has an adapter."""
        return self.hf_model.get_base_model() if hasattr(self.hf_model, "get_base_model") else self.hf_model

    @property
    def config(self) -> PretrainedConfig:
        """The transformers config."""
        return self.hf_model.config

    @property
    def dims(self) -> int:
        """H, the width of a state."""
        return int(self.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.hf_model.device
        return device

    @property
    def kernel(self) -> str:
        """Name of the attention kernel in use; the one for calibrated attention is the same everywhere."""
        return "grouped_sdpa" if self.recency else kernel_name(self.device, self.hf_model.dtype)

    def forward(self, batch: PackedBatch, *, attends: Attends | None = None) -> Tensor:
        """Run the model: a batch of T tokens gives states [T, H] in the model's dtype.

        Args:
            batch: The texts.
            attends: Attention in the place of each text's own; the texts are then run at once, whatever their lengths.
        """
        batch = batch.to(self.device)
        if attends is not None:
            return self._run(batch, attends)
        groups = alike(batch.lengths, self._limits) if self._limits else []
        if len(groups) < 2:
            return self._run(batch)
        parts = [self._run(batch.choose(group)) for group in groups]
        texts = batch.text_ids()
        order = torch.cat([(texts == number).nonzero()[:, 0] for group in groups for number in group])
        return torch.cat(parts)[order.argsort()]

    def _run(self, batch: PackedBatch, attends: Attends | None = None) -> Tensor:
        """Run the model on texts whose positions turn alike."""
        output = self.hf_model(
            input_ids=batch.input_ids[None],
            position_ids=self.positions(batch)[None],
            use_cache=False,
            packing=attends or Packing.of(batch, self.mode, recency=self.recency),
        )
        states: Tensor = output.last_hidden_state[0]
        return states

    def open_cache(self) -> "TransformersCache":
        """Begin a text that can go on.

        Raises:
            ModelError: tokens see what comes after them, or attention is calibrated.
        """
        if self.mode != "causal" or self.recency:
            how = f"recency {self.recency:g}" if self.recency else f"{self.mode} attention"
            raise ModelError(f"a text that goes on, with {how}", expected="a causal model as it was trained")
        return TransformersCache(self)

    def positions(self, batch: PackedBatch) -> Tensor:
        """Positions [T] as the architecture counts them.

        RoBERTa's start after the padding id. A padding token written in a text (`<pad>`) keeps the padding position,
        and the tokens behind it are counted as though it were not there, as transformers counts them.
        """
        if self.config.model_type not in ("xlm-roberta", "roberta"):
            return batch.position_ids
        padding = int(self.config.pad_token_id)
        counted = batch.input_ids != padding
        seen = counted.cumsum(0)
        before = torch.cat([seen.new_zeros(1), seen])[batch.cu_seqlens[:-1].long()]  # [B]
        return (seen - before[batch.text_ids()]) * counted + padding


class TransformersCache:
    """A text under way on a transformers model: transformers keeps its keys and values. No gradient.

    Args:
        backbone: Causal.
    """

    def __init__(self, backbone: TransformersBackbone) -> None:
        self._backbone, self._length = backbone, 0
        self._cache = DynamicCache()  # without the config: whole windows are kept, and masked like any other
        # transformers 5.24 renames the argument and warns about the old name.
        names = signature(backbone.bare_model.forward).parameters
        self._name = "cache" if "cache" in names else "past_key_values"

    def extend(self, tokens: Sequence[int]) -> Tensor:
        """Run the tokens that follow: states [T, H]."""
        ids = torch.tensor([list(tokens)], device=self._backbone.device)
        places = torch.arange(self._length, self._length + len(tokens), device=ids.device)
        with torch.inference_mode():
            output = self._backbone.hf_model(
                input_ids=ids,
                position_ids=places[None],
                **{self._name: self._cache},
                use_cache=True,
                packing=Continuation(),
            )
        self._length += len(tokens)
        states: Tensor = output.last_hidden_state[0]
        return states


def load_transformers(
    folder: Path,
    *,
    mode: AttentionMode,
    dtype: torch.dtype,
    changes: Mapping[str, Any] | None = None,
    recency: float = 0.0,
) -> TransformersBackbone:
    """Load a bare transformers model from a folder.

    Args:
        folder: Holds `config.json` and the weights.
        mode: Attention mode.
        dtype: Data type of the weights in memory.
        changes: Settings of the config that shall differ from the file's.
        recency: As for the backbone.

    Raises:
        ModelError: an architecture that is not served; weights that are missing, left over, unreadable, NaN or
            infinite.
    """
    register()
    files = WeightFiles(folder)
    files.check_finite()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if hasattr(config, "auto_map"):  # names code of the folder, which is never run and not copied to others
            del config.auto_map
        for name, value in (changes or {}).items():
            setattr(config, name, value)
        _refuse_depth(config, files)
        with _quiet_report():
            hf_model, found = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                attn_implementation=ATTENTION_NAME,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except ModelError:
        raise
    except Exception as error:  # what a config can say, the library answers with errors of every kind
        raise ModelError(
            f"transformers cannot load {folder}: {error or type(error).__name__}",
            expected="a config.json and weights that belong together",
        ) from error
    misfits = [f"{name}: {tuple(stored)} for {tuple(wanted)}" for name, stored, wanted in found["mismatched_keys"]]
    left = found["unexpected_keys"]
    if "num_hidden_layers" in (changes or {}):
        left = names_below(left, config.num_hidden_layers)
    refuse_unaccounted(folder, missing=found["missing_keys"], left=left, misfits=misfits)
    return TransformersBackbone(hf_model.eval(), mode, recency=recency)


def _refuse_depth(config: PretrainedConfig, files: WeightFiles) -> None:
    """Refuse a config with more layers than there are tensors, before they are built.

    Raises:
        ModelError: always then.
    """
    if config.num_hidden_layers > len(files.names):
        raise ModelError(
            f"{files.folder} has {len(files.names):,} tensors and its config {config.num_hidden_layers:,} layers",
            expected="several tensors a layer",
            do="copy the folder again, whole",
        )


@contextmanager
def _quiet_report() -> Iterator[None]:
    """Silence transformers' table of missing and unexpected tensors: what matters of it becomes an error here."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
