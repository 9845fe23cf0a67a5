"""States behind the frozen layers, kept on disk: for epochs, variants and seeds over the same texts.

Below `$SLIMVEC_CACHE/states/`, a folder for each set of frozen layers, named by a hash of their weights, config and
dtype; in it a file for each run that wrote, which only grows:

    key (16 bytes, of the text's tokens) | tokens, checksum (uint32 each) | states [T, H] as computed

Nothing is rewritten, so a killed run leaves whole records and perhaps a torn one at the end, which nobody reads. All
folders together stay below the bound: older ones of other layers go first, then nothing more is kept.
"""

import os
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from slimvec.model.backbone import TransformersBackbone
from slimvec.model.cache import cache_root
from slimvec.model.frozen_layers import LowerStates
from slimvec.text.batch import PackedBatch

_HEADER = struct.Struct("<16sII")
_FORM = "1"
GB = 1 << 30
"""What sizes are given in, by whoever has states kept."""


@dataclass(frozen=True)
class _Place:
    """Where the states of a text lie."""

    file: BinaryIO
    start: int
    num_tokens: int
    checksum: int


class StateCache:
    """Reads and writes states of texts.

    Args:
        folder: Folder of the layers; made if missing.
        width: H.
        dtype: Data type of the states.
        max_bytes: Size in bytes, at most, of this folder and its neighbours.
    """

    def __init__(self, folder: Path, *, width: int, dtype: torch.dtype, max_bytes: int) -> None:
        self._folder, self._width, self._dtype, self._max_bytes = folder, width, dtype, max_bytes
        self._places: dict[bytes, _Place] = {}
        self._files = ExitStack()
        self._own: BinaryIO | None = None
        self._is_full = False
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        for path in sorted(folder.glob("*.states")):
            self._read_index(self._files.enter_context(path.open("rb")))
        self._room = max_bytes - _size(folder.parent)

    def get(self, key: bytes) -> Tensor | None:
        """Give the states [T, H] of a text; None where they are not there, or not whole."""
        place = self._places.get(key)
        if place is None:
            return None
        data = bytearray(os.pread(place.file.fileno(), place.num_tokens * self._row, place.start))
        if zlib.crc32(data) != place.checksum:
            del self._places[key]
            return None
        return torch.frombuffer(data, dtype=self._dtype).view(place.num_tokens, self._width)

    def put(self, key: bytes, states: Tensor) -> None:
        """Keep the states [T, H] of a text, as long as there is room for them; a disk that is full ends that too."""
        size = _HEADER.size + states.shape[0] * self._row
        if self._is_full or key in self._places or not self._make_room(size):
            return
        data = states.to("cpu", self._dtype).contiguous().view(torch.uint8).numpy().tobytes()
        checksum = zlib.crc32(data)
        try:
            file = self._own or self._begin()
            start = file.seek(0, os.SEEK_END)
            file.write(_HEADER.pack(key, states.shape[0], checksum) + data)
            file.flush()
        except OSError:
            self._is_full = True
            return
        self._room -= size
        self._places[key] = _Place(file, start + _HEADER.size, states.shape[0], checksum)

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    @property
    def _row(self) -> int:
        """Bytes of the states of a token."""
        return self._width * self._dtype.itemsize

    def _begin(self) -> BinaryIO:
        """Open the file that this run writes."""
        self._own = self._files.enter_context((self._folder / f"{uuid.uuid4().hex}.states").open("w+b"))
        return self._own

    def _read_index(self, file: BinaryIO) -> None:
        """Take the whole records of a file over."""
        size, start = os.fstat(file.fileno()).st_size, 0
        while start + _HEADER.size <= size:
            key, num_tokens, checksum = _HEADER.unpack(os.pread(file.fileno(), _HEADER.size, start))
            start += _HEADER.size
            if start + num_tokens * self._row > size:
                return
            self._places[key] = _Place(file, start, num_tokens, checksum)
            start += num_tokens * self._row

    def _make_room(self, size: int) -> bool:
        """Tell whether so many bytes fit, after states of other layers are gone, the oldest first."""
        others = [path for path in self._folder.parent.iterdir() if path != self._folder] if self._room < size else []
        for path in sorted(others, key=lambda path: path.stat().st_mtime):
            if self._room < size:
                freed = _size(path)
                shutil.rmtree(path, ignore_errors=True)
                self._room += freed
        self._is_full = self._room < size
        return not self._is_full


@contextmanager
def kept_states(
    states: LowerStates, backbone: TransformersBackbone, number: int, *, max_bytes: int
) -> Iterator[LowerStates]:
    """Keep what gives the states of the frozen layers from computing those of a text twice.

    Args:
        states: Computes them.
        backbone: With the layers in place.
        number: How many layers.
        max_bytes: Size in bytes, at most, of all states in the cache.
    """
    folder = cache_root() / "states" / _identity(backbone, number)
    cache = StateCache(folder, width=backbone.dims, dtype=backbone.hf_model.dtype, max_bytes=max_bytes)

    def read(batch: PackedBatch) -> Tensor:
        texts = [ids.numpy() for ids in torch.split(batch.input_ids.cpu(), list(batch.lengths))]
        keys = [blake2b(ids.tobytes(), digest_size=16).digest() for ids in texts]
        found = [cache.get(key) for key in keys]
        missing = [index for index, rows in enumerate(found) if rows is None]
        if missing:
            new = states(PackedBatch.from_sequences([texts[index].tolist() for index in missing]))
            new = new.to("cpu", backbone.hf_model.dtype)
            parts = torch.split(new, [batch.lengths[index] for index in missing])
            for index, rows in zip(missing, parts, strict=True):
                cache.put(keys[index], rows)
                found[index] = rows
        return torch.cat([rows for rows in found if rows is not None])

    try:
        yield read
    finally:
        cache.close()


def _identity(backbone: TransformersBackbone, number: int) -> str:
    """Hash what the states depend on but the tokens: weights, config and dtype."""
    digest = blake2b(digest_size=16)
    config = {key: value for key, value in backbone.config.to_dict().items() if not key.startswith("_")}
    digest.update(repr([_FORM, number, backbone.mode, backbone.recency, sorted(config.items(), key=str)]).encode())
    layers = max((part for part in backbone.hf_model.modules() if isinstance(part, torch.nn.ModuleList)), key=len)
    for module in (backbone.hf_model.get_input_embeddings(), *layers[:number]):
        for name, parameter in module.named_parameters():
            digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _size(folder: Path) -> int:
    """Count the bytes of the files below a folder; those that go meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*.states"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
