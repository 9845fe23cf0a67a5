"""One writer at a time: locks that the operating system frees when their holder dies, and that name their holder.

A command that writes an output holds `.NAME.lock` beside it from before its work until its end; whoever finds it held
is told by which process, which command and since when. Where the file system knows no locks there are none.
"""

import errno
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path

from slimvec.errors import InputError
from slimvec.files import check_free, check_kind, make_parents, recover, remove_partial, storage_errors, swept

_HELD: dict[Path, int] = {}
"""By lock file, the thread of this process that holds it."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_FAR = 1 << 30  # Windows keeps others from reading what is locked: not the beginning, where the holder stands


@contextmanager
def reserved(output: str | Path, *, force: bool) -> Iterator[None]:
    """Hold an output path while the body works on what will be there, so that the end of the work is no surprise.

    Before the body begins, the path is free (or `force`), its folder is there and can be written, no other process
    writes it, and what a killed one left is cleared away: partial files go, and a folder that it had moved aside to
    replace it comes back.

    Args:
        output: A file or folder that the body writes.
        force: Replace what is there.

    Raises:
        InputError: it exists without `force`, is not a file or folder, or another process writes it.
        StorageError: nothing can be written there.
    """
    path = Path(output)
    check_kind(path)
    check_free(path, force=force)
    with ExitStack() as stack:
        with storage_errors(path):
            stack.enter_context(make_parents(path))
            stack.enter_context(held(_lock_path(path), f"writes {path}", _OTHER_OUTPUT, again=True))
            recover(path)
            remove_partial(path)
        check_free(path, force=force)
        yield


_OTHER_OUTPUT = "wait for it or stop it, or choose another output"


def _lock_path(path: Path) -> Path:
    path = path.resolve()
    return path.with_name(f".{path.name}.lock")


@contextmanager
def held(lock: Path, doing: str, do: str, *, keep: bool = False, again: bool = False) -> Iterator[None]:
    """Hold a lock file while the body works.

    Args:
        lock: The file; it is made.
        doing: What its holder does, for the message: `writes PATH`.
        do: What the reader of the message can do.
        keep: Leave the file there at the end.
        again: A thread that holds it already may ask again: a command and the function that does its work.

    Raises:
        InputError: another process or thread holds it.
        OSError: the file cannot be made.
    """
    lock, own = lock.resolve(), threading.get_ident()
    if again and _HELD.get(lock) == own:
        yield
        return
    descriptor = _acquire(lock)
    if descriptor is None:
        raise InputError(f"another process {doing}: {_read_holder(lock)}", expected="one at a time", do=do)
    _HELD[lock] = own
    try:
        with nullcontext() if keep else swept(lock):
            yield
    finally:
        del _HELD[lock]
        if not keep:
            with suppress(OSError):  # Windows: it is open; what is left there says nothing once it is free
                lock.unlink()
        os.close(descriptor)


def _acquire(lock: Path) -> int | None:
    """Open and lock a file and write this process into it: its descriptor, or None when another holds it."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(descriptor):
                os.close(descriptor)
                return None
            # The last holder may have removed the file between our opening and locking it: then it locks nothing.
            if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
                _write_holder(descriptor, lock)
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _write_holder(descriptor: int, lock: Path) -> None:
    """Write this process into a file that it has locked; one that cannot be written goes again."""
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, _holder().encode())
    except OSError:
        with suppress(OSError):
            lock.unlink()
        raise


def _lock(descriptor: int) -> bool:
    """Lock an open file for this process, without waiting."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return True
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


def _holder() -> str:
    """Describe this process for those who find its lock held; without the command's arguments, which may be secret."""
    command = " ".join([Path(sys.argv[0]).name or "python", *sys.argv[1:2]])
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()} ({command}, since {since})"


def _read_holder(lock: Path) -> str:
    """Read who holds a lock; it may be about to write it, or have let go."""
    with suppress(OSError):
        return lock.read_text(encoding="utf-8", errors="replace") or "one that has just begun"
    return "one that has just ended"
