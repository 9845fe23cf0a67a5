"""Whether transformers reads a folder's `tokenizer.json` as it stands, or builds another for the architecture.

transformers 5 does so for some architectures where `tokenizer_config.json` names no class that takes the file as it is.
"""

from pathlib import Path

from slimvec.errors import ModelError
from slimvec.model.json_files import read_object
from slimvec.text.tokenizer import read_backend

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
    from transformers import AutoTokenizer  # seconds that a whole folder need not wait

    rust = read_backend(folder / "tokenizer.json")
    rust.no_padding()
    rust.no_truncation()
    try:
        theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        same = all(rust.encode(text).ids == theirs(text)["input_ids"] for text in _PROBES)
    except Exception as error:  # what the files can say, the library answers with errors of every kind
        raise ModelError(
            f"{path} names the tokenizer class {named!r}, and transformers cannot load it: {error}",
            expected=f"one of {', '.join(_CLASSES)}",
        ) from error
    if not same:
        raise ModelError(
            f"{path} names the tokenizer class {named!r}, and transformers reads tokenizer.json as another tokenizer "
            f"({type(theirs).__name__})",
            expected=f"one of {', '.join(_CLASSES)}",
            do='copy the file again, or write "tokenizer_class": "PreTrainedTokenizerFast" into it',
        )
