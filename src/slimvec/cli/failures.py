"""How a command ends when it does not end well: one line on stderr and an exit code, never a traceback unasked.

Exit codes: 0 done, 1 failed, 2 wrong use or bad input, 130 stopped with Ctrl-C, 141 the reader of a pipe went away.
"""

import errno
import sys
import traceback

import typer

from slimvec.errors import PeerError, SlimvecError

FAILED, WRONG_USE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Interrupted(KeyboardInterrupt):  # no error: the user asked for it
    """Ctrl-C, after the work has been put in order.

    Args:
        message: What was saved, and how to go on.
    """


def report(error: BaseException, *, debug: bool, muted: bool = False) -> int:
    """Tell the user what went wrong.

    Args:
        error: What escaped from a command.
        debug: Show the traceback too.
        muted: One of several processes, of which another one tells that the user stopped them.

    Returns:
        The exit code.
    """
    if isinstance(error, BrokenPipeError):
        return PIPE_CLOSED
    if debug:
        traceback.print_exception(error)
    message, code = _verdict(error)
    if isinstance(error, PeerError) or (muted and isinstance(error, KeyboardInterrupt)):
        return code
    print(" ".join(message.split()), file=sys.stderr, flush=True)  # noqa: T201
    return code


def _verdict(error: BaseException) -> tuple[str, int]:
    """Give the line to print and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted", INTERRUPTED
    if isinstance(error, SlimvecError):
        return f"error: {error}", error.exit_code
    if isinstance(error, typer.TyperException):
        return f"error: {_usage(error)}", WRONG_USE
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        place = f" {error.filename}" if error.filename else ""
        return f"error: cannot write{place}: {error.strerror}; free some space or choose another place", WRONG_USE
    if isinstance(error, MemoryError):
        return "error: out of memory; try shorter texts, a smaller batch or a smaller model", FAILED
    return f"error: {type(error).__name__}: {error}; run with --debug for the traceback", FAILED


def _usage(error: typer.TyperException) -> str:
    """Say what is wrong with the command line, and where help is."""
    message = error.format_message().rstrip(".").replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    return f"{message}; see `{context.command_path} --help`" if context is not None else message
