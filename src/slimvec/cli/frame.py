"""What every command gets without asking: `--json`, `--quiet`, `--debug`, and the handling of errors."""

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any

import typer

from slimvec.cli.described import describe
from slimvec.cli.failures import Interrupted, report
from slimvec.cli.terminal import Result, Terminal
from slimvec.errors import LicenceWarning
from slimvec.interrupts import listening
from slimvec.launch import launched

_SHARED = {
    "json": Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks on stderr.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
}


def framed(command: Callable[..., Result]) -> Callable[..., None]:
    """Turn `command(terminal, ...) -> result` into a function typer can take.

    The shared options join the command's own; the result is printed when `--json` asks for it; an error becomes one
    line and an exit code.
    """
    described = describe(command)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in _SHARED.items()
    ]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        json, quiet, debug = (values.pop(name) for name in _SHARED)
        terminal = Terminal(json=json, quiet=quiet)

        def end(error: BaseException) -> int:
            if isinstance(error, KeyboardInterrupt) and not error.args and terminal.kept():
                error = Interrupted(f"interrupted; {terminal.kept()}")
            return report(error, debug=debug, json=json, muted=terminal.muted)

        stdout = sys.stdout

        def end_at_once() -> int:
            sys.stdout = stdout  # the body, which may have it redirected, is not come back to
            return end(KeyboardInterrupt())

        try:
            terminal.muted = launched().rank > 0
            if quiet or terminal.muted:
                warnings.simplefilter("ignore", LicenceWarning)
            with listening(acknowledge=terminal.acknowledge, end=end_at_once):
                with joined_processes(), terminal.clean_stdout(), terminal.outputs:
                    result = command(terminal, **described.grouped(values))
                terminal.finish(result)
        except (Exception, KeyboardInterrupt) as error:
            raise typer.Exit(end(error)) from None

    parameters = [*described.parameters, *options]
    run.__doc__ = described.prose
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def joined_processes() -> AbstractContextManager[object]:
    """Join the other processes if a launcher started several, so that an error of any of them is reported once."""
    if launched().num == 1:
        return nullcontext()
    from slimvec.training.step.processes import started

    return started()


def keys_epilog(keys: dict[str, str]) -> str:
    """Describe the keys of a command's JSON for its help."""
    width = max(map(len, keys))
    # A line with \b alone keeps the lines of its paragraph from being run together.
    return "\n".join(["\b", "Keys of --json:", *(f"  {name:{width}}  {meaning}" for name, meaning in keys.items())])
