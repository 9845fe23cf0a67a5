"""The tensors of a model folder by name: found as transformers finds them, read one at a time, held against the model.

safetensors are mapped and not copied. A `pytorch_model.bin` is a pickle: it is read by torch's reader for tensors
alone (`weights_only`), which runs no code, and only where a folder has no safetensors.
"""

import json
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from slimvec.errors import ModelError
from slimvec.files import FileState, sha256_of_json
from slimvec.model.cache import is_noted, note

_FORMS = ("model.safetensors", "pytorch_model.bin")
_LFS_START = b"version https://git-lfs"
_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_PASSED_OVER = re.compile(
    r"(?:(?:model|bert|roberta)\.)?(?:lm_head|cls|pooler|classifier|score|qa_outputs)\..*"
    r"|.*\.?(?:rotary_emb\.inv_freq|position_ids|masked_bias)"
)
"""Heads behind the states, and tables that are computed and not trained."""


class WeightFiles:
    """The tensors of a model's files.

    Args:
        folder: Holds `model.safetensors`, or `pytorch_model.bin`, whole or in parts with an index.

    Attributes:
        folder: Where they lie.
        paths: The files.
        mapped: Whether tensors lie in a map of their file, which stays as long as one of them does.

    Raises:
        ModelError: there are none, or a file is missing, cut or no file of tensors.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths, promised = _find(folder)
        handles = {path: _open(path) for path in self.paths}
        self._handles = {name: handle for handle in handles.values() for name in _names(handle)}
        self.mapped = any(_is_mapped(path) for path in self.paths)
        absent = sorted(promised - self._handles.keys())
        if absent:
            raise ModelError(
                f"weights of {folder}: the index has {absent[0]}, which is in none of its files",
                expected=f"{len(promised)} tensors, {len(absent)} of them are missing",
                do="copy the folder again, whole",
            )

    @property
    def names(self) -> Collection[str]:
        """Names of all tensors, as stored."""
        return self._handles.keys()

    def read(self, name: str) -> Tensor:
        """Read a tensor, in the dtype and, for safetensors, in the memory of its file.

        Raises:
            KeyError: there is none of that name.
            ModelError: it holds no floating-point numbers, or cannot be read.
        """
        handle = self._handles[name]
        try:
            tensor: Tensor = handle[name] if isinstance(handle, Mapping) else handle.get_tensor(name)
        except (SafetensorError, RuntimeError, OSError) as error:
            raise ModelError(f"{name} of {self.folder} cannot be read: {error}", do="copy the folder again") from error
        if tensor.dtype not in _DTYPES and not is_passed_over(name):
            raise ModelError(
                f"{name} of {self.folder} is {str(tensor.dtype).removeprefix('torch.')}",
                expected="float32, bfloat16 or float16",
                do="take the model's weights before they were quantised",
            )
        return tensor

    def check_finite(self) -> None:
        """Refuse weights that are NaN or infinite: every vector they touch would be. Looked at once a copy.

        Raises:
            ModelError: a tensor has such a number; it is named.
        """
        states = [(str(path.resolve()), *FileState.of(path)) for path in self.paths]
        fingerprint = sha256_of_json(states)
        if is_noted("finite", fingerprint):
            return
        for name in sorted(self.names):
            if not is_passed_over(name):
                refuse_not_finite(self.read(name), f"{name} of {self.folder}")
        note("finite", fingerprint, str(self.folder.resolve()))


def refuse_not_finite(tensor: Tensor, place: str) -> None:
    """Refuse a tensor with NaN or infinity, at the speed of memory.

    Args:
        tensor: Any floating-point tensor.
        place: What it is, for the message.

    Raises:
        ModelError: it has one.
    """
    if tensor.itemsize == 1:
        tensor = tensor.float()  # torch has no minimum of numbers of 8 bits
    if tensor.numel() and not all(bool(end.isfinite()) for end in torch.aminmax(tensor)):
        bad = int((~tensor.isfinite()).sum())
        raise ModelError(
            f"{place} has {bad:,} of {tensor.numel():,} numbers that are NaN or infinite",
            expected="finite weights",
            do="copy the model again; if it came so, take it as it was before the training broke down",
        )


def is_passed_over(name: str) -> bool:
    """Whether a stored tensor is none of the backbone's: a head that it may come with, or a table of positions."""
    return _PASSED_OVER.fullmatch(name) is not None


