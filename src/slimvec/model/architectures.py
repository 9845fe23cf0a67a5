"""The served architectures, and the attention mode as their configs declare it. Configs are read as plain JSON.

Nothing of transformers is imported here: the fused decoder starts in a fraction of the time that would take.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slimvec.errors import ModelError
from slimvec.model.config_types import check_types
from slimvec.model.json_files import read_json
from slimvec.model.spec import AttentionMode

DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text")
ENCODERS = ("bert", "xlm-roberta", "roberta")
Config = Mapping[str, Any]
_POSITIONS = {"llama": 2048, "mistral": 131072, "qwen2": 32768, "qwen3": 32768, "gemma3_text": 131072}


def read_config(folder: Path) -> Config:
    """Read a folder's `config.json`.

    Raises:
        ModelError: missing, no JSON object, an architecture that is not served, or a value of a wrong type.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no config.json", expected="a model folder as transformers writes it")
    config = read_json(path)
    if not isinstance(config, dict):
        raise ModelError(f"{path} is no JSON object", expected="a model folder as transformers writes it")
    check_served(config)
    check_types(config, path)
    return config


def check_served(config: Config) -> None:
    """Refuse an architecture whose packed attention has not been proved equal to its own.

    Raises:
        ModelError: always then.
    """
    kind = config.get("model_type")
    if kind not in DECODERS + ENCODERS:
        raise ModelError(f"architecture {kind!r}", expected="one of " + ", ".join(DECODERS + ENCODERS))
    if config.get("use_bidirectional_attention") and not config.get("is_causal", True):
        raise ModelError(
            "config sets use_bidirectional_attention and is_causal=false, which count a sliding window differently",
            expected="one of the two",
            do="leave is_causal out, as EmbeddingGemma does",
        )


def is_decoder(config: Config) -> bool:
    """Whether the architecture is a decoder's, whatever attention mode it runs in."""
    return config["model_type"] in DECODERS


def ties_head(config: Config) -> bool:
    """Whether a language model's head is its embedding: as the config says, else as its architecture has it."""
    return bool(config.get("tie_word_embeddings", config["model_type"] == "gemma3_text"))


def has_split_window(config: Config) -> bool:
    """Whether a sliding window counts both sides, as EmbeddingGemma's does: 512 tokens are 256 on either side.

    The other bidirectional decoders (`is_causal` false) see their whole window on either side.
    """
    return config.get("model_type") == "gemma3_text" and bool(config.get("use_bidirectional_attention"))


def read_attention_mode(config: Config) -> AttentionMode:
    """Read the attention mode that a config stands for, in the words transformers itself obeys."""
    if has_split_window(config):
        return "bidirectional"
    causal = config.get("is_causal", True) if is_decoder(config) else config.get("is_decoder", False)
    return "causal" if causal else "bidirectional"


def attention_settings(config: Config, mode: AttentionMode) -> dict[str, bool]:
    """Say in a config's own words that a model attends in a mode.

    Raises:
        ModelError: causal attention for a model whose window counts both sides.
    """
    if has_split_window(config):
        if mode == "causal":
            raise ModelError("causal attention for a config that sets use_bidirectional_attention", expected="neither")
        return {"use_bidirectional_attention": True}
    return {"is_causal" if is_decoder(config) else "is_decoder": mode == "causal"}


def longest_text(config: Config) -> int:
    """Most tokens that the architecture has positions for; transformers' own default where the config is silent."""
    positions = int(config.get("max_position_embeddings", _POSITIONS.get(config["model_type"], 512)))
    if config["model_type"] in ("xlm-roberta", "roberta"):
        positions -= int(config.get("pad_token_id", 1)) + 1  # their positions start after the padding id
    return positions
