"""Tiny models of every served architecture, built in memory with fixed seeds. Nothing is downloaded."""

from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors

from slimvec.model.architectures import DECODERS
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.spec import AttentionMode, ModelSpec, Pooling
from slimvec.text.batch import PackedBatch
from slimvec.text.prompts import INSTRUCTED
from slimvec.text.tokenizer import Tokenizer

VOCABULARY = 264
WINDOW = 5
MODES: tuple[AttentionMode, ...] = ("causal", "bidirectional")

_DECODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "attention_dropout": 0.0,
}
_ENCODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "attention_probs_dropout_prob": 0.0,
    "hidden_dropout_prob": 0.0,
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", _DECODER),
    "mistral": ("MistralConfig", {**_DECODER, "sliding_window": WINDOW}),
    "qwen2": (
        "Qwen2Config",
        {k: v for k, v in _DECODER.items() if k != "head_dim"}
        | {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3Config", _DECODER),
    "gemma3_text": ("Gemma3TextConfig", {**_DECODER, "sliding_window": WINDOW, "sliding_window_pattern": 2}),
    "bert": ("BertConfig", {**_ENCODER, "pad_token_id": 0}),
    "xlm-roberta": ("XLMRobertaConfig", {**_ENCODER, "pad_token_id": 1}),
}
ARCHITECTURES = tuple(CONFIGS)
assert {*DECODERS, "bert", "xlm-roberta"} == set(ARCHITECTURES)


def hf_model(architecture: str, *, seed: int = 0, **changes: Any) -> transformers.PreTrainedModel:
    """Build a tiny model whose states depend visibly on context (weights larger than the usual start).

    Args:
        architecture: Its name.
        seed: Random seed for the weights.
        changes: Settings of the config that differ from the usual ones.
    """
    name, settings = CONFIGS[architecture]
    torch.manual_seed(seed)
    config = getattr(transformers, name)(**{**settings, **changes})
    model = transformers.AutoModel.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.15)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def backbone(architecture: str, mode: AttentionMode = "causal", *, seed: int = 0) -> TransformersBackbone:
    return TransformersBackbone(hf_model(architecture, seed=seed), mode)


@cache
def tokenizer_backend() -> tokenizers.Tokenizer:
    """A byte-level tokenizer without merges: one token a byte, nothing before or after a text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<unk>", *letters])}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, merges=[], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<pad>", "<unk>"])
    return backend


@cache
def bracketing_backend() -> tokenizers.Tokenizer:
    """The same, with a special token before and after every text, as BERT has them."""
    backend = tokenizers.Tokenizer.from_str(tokenizer_backend().to_str())
    backend.add_special_tokens(["[CLS]", "[SEP]"])
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(t, backend.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
    )
    return backend


def embedding_model(
    architecture: str = "llama",
    mode: AttentionMode = "causal",
    *,
    pooling: Pooling | None = None,
    seed: int = 0,
    **settings: Any,
) -> EmbeddingModel:
    spec = ModelSpec(
        attention=mode,
        pooling=pooling or Pooling(),
        **{"prompts": INSTRUCTED, "max_tokens": 200, **settings},
    )
    tokenizer = Tokenizer(tokenizer_backend(), max_tokens=spec.max_tokens)
    return EmbeddingModel(backbone(architecture, mode, seed=seed), tokenizer, spec)


def random_batch(lengths: list[int], *, seed: int = 0, prefixes: list[int] | None = None) -> PackedBatch:
    generator = torch.Generator().manual_seed(seed)
    sequences = [torch.randint(2, VOCABULARY, (n,), generator=generator).tolist() for n in lengths]
    return PackedBatch.from_sequences(sequences, prefixes)


def save_causal_model(folder: Path, *, chat_template: str | None = None, **settings: Any) -> None:
    """Write a tiny Llama with its head, and a tokenizer of bytes, as transformers has them."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**{**_DECODER, "eos_token_id": 1, "tie_word_embeddings": True, **settings})
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer_backend(), pad_token="<pad>", eos_token="<unk>"
    )
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
