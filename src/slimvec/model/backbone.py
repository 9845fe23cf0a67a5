"""Backbones: a packed batch in, a state for every token out."""

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from slimvec.errors import ModelError
from slimvec.model.attention import ATTENTION_NAME, Packing, kernel_name, register
from slimvec.model.spec import AttentionMode
from slimvec.text.batch import PackedBatch

DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text")
ENCODERS = ("bert", "xlm-roberta", "roberta")


class Backbone(Protocol):
    """What pooling needs to know of a model."""

    mode: AttentionMode

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Give the states [T, H] of a batch."""
        ...


class TransformersBackbone(nn.Module):
    """Any transformers model of a served architecture, run on packed batches.

    Args:
        hf_model: The bare model (`AutoModel`), without a head.
        mode: Attention mode to run it in; written into its config, so that it is saved with it.

    Raises:
        ModelError: an architecture that is not served.
    """

    def __init__(self, hf_model: PreTrainedModel, mode: AttentionMode) -> None:
        super().__init__()
        check_served(hf_model.config)
        register()
        hf_model.set_attn_implementation(ATTENTION_NAME)
        write_attention_mode(hf_model.config, mode)
        self.hf_model = hf_model
        self.mode: AttentionMode = mode

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
        """Name of the attention kernel in use."""
        return kernel_name(self.device, self.hf_model.dtype)

    def forward(self, batch: PackedBatch) -> Tensor:
        """Run the model: a batch of T tokens gives states [T, H] in the model's dtype."""
        batch = batch.to(self.device)
        output = self.hf_model(
            input_ids=batch.input_ids[None],
            position_ids=self._positions(batch)[None],
            use_cache=False,
            packing=Packing.of(batch, self.mode),
        )
        states: Tensor = output.last_hidden_state[0]
        return states

    def _positions(self, batch: PackedBatch) -> Tensor:
        """Positions as the architecture counts them: RoBERTa's start after the padding id."""
        if self.config.model_type in ("xlm-roberta", "roberta"):
            return batch.position_ids + int(self.config.pad_token_id) + 1
        return batch.position_ids


def load_transformers(folder: Path, *, mode: AttentionMode | None, dtype: torch.dtype) -> TransformersBackbone:
    """Load a bare transformers model from a folder, adapters merged in by the caller.

    Args:
        folder: Holds `config.json` and safetensors.
        mode: Attention mode; default what the config says.
        dtype: Of the weights in memory.

    Raises:
        ModelError: no config, an architecture that is not served, missing or unreadable weights.
    """
    config = read_config(folder)
    register()
    try:
        hf_model = AutoModel.from_pretrained(
            folder, config=config, dtype=dtype, attn_implementation=ATTENTION_NAME, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"weights of {folder} cannot be loaded: {error}") from error
    return TransformersBackbone(hf_model.eval(), mode or read_attention_mode(config))


def read_config(folder: Path) -> PretrainedConfig:
    """Read a folder's transformers config.

    Raises:
        ModelError: missing, unreadable, or an architecture that is not served.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json", expected="a model folder as transformers writes it")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {error}") from error
    check_served(config)
    return config


def check_served(config: PretrainedConfig) -> None:
    """Refuse an architecture whose packed attention has not been proved equal to its own.

    Raises:
        ModelError: always then.
    """
    if config.model_type not in DECODERS + ENCODERS:
        raise ModelError(f"architecture {config.model_type!r}", expected="one of " + ", ".join(DECODERS + ENCODERS))


def is_decoder_family(config: PretrainedConfig) -> bool:
    """Whether the architecture is a decoder's, whatever attention mode it runs in."""
    return config.model_type in DECODERS


def read_attention_mode(config: PretrainedConfig) -> AttentionMode:
    """Read the attention mode that a config stands for, in the words transformers itself obeys."""
    if is_decoder_family(config):
        causal = getattr(config, "is_causal", True) and not getattr(config, "use_bidirectional_attention", False)
    else:
        causal = bool(getattr(config, "is_decoder", False))
    return "causal" if causal else "bidirectional"


def write_attention_mode(config: PretrainedConfig, mode: AttentionMode) -> None:
    """Write the attention mode into a config, so that every reader of the saved model runs it alike.

    Raises:
        ModelError: the config asks for EmbeddingGemma's own bidirectional form, which is not served.
    """
    if not is_decoder_family(config):
        config.is_decoder = mode == "causal"
    elif getattr(config, "use_bidirectional_attention", False):
        raise ModelError(
            "config sets use_bidirectional_attention",
            expected="a Gemma3 config with is_causal",
            do="its sliding window counts differently and is not served yet",
        )
    else:
        config.is_causal = mode == "causal"
