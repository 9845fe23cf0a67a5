"""The process that converts a GGUF file: `python -m slimvec.model.gguf_conversion FILE FOLDER`.

transformers reads the file (it undoes llama.cpp's reordering of the rotary dimensions and its dequantisation); what is
added here is what it leaves open: the result must be plain, complete, and must tokenise as the file says (a byte-level
tokenizer is built in gguf_tokenizer.py). Each line of stdout is a JSON object: steps, then `versions` or `error`.
"""

import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gguf
import tokenizers
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from slimvec.errors import ModelError
from slimvec.model.gguf_settings import LISTS, check_settings, write_settings
from slimvec.model.gguf_tokenizer import TOKENIZER_LISTS, build_tokenizer, check_split

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "gemma3")
PACKAGES = ("gguf", "tokenizers", "torch", "transformers")
_PROBES = (
    "Hello  world, it's 3.14 or 12345!",
    " a leading space\n\n\n1. a list\n\t- tab",
    "def f(x):\n    return x**2  # ok",
    "Grüße, ça va? Привет! 你好世界 こんにちは مرحبا हिन्दी བོད་ཡིག",
    "🚀👩‍👩‍👧 a\u0301 \u200b",
)
TENSORS = "_tensors"
"""Where `read_metadata` puts the names of the tensors, which are not an entry of the header."""
Report = Callable[[str, float], None]


def convert(source: Path, target: Path, report: Report) -> None:
    """Write a GGUF file as a transformers folder in bfloat16, with the language-model head (tied or its own).

    Raises:
        ModelError: the file is damaged or not served, or the result would not be what the file describes.
    """
    report("reading the GGUF file", 0.0)
    metadata = read_metadata(source)
    check_served(metadata)
    unknown = check_settings(source, metadata, metadata[TENSORS])
    with tempfile.TemporaryDirectory(dir=target) as alone:  # transformers would take other files beside it for its own
        file = Path(alone) / "model.gguf"
        file.symlink_to(source)
        report("reading the tokenizer", 0.1)
        tokenizer = read_tokenizer(file, metadata)
        report("unpacking the weights", 0.3)
        model = read_model(file)
    report("writing safetensors", 0.9)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    check_tokenizer(target, metadata)
    write_settings(target, metadata, unknown)
    for weights in target.glob("*.safetensors"):
        weights.chmod((target / "config.json").stat().st_mode)  # the library writes them for their owner alone


def read_metadata(source: Path) -> dict[str, Any]:
    """Read the scalar entries of a GGUF file's header, the lists of its tokenizer, and the names of its tensors.

    Raises:
        ModelError: it is no GGUF file, or ends too early.
    """
    try:
        reader = gguf.GGUFReader(source)
    except (ValueError, IndexError, OSError) as error:
        raise ModelError(f"no readable GGUF file ({error})", expected="a complete .gguf file") from error
    fields = [field for field in reader.fields.values() if field.types]
    lists = [field.name for field in fields if field.types[0] == gguf.GGUFValueType.ARRAY]
    lists = [name for name in lists if name not in TOKENIZER_LISTS]
    entries = {field.name: field.contents() for field in fields if field.name not in lists}
    return entries | {LISTS: lists, TENSORS: [tensor.name for tensor in reader.tensors]}


def check_served(metadata: dict[str, Any]) -> None:
    """Refuse what cannot be converted faithfully.

    Raises:
        ModelError: another architecture, one part of several, or a tokenizer whose splitting is not known.
    """
    architecture = metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise ModelError(f"architecture {architecture!r}", expected="one of " + ", ".join(ARCHITECTURES))
    if metadata.get("split.count", 1) > 1:
        raise ModelError("one part of a split model", expected="a single file", do="join the parts with gguf-split")
    check_split(metadata)


def read_tokenizer(file: Path, metadata: dict[str, Any]) -> PreTrainedTokenizerBase:
    """Build the tokenizer that the file describes."""
    if metadata.get("tokenizer.ggml.model") == "gpt2":
        return build_tokenizer(metadata)
    return AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)


def read_model(file: Path) -> PreTrainedModel:
    """Load the weights into a plain model.

    The loaded model is marked as quantised and refuses to be saved, so its weights move to a fresh one.

    Raises:
        ModelError: tensors are missing.
    """
    options = {"quantization_config": transformers.GgufConfig(dequantize=True)} if _can_stay_packed() else {}
    loaded, info = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype=torch.bfloat16,
        output_loading_info=True,
        trust_remote_code=False,
        **options,
    )
    if info["missing_keys"]:
        raise ModelError(f"tensors missing: {', '.join(sorted(info['missing_keys'])[:3])}", expected="a complete file")
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.tie_weights()
    return plain


def _can_stay_packed() -> bool:
    """Whether this transformers could keep the weights quantised, and has to be told not to."""
    return hasattr(transformers, "GgufConfig")


def check_tokenizer(folder: Path, metadata: dict[str, Any]) -> None:
    """Check that every reader of the saved tokenizer gets the same ids, and the special tokens the file asks for.

    Raises:
        ModelError: they do not.
    """
    rust = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    python = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    for text in _PROBES:
        if rust.encode(text).ids != python(text)["input_ids"]:
            raise ModelError(f"the saved tokenizer reads {text!r} in two ways", expected="equal ids")
    ids = rust.encode("a").ids
    for key, place, name in (("add_bos_token", 0, "bos"), ("add_eos_token", -1, "eos")):
        wanted = metadata.get(f"tokenizer.ggml.{key}")
        present = ids[place] == metadata.get(f"tokenizer.ggml.{name}_token_id")
        if wanted is not None and bool(wanted) != present:
            raise ModelError(f"the tokenizer's {name} token: {present}", expected=f"{bool(wanted)}, as the file says")


def main(source: str, target: str) -> int:
    """Convert, and say on stdout how it went."""

    def say(event: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    try:
        convert(Path(source), Path(target), lambda step, fraction: say({"step": step, "fraction": fraction}))
    except Exception as error:  # the caller gets one line, the log the rest
        traceback.print_exc()
        say({"error": str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"})
        return 1
    say({"versions": {name: version(name) for name in PACKAGES}})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
