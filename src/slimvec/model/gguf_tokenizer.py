"""The byte-level tokenizer of a GGUF file, built from its tokens, merges and the name of its splitting."""

from typing import Any

import gguf
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from slimvec.errors import ModelError
from slimvec.model.gguf_splits import SPLITS, Split

TOKENIZER_LISTS = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type")
_NORMALISED = ("qwen2", "qwen3")
"""Architectures whose tokenizer composes characters first (NFC). llama.cpp leaves that out, and so reads a text with
separate accents as other tokens than the model was trained on."""


def check_split(metadata: dict[str, Any]) -> None:
    """Refuse a byte-level tokenizer whose way to cut text is not known.

    Raises:
        ModelError: always then.
    """
    name = metadata.get("tokenizer.ggml.pre")
    if metadata.get("tokenizer.ggml.model") == "gpt2" and name not in SPLITS:
        raise ModelError(
            f"tokenizer splitting {name!r}",
            expected="one of " + ", ".join(sorted(SPLITS)),
            do="use the model's original folder, which has its tokenizer.json",
        )


def build_tokenizer(metadata: dict[str, Any]) -> PreTrainedTokenizerFast:
    """Build the byte-level tokenizer that a GGUF file describes.

    Args:
        metadata: Its scalar entries and `TOKENIZER_LISTS`; `check_split` has passed them.

    Raises:
        ModelError: tokens or merges are missing, or do not fit together.
    """
    missing = [name for name in TOKENIZER_LISTS if name not in metadata]
    if missing:
        raise ModelError(f"no {', '.join(missing)}", expected="the lists of a byte-level tokenizer")
    tokens, merges, kinds = (metadata[name] for name in TOKENIZER_LISTS)
    split = SPLITS[metadata["tokenizer.ggml.pre"]]
    backend = _backend(tokens, merges, split)
    if metadata.get("general.architecture") in _NORMALISED:
        backend.normalizer = normalizers.NFC()
    special, defined = gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED
    backend.add_special_tokens([_whole(t) for t, kind in zip(tokens, kinds, strict=True) if kind == special])
    backend.add_tokens([_whole(t) for t, kind in zip(tokens, kinds, strict=True) if kind == defined])
    names = {key: _token(tokens, metadata, key) for key in ("bos", "eos", "unknown", "padding")}
    backend.post_processor = _opening(backend, names, metadata, split)
    texts = {"bos_token": names["bos"], "eos_token": names["eos"], "unk_token": names["unknown"]}
    texts["pad_token"] = names["padding"] or names["eos"]
    made = PreTrainedTokenizerFast(tokenizer_object=backend, **{k: v for k, v in texts.items() if v is not None})
    made.chat_template = metadata.get("tokenizer.chat_template")
    return made


def _whole(token: str) -> AddedToken:
    """A token that is found in a text as it stands."""
    return AddedToken(token, normalized=False)


def _backend(tokens: list[str], merges: list[str], split: Split) -> tokenizers.Tokenizer:
    """Make the part that cuts and merges."""
    pairs = [tuple(merge.split(" ", 1)) if merge[:1] != " " else (" ", merge[2:]) for merge in merges]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    try:
        model = models.BPE(vocabulary, pairs, ignore_merges=split.whole_pieces)  # type: ignore[arg-type]
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"tokens and merges do not fit together: {error}", expected="a complete tokenizer") from error
    backend = tokenizers.Tokenizer(model)
    cuts = [pre_tokenizers.Split(Regex(rule), behavior="isolated") for rule in split.rules]
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    return backend


def _token(tokens: list[str], metadata: dict[str, Any], name: str) -> str | None:
    """Give the text of a token that the file names by its number."""
    number = metadata.get(f"tokenizer.ggml.{name}_token_id")
    return tokens[number] if isinstance(number, int) and 0 <= number < len(tokens) else None


def _opening(
    backend: tokenizers.Tokenizer, names: dict[str, str | None], metadata: dict[str, Any], split: Split
) -> processors.PostProcessor:
    """Put bos and eos around a text as the file says, or as its splitting has it where the file is silent."""
    wanted = {
        "bos": metadata.get("tokenizer.ggml.add_bos_token", split.opens),
        "eos": metadata.get("tokenizer.ggml.add_eos_token", False),
    }
    found = {key: names[key] for key, is_wanted in wanted.items() if is_wanted}
    if None in found.values():
        raise ModelError(f"{' and '.join(found)} around every text", expected="the numbers of these tokens")
    texts = {key: str(text) for key, text in found.items()}
    if not texts:
        return processors.ByteLevel(trim_offsets=False)
    parts = [*([texts["bos"]] if "bos" in texts else []), "$A", *([texts["eos"]] if "eos" in texts else [])]
    specials = [(text, backend.token_to_id(text)) for text in dict.fromkeys(texts.values())]
    return processors.TemplateProcessing(single=parts, pair=[*parts, "$B"], special_tokens=specials)
