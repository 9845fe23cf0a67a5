"""What a GGUF file says about the use of its model, written into the converted folder: pooling, attention, length."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from slimvec.errors import ModelError
from slimvec.model.json_files import read_json, read_object, write_json
from slimvec.model.modules import MODULES_NAME
from slimvec.model.settings_table import GGUF

_POOLINGS = {1: "pooling_mode_mean_tokens", 2: "pooling_mode_cls_token", 3: "pooling_mode_lasttoken"}
"""By llama.cpp's numbers. 0 is none, -1 unsaid, 4 a reranker."""
LISTS = "_lists"
"""Where the names of other lists than the tokenizer's are in the metadata; what they hold is not read."""
UNKNOWN_NAME = "unknown_gguf_keys.json"
_FOREIGN_TENSORS = ("rope_freqs.", "rope_factors_", "cls.", "classifier", "dense_")


def check_settings(source: Path, metadata: dict[str, Any], tensors: Iterable[str]) -> list[str]:
    """Refuse a file whose vectors would be others than its maker meant.

    Args:
        source: The file, for messages.
        metadata: Its entries.
        tensors: Names of its tensors.

    Returns:
        Keys that slimvec does not know.

    Raises:
        ModelError: a reranker, scaled positions, or anything else that is not served.
    """
    lists = dict.fromkeys(metadata.get(LISTS, ()), "a list")
    entries = {_short(name, metadata): value for name, value in (lists | metadata).items()}
    GGUF.check(source, entries)
    unknown = [name for name in entries if GGUF.find(name) is None and not name.startswith("_")]
    pooling = _own(metadata, "pooling_type")
    if pooling == 4:
        raise ModelError("pooling_type 4, a reranker", expected="a model that gives vectors")
    if pooling not in (None, -1, 0, *_POOLINGS):
        raise ModelError(f"pooling_type {pooling!r}", expected=f"one of 0, {', '.join(map(str, _POOLINGS))}")
    odd = sorted(name for name in tensors if name.startswith(_FOREIGN_TENSORS))
    if odd:
        raise ModelError(
            f"tensors {', '.join(odd[:3])}, which transformers does not read",
            expected="a plain decoder",
            do="use the model's original folder",
        )
    return unknown


def write_settings(target: Path, metadata: dict[str, Any], unknown: Sequence[str]) -> None:
    """Write what the file says into the files that say it in a model folder.

    Args:
        target: The converted folder.
        metadata: Entries of the file.
        unknown: Keys that slimvec does not know, to be warned of whenever the folder is opened.
    """
    if unknown:
        write_json(target / UNKNOWN_NAME, list(unknown))
    if _own(metadata, "attention.causal") is False:
        config = read_object(target / "config.json")
        write_json(target / "config.json", config | {"is_causal": False})
    pooling = _POOLINGS.get(_own(metadata, "pooling_type") or 0)
    if pooling is None:
        return
    width = int(_own(metadata, "embedding_length"))
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]
    write_json(target / MODULES_NAME, entries)
    write_json(target / "1_Pooling/config.json", {"word_embedding_dimension": width, pooling: True})
    (target / "2_Normalize").mkdir()
    if length := _own(metadata, "context_length"):
        write_json(target / "sentence_bert_config.json", {"max_seq_length": int(length), "do_lower_case": False})


def unknown_keys(folder: Path) -> tuple[str, ...]:
    """Say, in a line each, which keys of the GGUF file that a folder was made of slimvec does not know."""
    found = read_json(folder / UNKNOWN_NAME, missing=[])
    return tuple(f"the GGUF file has a key {key!r} that slimvec does not know; it may change vectors" for key in found)


def _own(metadata: dict[str, Any], key: str) -> Any:
    """Give an entry of the file's architecture."""
    return metadata.get(f"{metadata.get('general.architecture')}.{key}")


def _short(name: str, metadata: dict[str, Any]) -> str:
    """Leave the architecture out of a key's name."""
    return name.removeprefix(f"{metadata.get('general.architecture')}.")
