"""How a command ends when it does not end well: one line on stderr and an exit code, never a traceback unasked.

With `--json` the same is one object on stdout: `error`, `expected`, `do` (both may be null) and `code`.
Exit codes: 0 done, 1 failed, 2 wrong use or bad input, 130 stopped by Ctrl-C or SIGTERM, 141 a pipe lost its reader.
"""

import errno
import json as json_
import os
import sys
import traceback
from dataclasses import dataclass

import typer

from slimvec.errors import PeerError, SlimvecError
from slimvec.reports.shown import one_line, plain

FAILED, WRONG_USE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WRONG_PLACE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EBADF,
)


AGAIN = "run the same command again"
"""What one who stopped a command reads, where that goes on from what is kept."""


class Interrupted(KeyboardInterrupt):  # no error: the user asked for it
    """Ctrl-C, after the work has been put in order.

    Args:
        message: What was saved, and how to go on.
    """


@dataclass(frozen=True)
class Failure:
    """How a command ended.

    Attributes:
        line: For people.
        error: What was found.
        code: Exit code.
        expected: What would have been right; empty when the error does not say.
        do: What the reader can do now; empty when the error does not say.
    """

    line: str
    error: str
    code: int
    expected: str = ""
    do: str = ""

    def as_json(self) -> str:
        """Give the object that `--json` prints."""
        parts = {"error": self.error, "expected": self.expected or None, "do": self.do or None, "code": self.code}
        return json_.dumps(parts)


def report(error: BaseException, *, debug: bool, json: bool = False, muted: bool = False) -> int:
    """Tell the user what went wrong.

    Args:
        error: What escaped from a command.
        debug: Show the traceback too.
        json: Print it as an object on stdout too.
        muted: One of several processes, of which another one tells that the user stopped them.

    Returns:
        The exit code.
    """
    if isinstance(error, BrokenPipeError):
        return PIPE_CLOSED
    failure = _failure(error)
    if isinstance(error, PeerError) or (muted and isinstance(error, KeyboardInterrupt)):
        if debug:
            _show_traceback(error)
        return failure.code
    try:
        if debug:
            _show_traceback(error)
        print(one_line(failure.line), file=sys.stderr, flush=True)  # noqa: T201
        if json:
            print(failure.as_json(), flush=True)  # noqa: T201
    except BrokenPipeError:
        return PIPE_CLOSED
    except OSError:  # stderr or stdout is what cannot be written: the exit code is all that is left to say it
        discard_stdout()
    return failure.code


def discard_stdout() -> None:
    """Let go of what is left in the buffer of stdout and cannot be written; Python would try again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_traceback(error: BaseException) -> None:
    print(plain("".join(traceback.format_exception(error))), end="", file=sys.stderr, flush=True)  # noqa: T201


def _failure(error: BaseException) -> Failure:
    """Describe an error."""
    if isinstance(error, KeyboardInterrupt):
        message = one_line(str(error)) or "interrupted"
        return Failure(message, message, INTERRUPTED)
    if isinstance(error, SlimvecError):
        return Failure(f"error: {error}", error.found, error.exit_code, error.expected, error.do)
    if isinstance(error, typer.TyperException):
        return _usage(error)
    if isinstance(error, OSError) and error.errno in (*_NO_ROOM, *_WRONG_PLACE):
        return _refused(error)
    if isinstance(error, MemoryError):
        return _failed("out of memory", "try shorter texts, a smaller batch or a smaller model", FAILED)
    return _failed(f"{type(error).__name__}: {one_line(str(error))}", "run with --debug for the traceback", FAILED)


def _failed(error: str, do: str, code: int) -> Failure:
    return Failure(f"error: {error}; {do}" if do else f"error: {error}", error, code, do=do)


def _refused(error: OSError) -> Failure:
    """Describe what the operating system refused."""
    place = f" {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    if error.errno in _NO_ROOM:
        do = "free some space or choose another place"
        return _failed(f"cannot write{place}: {error.strerror}", do, WRONG_USE)
    return _failed(f"cannot use{place}: {error.strerror}", "check the path and its permissions", WRONG_USE)


def _usage(error: typer.TyperException) -> Failure:
    """Say what is wrong with the command line, and where help is."""
    message = error.format_message().rstrip(".").replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    return _failed(one_line(message), f"see `{context.command_path} --help`" if context is not None else "", WRONG_USE)
