"""The application: which commands there are, and the way in and out of the process."""

import io
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated

import typer

import slimvec
from slimvec.cli.failures import INTERRUPTED, PIPE_CLOSED, discard_stdout, report
from slimvec.cli.frame import framed, keys_epilog
from slimvec.cli.terminal import Result
from slimvec.errors import InputError, SlimvecError

# Plain help: it takes half the time of the boxed kind, and pipes and copies well.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_NAMES = (
    "quickstart", "doctor", "fetch", "synthesize", "triplets", "clean", "mine", "filter", "plan", "train", "adapt",
    "merge", "adjust", "embed", "evaluate", "probe", "tokenizers", "compare", "index", "reindex", "search", "rerank",
    "explain", "serve", "mcp", "key",
)  # fmt: skip


def _command(name: str) -> tuple[Callable[..., Result], dict[str, str]]:
    """Give the command of a module: its function, and what the keys of its JSON mean."""
    module = import_module(f"slimvec.cli.{name}")
    return getattr(module, name, None) or getattr(module, f"{name}_"), module.KEYS


COMMANDS = {name: _command(name) for name in _NAMES}
"""The commands, and what the keys of their JSON mean."""


def _version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(f"slimvec {slimvec.__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _about(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Turn a small language model into a text-embedding model, prove what it did, and put it to work."""


for _name, (_function, _keys) in COMMANDS.items():
    app.command(_name, epilog=keys_epilog(_keys))(framed(_function))


def run(arguments: Sequence[str]) -> int:
    """Run a command line within this process.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code.
    """
    options = list(itertools.takewhile(lambda argument: argument != "--", arguments))
    try:
        _check_arguments(arguments)
        code = app(list(arguments) or ["--help"], prog_name="slimvec", standalone_mode=False)
    except (typer.TyperException, SlimvecError, KeyboardInterrupt, OSError) as error:
        return report(error, debug="--debug" in options, json="--json" in options)
    return code if isinstance(code, int) else 0


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse arguments that no file of results could name.

    Raises:
        InputError: one is no UTF-8, or stdout is closed.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = f"{argument[:60]}..." if len(argument) > 60 else argument
            raise InputError(
                f"argument {shown} is no UTF-8", expected="names and texts in UTF-8", do="rename or convert it"
            ) from error
    if sys.stdout is None:
        raise InputError("stdout is closed", expected="somewhere to write to", do="redirect it to /dev/null")


def main() -> None:
    """Run the command line of this process, and end the process."""
    _open_missing_streams()
    _hush_libraries()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows what it can
    code = run(sys.argv[1:])
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError as error:
            code = report(error, debug=False)
            discard_stdout()
        if code == PIPE_CLOSED:
            discard_stdout()
    if code == INTERRUPTED:
        os._exit(code)  # threads that are still at work would keep Python waiting
    sys.exit(code)


def _open_missing_streams() -> None:
    """Put the null device where standard streams are closed, so that no file of ours gets their numbers."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # until the process ends


def _hush_libraries() -> None:
    """Keep warnings and bars of libraries off the terminal, unless the user asked for them by their own switches."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for switch in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS", "TQDM_DISABLE"):
        os.environ.setdefault(switch, "1")
    if not sys.warnoptions:
        from slimvec.errors import LicenceWarning, ModelWarning

        warnings.simplefilter("ignore")
        warnings.simplefilter("default", ModelWarning)
        warnings.simplefilter("default", LicenceWarning)
        warnings.formatwarning = _one_line


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    """Say a warning as a remark is said: without the place in the code."""
    return f"{message}\n"
