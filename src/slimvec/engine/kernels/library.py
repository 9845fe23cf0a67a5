"""Find and load the shared library of kernels, and choose the instruction set to use.

The library lies beside this file, put there when the package was built (hatch_build.py). Three variables of the
environment matter: `SLIMVEC_KERNELS=off` does without it, `SLIMVEC_ISA=avx2` takes that target and not the best one,
and `SLIMVEC_KERNELS_LIBRARY` names another file, which is for tests.
"""

import ctypes
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from slimvec.engine.kernels.interface import ABI_VERSION, AttentionOf, BatchOf, ModelOf, RowsOf, TargetOf
from slimvec.errors import InputError
from slimvec.model.processor import forced_isa

_FOLDER = Path(__file__).parent
_LIBRARY = "slimvec_kernels.so"
_NOTE = "slimvec_kernels.missing"
_REBUILD = "run make kernels"


@dataclass(frozen=True)
class Packing:
    """How a target wants matrices packed.

    Attributes:
        panel: Columns of a panel.
        int8_pack: Values of a column that lie side by side in int8.
        int8_bits: Bits of an activation that is multiplied with int8 weights, 8 or 16.
        int8_offset: What is added to such activations.
        halves: Whether products in float32 take weights held in bfloat16.
    """

    panel: int
    int8_pack: int = 0
    int8_bits: int = 0
    int8_offset: int = 0
    halves: bool = False


@dataclass(frozen=True)
class Target:
    """Kernels for an instruction set.

    Attributes:
        number: Its place in the library.
        name: As `SLIMVEC_ISA` has it: `avx512_bf16`, `avx2`, `neon` and others.
        missing: What the processor lacks for it; empty where it runs.
        dtypes: Weight dtypes it computes in.
        packing: Packing of its matrices.
    """

    number: int
    name: str
    missing: str
    dtypes: tuple[torch.dtype, ...]
    packing: Packing


class Library:
    """A loaded library.

    Attributes:
        targets: All it has, best first.
        sources: Hash of what it was built from.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        version = self._library.slimvec_abi_version()
        if version != ABI_VERSION:
            raise OSError(f"it has version {version} of the interface, not {ABI_VERSION}")
        self._library.slimvec_sources.restype = ctypes.c_char_p
        self._library.slimvec_targets.restype = ctypes.POINTER(TargetOf)
        for function, structures in (
            (self._library.slimvec_decode, (ModelOf, BatchOf)),
            (self._library.slimvec_run_rows, (RowsOf,)),
            (self._library.slimvec_run_attention, (AttentionOf,)),
        ):
            handed = [ctypes.POINTER(structure) for structure in structures]
            function.argtypes = [ctypes.c_int32, *handed, ctypes.c_int32, ctypes.c_char_p, ctypes.c_int64]
        self.sources = self._library.slimvec_sources().decode()
        count = ctypes.c_int32()
        found = self._library.slimvec_targets(ctypes.byref(count))
        self.targets = tuple(_read(number, found[number]) for number in range(count.value))

    def decode(self, target: Target, model: ModelOf, batch: BatchOf, num_threads: int) -> tuple[int, str]:
        """Run a batch, without Python's lock: the status, and what the library says to it."""
        return _answer(self._library.slimvec_decode, target, model, batch, num_threads=num_threads)

    def run_rows(self, target: Target, rows: RowsOf, num_threads: int) -> tuple[int, str]:
        """Run a norm or a gate, without Python's lock: the status, and what the library says to it."""
        return _answer(self._library.slimvec_run_rows, target, rows, num_threads=num_threads)

    def run_attention(self, target: Target, attention: AttentionOf, num_threads: int) -> tuple[int, str]:
        """Run attention in training, without Python's lock: the status, and what the library says to it."""
        return _answer(self._library.slimvec_run_attention, target, attention, num_threads=num_threads)


def _answer(
    function: Callable[..., int], target: Target, *handed: ctypes.Structure, num_threads: int
) -> tuple[int, str]:
    said = ctypes.create_string_buffer(512)
    status = function(target.number, *map(ctypes.byref, handed), num_threads, said, len(said))
    return status, said.value.decode(errors="replace")


