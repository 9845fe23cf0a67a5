"""Whether transformers reads a folder's `tokenizer.json` as it stands, or builds another for the architecture.

transformers 5 does so for some architectures where `tokenizer_config.json` names no class that takes the file as it is.
"""

from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import pre_tokenizers

from slimvec.errors import ModelError
from slimvec.model.json_files import read_object
from slimvec.text.tokenizer import Tokenizer, read_backend

_CLASSES = (
    "PreTrainedTokenizerFast", "TokenizersBackend", "BertTokenizer", "RobertaTokenizer", "XLMRobertaTokenizer",
    "LlamaTokenizer", "Qwen2Tokenizer", "GemmaTokenizer", "GPT2Tokenizer",
)  # fmt: skip
"""Classes that published models of the served architectures name, with `Fast` behind them or not."""
_PROBES = ("Hello  world, it's 3.14!", "two\nlines\n", "Grüße, 你好 \U0001f680")


def check_class(folder: Path) -> None:
    """Refuse a folder that names no usual class of tokenizer, and whose file transformers reads in another way.

    Args:
        folder: With the tokenizer's files.

    Raises:
        ModelError: it does, or a file cannot be read.
    """
    path = folder / "tokenizer_config.json"
    settings = read_object(path, missing=True)
    named = settings.get("tokenizer_class")
    if settings.get("auto_map"):
        return  # code of its own, which nobody runs here: tokenizer.json is read as it stands, with a warning
    if isinstance(named, str) and named in (*_CLASSES, *(f"{name}Fast" for name in _CLASSES)):
        return
    if not (folder / "tokenizer.json").is_file():
        return  # an error of its own
    rust = read_backend(folder / "tokenizer.json")
    rust.no_padding()
    rust.no_truncation()
    theirs = _differing(folder, rust, _PROBES, f"names the tokenizer class {named!r}")
    if theirs is not None:
        raise ModelError(
            f"{path} names the tokenizer class {named!r}, and transformers reads tokenizer.json as another tokenizer "
            f"({theirs})",
            expected=f"one of {', '.join(_CLASSES)}",
            do='copy the file again, or write "tokenizer_class": "PreTrainedTokenizerFast" into it',
        )


def check_bytes(folder: Path, tokenizer: Tokenizer) -> None:
    """Refuse a byte-level vocabulary that lacks a byte, where transformers reads that byte in another way.

    The classes that transformers builds itself (Qwen2's among them) have an unknown token of their own or none.

    Args:
        folder: With the tokenizer's files.
        tokenizer: As read from them.

    Raises:
        ModelError: it lacks one, and the ids differ.
    """
    if "ByteLevel(" not in repr(tokenizer.backend.pre_tokenizer):
        return
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    lacking = [letter for letter in letters if tokenizer.backend.token_to_id(letter) is None]
    visible = [letter for letter in lacking if letter.isascii()]  # these stand for themselves
    if not visible:
        return
    theirs = _differing(folder, tokenizer.backend, visible, "belongs to a vocabulary without some bytes")
    if theirs is not None:
        raise ModelError(
            f"{folder / 'tokenizer.json'} has no token for {len(lacking)} of 256 bytes (one is {visible[0]!r}), and "
            f"transformers' {theirs} reads them in another way",
            expected="a token for every byte",
            do="copy the file again, whole",
        )


def _differing(folder: Path, ours: tokenizers.Tokenizer, texts: Iterable[str], why: str) -> str | None:
    """Name transformers' class of tokenizer if it reads one of the texts as other tokens.

    Raises:
        ModelError: it cannot load the folder's.
    """
    from transformers import AutoTokenizer  # seconds that a whole folder need not wait

    try:
        theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        same = all(ours.encode(text).ids == theirs(text)["input_ids"] for text in texts)
    except Exception as error:  # what the files can say, the library answers with errors of every kind
        raise ModelError(
            f"{folder / 'tokenizer_config.json'} {why}, and transformers cannot load it: {error}",
            expected=f"one of {', '.join(_CLASSES)}",
        ) from error
    return None if same else type(theirs).__name__
