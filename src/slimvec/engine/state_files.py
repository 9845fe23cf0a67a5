"""Open texts in files, and the guard that they go on with the model that began them.

A file holds keys, values, states and token ids, and the states of a fixed sentence. A model that gives that sentence
other states would go on with keys and values that are not its own; it is refused. Comparing states and not weights
asks what matters: the same model in another folder, or by other kernels, passes; a trained copy does not.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from slimvec.engine.append import ComputedText, TextState
from slimvec.engine.fused import FusedDecoder, KeyValues
from slimvec.engine.parts import HasParts, causal_decoder
from slimvec.errors import InputError, ModelError
from slimvec.files import atomic_file
from slimvec.text.batch import PackedBatch
from slimvec.text.located import locate
from slimvec.text.prompts import Role

FORMAT = 1
PROBE = "The cat sat on the mat, and 7 dogs barked."
_TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
"""Largest relative error of the probe's states: what another order of sums makes of a few dozen layers."""
_INT8_TOLERANCE = 8e-2
"""The same in int8, where another machine's calibration may round other weights: a cosine of .997."""
_TENSORS = ("ids", "keys", "values", "states", "probe")


def save_state(parts: HasParts, computed: ComputedText, path: Path, *, force: bool) -> None:
    """Write an open text.

    Args:
        parts: The embedder that ran it.
        computed: The text.
        path: Where.
        force: Replace what is there.

    Raises:
        InputError: the path exists.
        StorageError: it cannot be written.
    """
    decoder = causal_decoder(parts)
    tensors = {
        "ids": torch.tensor(computed.ids),
        "keys": computed.kv.keys.contiguous(),
        "values": computed.kv.values.contiguous(),
        "states": computed.states.contiguous(),
        "probe": _probe(parts, decoder),
    }
    about = {
        "format": FORMAT,
        "decoder": _shape_of(decoder),
        "dtype": str(decoder.dtype),
        "int8": decoder.int8,
        "text": computed.text,
        "role": computed.role,
        "prompt": computed.prompt,
        "num_computed": computed.num_computed,
    }
    with atomic_file(path, force=force) as temporary:
        save_file(tensors, temporary, metadata={"slimvec_text_state": json.dumps(about)})


def load_state(parts: HasParts, path: str | Path) -> TextState:
    """Read an open text, to go on with it.

    Pooling and dims may be others than they were: they are applied when a vector is asked for.

    Args:
        parts: The embedder that ran it, or the same model loaded again.
        path: What `TextState.save` wrote.

    Raises:
        InputError: no such file, another kind of file, or one of another version.
        ModelError: another model, dtype or tokenizer wrote it; or this one cannot go on with any.
    """
    path = Path(path)
    about, tensors = _read(path)
    role: Role = "query" if about.get("role") == "query" else "document"
    parts = parts.for_role(role)
    decoder = causal_decoder(parts)
    _check_model(parts, decoder, path, about, tensors["probe"])
    tokens = locate(parts.tokenizer, about["text"], prompt=about["prompt"])
    if tokens.sequence != tensors["ids"].tolist():
        raise ModelError(f"{path} has other tokens for its text", expected="the tokenizer that wrote it")
    computed = ComputedText(
        text=about["text"],
        role=role,
        prompt=about["prompt"],
        ids=tokens.sequence,
        prefix_length=tokens.prefix_length,
        states=tensors["states"],
        kv=KeyValues(tensors["keys"], tensors["values"]),
        num_computed=about["num_computed"],
    )
    return TextState(parts, computed)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what a file says about itself, and its tensors."""
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected="a saved text state", do="check the path")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("slimvec_text_state", "{}"))
            if about.get("format") == FORMAT:
                return about, {name: file.get_tensor(name) for name in _TENSORS}
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read: {error}", expected="a saved text state") from error
    version = f"is of version {about['format']}" if "format" in about else "is not a saved text state"
    raise InputError(f"{path} {version}", expected=f"one of version {FORMAT}", do="open the text again")


def _check_model(parts: HasParts, decoder: FusedDecoder, path: Path, about: dict[str, Any], probe: Tensor) -> None:
    """Refuse a file that another model wrote."""
    in_int8 = about.get("int8", False)
    written, own = _precision(about["dtype"], in_int8), _precision(str(decoder.dtype), decoder.int8)
    if written != own:
        raise ModelError(
            f"{path} was computed in {written}",
            expected=own,
            do=f"load the model with dtype={('int8' if in_int8 else about['dtype'].removeprefix('torch.'))!r}",
        )
    tolerance = _INT8_TOLERANCE if in_int8 else _TOLERANCES[decoder.dtype]
    found = _probe(parts, decoder) if about["decoder"] == _shape_of(decoder) else None
    if found is None or found.shape != probe.shape or not _error(found, probe) <= tolerance:
        raise ModelError(
            f"{path} was written by another model",
            expected="the model that wrote it",
            do="load that one, or open the text again",
        )


def _precision(dtype: str, in_int8: bool) -> str:
    """Name what keys and values are held in, and whether products are int8."""
    return f"{dtype} and torch.int8" if in_int8 else dtype


def _shape_of(decoder: FusedDecoder) -> str:
    """Hash of a decoder's shapes and constants."""
    return hashlib.sha256(repr(decoder.spec).encode()).hexdigest()


def _probe(parts: HasParts, decoder: FusedDecoder) -> Tensor:
    """States [T, H] of the probe text."""
    return decoder(PackedBatch.from_sequences([locate(parts.tokenizer, PROBE).sequence]))


def _error(found: Tensor, expected: Tensor) -> float:
    """Relative error of states, over all tokens."""
    return float((found - expected).norm() / expected.norm())
