"""Conditions that a process puts itself under before it works: a limit on files, places that cannot be written.

They are the real ones: the kernel refuses, nothing in the program is replaced.
"""

import ctypes
import os
import resource
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_NEW_MOUNTS = 0x00020000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 1 << 14, 1 << 18
_CAPABILITIES, _OVERRIDE = 0x20080522, 1 << 1  # version of the interface, CAP_DAC_OVERRIDE


def limit_files(size: int) -> None:
    """Let no file of this process grow beyond so many bytes, as `ulimit -f` does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def make_read_only(folders: Iterable[str | Path]) -> None:
    """Make folders read-only for this process alone.

    Root mounts them so, in mounts of its own. Where it may not, as in most containers, and for others, the folders lose
    their permission to write, and root its power to write all the same.

    Raises:
        OSError: neither can be had.
    """
    wanted = [os.fsencode(Path(folder).absolute()) for folder in folders]
    if not wanted:
        return
    if os.geteuid() == 0:
        try:
            _mount_read_only(wanted)
            return
        except PermissionError:
            _obey_permissions()
    for folder in wanted:
        Path(os.fsdecode(folder)).chmod(0o555)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], None]]:
    """Put a file system of so many bytes, in memory, on a folder; only this process and its children see it.

    Yields:
        A function that lifts the limit.

    Raises:
        PermissionError: this process may not mount.
    """
    place = os.fsencode(folder.absolute())

    def mount(size: int, flags: int) -> None:
        options = f"size={size}".encode()
        _call("mount", b"tmpfs", place, b"tmpfs", ctypes.c_ulong(flags), options)

    _own_mounts()
    mount(size, 0)
    try:
        yield lambda: mount(1 << 30, _REMOUNT)
    finally:
        _call("umount2", place, ctypes.c_int(0))


def _mount_read_only(folders: Sequence[bytes]) -> None:
    _own_mounts()
    for folder in folders:
        _call("mount", folder, folder, None, ctypes.c_ulong(_BIND), None)
        _call("mount", None, folder, None, ctypes.c_ulong(_BIND | _REMOUNT | _READ_ONLY), None)


def _own_mounts() -> None:
    """Have mounts that no other process sees."""
    _call("unshare", _NEW_MOUNTS)
    _call("mount", b"none", b"/", None, ctypes.c_ulong(_PRIVATE | _RECURSIVE), None)


def _obey_permissions() -> None:
    """Give up the capability by which root writes what its owner may not."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; capabilities 0 to 31, then the others
    _call("capget", header, sets)
    for place in (0, 1):
        sets[place] &= ~_OVERRIDE & 0xFFFFFFFF
    _call("capset", header, sets)


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library that gives 0 when it went well."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
