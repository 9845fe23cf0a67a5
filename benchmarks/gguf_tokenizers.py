"""Tokenizers built from GGUF files beside llama.cpp's own ids: `python -m benchmarks.gguf_tokenizers TEXTS FILE...`.

TEXTS is a folder of .jsonl.gz files with a "text" in every line (SIB-200: 205 languages). Every FILE is held against
llama.cpp as it is; then the first byte-level one is given every splitting that slimvec knows in turn, on every tenth
text. Texts are composed (NFC) first: llama.cpp leaves that out, which the models' own tokenizers do not.
"""

import argparse
import gzip
import json
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import gguf
from llama_cpp import Llama

from slimvec.model.gguf_conversion import read_metadata, read_tokenizer
from slimvec.model.gguf_splits import SPLITS

MORE = ("def f(x):\n\treturn x**2  # ok", "it's   1234567 or 3.14, WE'LL\r\n\r\n see", " \n \n ", "a\u200bb\u00a0c  ")


def read_texts(folder: Path) -> list[str]:
    """Read every text once."""
    found: dict[str, None] = dict.fromkeys(MORE)
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found |= dict.fromkeys(unicodedata.normalize("NFC", json.loads(line)["text"]) for line in lines)
    return list(found)


def differing(file: Path, texts: Sequence[str]) -> Iterator[str]:
    """Yield the texts that slimvec and llama.cpp read as other tokens."""
    metadata = read_metadata(file)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.gguf").symlink_to(file.resolve())
        ours = read_tokenizer(Path(folder) / "model.gguf", metadata)
    theirs = Llama(str(file), vocab_only=True, verbose=False)
    for text, ids in zip(texts, ours(list(texts))["input_ids"], strict=True):
        if theirs.tokenize(text.encode(), add_bos=True, special=True) != ids:
            yield text


def respelt(file: Path, split: str, target: Path) -> None:
    """Write the tokenizer of a file alone, under another splitting."""
    fields = gguf.GGUFReader(file).fields
    writer = gguf.GGUFWriter(target, "llama")
    for name, field in fields.items():
        if not name.startswith("tokenizer.ggml.") or name.endswith((".pre", "add_bos_token")):
            continue
        value = field.contents()
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_uint32(name, value)
    writer.add_tokenizer_pre(split)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def report(name: str, file: Path, texts: Sequence[str]) -> None:
    """Print how many texts differ, and the first."""
    found = list(differing(file, texts))
    print(f"{name}: {len(found)} of {len(texts):,} texts differ", *(repr(text[:80]) for text in found[:2]), flush=True)


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--splits", default=" ".join(SPLITS), help="which, in place of all")
    parser.add_argument("--skip-files", action="store_true", help="go to the splittings at once")
    arguments = parser.parse_args()
    texts = read_texts(arguments.texts)
    byte_level = [file for file in arguments.files if read_metadata(file).get("tokenizer.ggml.model") == "gpt2"]
    for file in () if arguments.skip_files else arguments.files:
        report(file.name, file, texts)
    with tempfile.TemporaryDirectory() as folder:
        for split in arguments.splits.split() if byte_level else ():
            path = Path(folder) / "tokenizer.gguf"
            respelt(byte_level[0], split, path)
            report(f"{byte_level[0].name} as {split}", path, texts[: len(MORE)] + texts[len(MORE) :: 10])


if __name__ == "__main__":
    main()