def refuse_unaccounted(folder: Path, *, missing: Iterable[str], left: Iterable[str], misfits: Iterable[str]) -> None:
    """Refuse weights that are not those that the config calls for.

    Args:
        folder: Folder of the model.
        missing: Names of tensors that the model has a place for and the files do not hold.
        left: Names of tensors in the files that the model has no place for.
        misfits: Tensors of another shape, in words.

    Raises:
        ModelError: there is one that matters.
    """
    kinds = (("missing", missing), ("not known to it", left), ("of another shape", misfits))
    found = {what: sorted(name for name in names if not is_passed_over(name)) for what, names in kinds}
    problems = [f"{len(names):,} are {what}, as {names[0]}" for what, names in found.items() if names]
    if problems:
        raise ModelError(
            f"the tensors of {folder} are not those of its config.json: {'; '.join(problems)}",
            expected="every tensor that the config calls for, once, and no other layers",
            do="copy the folder again, whole; weights of another architecture need its own config",
        )


def _find(folder: Path) -> tuple[list[Path], set[str]]:
    """Give the files of a folder and the names that an index promises, in the order in which transformers looks."""
    for form in _FORMS:
        if (folder / form).is_file():
            return [folder / form], set()
        index = folder / f"{form}.index.json"
        if index.is_file():
            places = _read_index(index)
            return sorted({folder / file for file in places.values()}), set(places)
    raise ModelError(f"{folder} has no weights", expected=" or ".join(_FORMS), do="copy the folder again, whole")


def _read_index(path: Path) -> dict[str, str]:
    """Read which file holds which tensor."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be read: {error!r}", expected='{"weight_map": {...}}') from error
    if not isinstance(places, dict) or not places:
        raise ModelError(f"{path} has the weight_map {str(places)[:40]!r}", expected="a file by tensor")
    for file in places.values():
        if not isinstance(file, str) or not file or Path(file).name != file:
            raise ModelError(f"{path} names the file {file!r}", expected="files beside it")
    return places


def _open(path: Path) -> Any:
    """Open one file; one line says what is wrong with it."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_START))
    except OSError as error:
        raise ModelError(f"weights {path} cannot be read: {error.strerror}", do="copy the folder again") from error
    if start == _LFS_START:
        raise ModelError(
            f"{path} is a pointer of git-lfs", expected="the file itself", do="run git lfs pull where it came from"
        )
    if not start:
        raise ModelError(f"{path} is empty", expected="weights", do="copy the folder again, whole")
    if path.suffix != ".safetensors":
        return _read_pickle(path)
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"weights {path} cannot be read: {error}", expected="complete safetensors", do="copy the folder again"
        ) from error


def _is_mapped(path: Path) -> bool:
    """Whether a file is mapped into memory, and not read: all but pickles in torch's form before 1.6."""
    return path.suffix == ".safetensors" or zipfile.is_zipfile(path)


def _read_pickle(path: Path) -> Mapping[str, Tensor]:
    """Read a pickle as tensors by name and nothing else; no code in it runs."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_mapped(path))
    except Exception as error:  # pickles raise anything; torch's own advice would be to run what is in it
        raise ModelError(
            f"{path} is cut, or a pickle of more than tensors; nothing in it was run",
            expected="tensors by name, or model.safetensors",
            do="take the model in safetensors from a place you trust",
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise ModelError(f"{path} holds something else than tensors by name", expected="a model's state_dict")
    return {str(name): tensor for name, tensor in found.items()}


def _names(handle: Any) -> list[str]:
    names: list[str] = list(handle.keys())
    return names
