"""What a GGUF file says about the use of its model, written into the converted folder: pooling, attention, length."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slimvec.errors import ModelError
from slimvec.model.json_files import read_object, write_json
from slimvec.model.modules import MODULES_NAME
from slimvec.model.settings_table import GGUF

_POOLINGS = {1: "pooling_mode_mean_tokens", 2: "pooling_mode_cls_token", 3: "pooling_mode_lasttoken"}
"""By llama.cpp's numbers. 0 is none, -1 unsaid, 4 a reranker."""
_FOREIGN_TENSORS = ("rope_freqs.", "rope_factors_", "cls.", "classifier", "dense_")


def check_settings(source: Path, metadata: dict[str, Any], tensors: Iterable[str]) -> None:
    """Refuse a file whose vectors would be others than its maker meant.

    Args:
        source: The file, for messages.
        metadata: Its entries.
        tensors: Names of its tensors.

    Raises:
        ModelError: a reranker, scaled positions, or anything else that is not served.
    """
    GGUF.check(source, {_short(name, metadata): value for name, value in metadata.items()})
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


def write_settings(target: Path, metadata: dict[str, Any]) -> None:
    """Write what the file says into the files that say it in a model folder.

    Args:
        target: The converted folder.
        metadata: Entries of the file.
    """
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


def _own(metadata: dict[str, Any], key: str) -> Any:
    """Give an entry of the file's architecture."""
    return metadata.get(f"{metadata.get('general.architecture')}.{key}")


def _short(name: str, metadata: dict[str, Any]) -> str:
    """Leave the architecture out of a key's name."""
    return name.removeprefix(f"{metadata.get('general.architecture')}.")