def _read(number: int, found: TargetOf) -> Target:
    served = {torch.float32: True, torch.bfloat16: found.bfloat16, torch.int8: found.int8}
    return Target(
        number,
        found.name.decode(),
        found.missing.decode(),
        tuple(dtype for dtype, there in served.items() if there),
        Packing(found.panel, found.int8_pack, found.int8_bits, found.int8_offset, bool(found.halves)),
    )


@dataclass(frozen=True)
class Kernels:
    """Whether the compiled kernels can be used.

    Attributes:
        dtypes: Weight dtypes they compute in; empty when there are none. int8 comes with either of the others.
        reason: Why a dtype is missing, in words; empty when none is.
        target: The instruction set that is used; None when there are none.
        library: Where it is.
    """

    dtypes: tuple[torch.dtype, ...]
    reason: str
    target: Target | None = None
    library: Library | None = None

    def loaded(self) -> tuple[Library, Target]:
        """Give the library and the instruction set.

        Raises:
            RuntimeError: there are none.
        """
        if self.library is None or self.target is None:
            raise RuntimeError(f"there are no kernels: {self.reason}")
        return self.library, self.target

    @property
    def isa(self) -> str:
        """Name of the instruction set in use; empty when there is none."""
        return self.target.name if self.target else ""


def load_kernels() -> Kernels:
    """Load the kernels, or say why there are none: what a machine or an install lacks is never an error.

    Raises:
        InputError: `SLIMVEC_KERNELS` or `SLIMVEC_ISA` says something that there is not.
    """
    switch, isa = os.environ.get("SLIMVEC_KERNELS", ""), forced_isa() or ""
    if switch == "off":
        return Kernels((), "SLIMVEC_KERNELS=off")
    if switch:
        raise InputError(f"SLIMVEC_KERNELS={switch}", expected="off, or nothing", do="unset it")
    named = os.environ.get("SLIMVEC_KERNELS_LIBRARY", "")
    return _load(Path(named) if named else _FOLDER / _LIBRARY, isa)


def available_targets() -> tuple[Target, ...]:
    """Targets that run on this machine, best first; none where there is no library."""
    named = os.environ.get("SLIMVEC_KERNELS_LIBRARY", "")
    library = _open(Path(named) if named else _FOLDER / _LIBRARY)
    return () if isinstance(library, str) else tuple(target for target in library.targets if not target.missing)


@cache
def _load(path: Path, isa: str) -> Kernels:
    library = _open(path)
    if isinstance(library, str):
        return Kernels((), library)
    if isa and isa not in {target.name for target in library.targets}:
        names = ", ".join(target.name for target in library.targets)
        raise InputError(f"SLIMVEC_ISA={isa}", expected=f"one of {names}", do="unset it for the best there is")
    wanted = [target for target in library.targets if isa in ("", target.name)]
    usable = [target for target in wanted if not target.missing]
    if isa and not usable:
        raise InputError(
            f"SLIMVEC_ISA={isa}: the processor has no {wanted[0].missing}",
            expected=_one_of(library),
            do="unset it for the best there is",
        )
    if not usable:
        return Kernels((), f"the processor has no {wanted[-1].missing}", None, library)
    target = usable[0]
    missing = [dtype for dtype in (torch.bfloat16, torch.int8) if dtype not in target.dtypes]
    names = " and no ".join(str(dtype).removeprefix("torch.") for dtype in missing)
    return Kernels(target.dtypes, f"the kernels for {target.name} have no {names}" if names else "", target, library)


def _one_of(library: Library) -> str:
    names = ", ".join(target.name for target in library.targets if not target.missing)
    return f"one of {names}" if names else "no SLIMVEC_ISA: the processor has none of them"


@cache
def _open(path: Path) -> Library | str:
    """Open a library, or say why there is none."""
    if not path.is_file():
        note = path.with_name(_NOTE)
        return note.read_text(encoding="utf-8").strip() if note.is_file() else f"{path.name} is missing; {_REBUILD}"
    try:
        library = Library(path)
    except (OSError, AttributeError) as error:
        return f"{path.name} cannot be loaded: {error}; {_REBUILD}"
    sources = sources_hash(_FOLDER)
    if sources and sources != library.sources:
        return f"the kernels are older than their sources; {_REBUILD}"
    return library


def sources_hash(folder: Path) -> str:
    """Hash of the sources that lie in a folder, as hatch_build.py computes it; empty where none do."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".h", ".cpp", ".toml"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:24] if paths else ""
