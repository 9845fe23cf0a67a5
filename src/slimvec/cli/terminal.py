"""`Terminal`: where a command's words go. Results on stdout, all else on stderr; with `--json` only JSON on stdout."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stdout, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.cli.progress import WORK_AT_HAND, Task, shown
from slimvec.errors import InputError
from slimvec.locks import reserved
from slimvec.reports.shown import one_line, plain

if TYPE_CHECKING:
    from rich.console import RenderableType

Result = dict[str, Any]
"""What a command gives back: the object that `--json` prints. It may hold paths, models of pydantic and dataclasses."""

_PIPE_WIDTH = 200  # files and pipes have no width of their own
_SHOWN_FAULTS = 10
_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)


class Terminal:
    """The way out for a command.

    Args:
        json: Print nothing but one JSON object on stdout.
        quiet: No progress and no remarks.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self.muted = False  # in all but the first of several processes
        self.kept: Callable[[], str] = str
        """Says what a command that is stopped leaves to go on from; empty while there is nothing."""
        self.waits_for = WORK_AT_HAND
        """What a command that is stopped waits for, where no task says so."""
        self._tasks: list[Task] = []
        self.outputs = ExitStack()

    def reserve(self, *outputs: Path | None, force: bool) -> None:
        """Hold output paths until the command ends, so that it finds out before its work what it cannot write.

        Among several processes the first holds them. Paths that are None were not asked for.

        Raises:
            InputError: one exists without `force`, another process writes it, or it is the name of an option.
            StorageError: nothing can be written there.
        """
        for output in outputs:
            if output is not None and output.name.startswith("--"):
                raise InputError(f"output {output} looks like an option", expected="a path", do="give one")
            if output is not None and not self.muted:
                self.outputs.enter_context(reserved(output, force=force))

    def print(self, *parts: "RenderableType") -> None:
        """Show a result to a person: text or rich tables, on stdout. With `--json`, nothing.

        Text is never folded, so that commands in it can be copied; in files and pipes no line ends in blanks.
        """
        if self.json or self.muted:
            return
        from slimvec.cli.console import SafeConsole

        is_seen = sys.stdout.isatty()
        console = SafeConsole(width=None if is_seen else _PIPE_WIDTH)
        with nullcontext() if is_seen else console.capture() as captured:
            for part in parts:
                console.print(part, soft_wrap=isinstance(part, str))
        if captured is not None:
            print(_BLANKS.sub("", captured.get()), end="", flush=True)  # noqa: T201

    def remark(self, text: str) -> None:
        """Tell something on the side that a person should know, on stderr."""
        if not (self.quiet or self.muted):
            print(plain(text), file=sys.stderr, flush=True)  # noqa: T201

    def truncated(self, number: int, texts: str, limit: str = "the model takes") -> None:
        """Remark that texts (in the plural) were truncated, if any were."""
        if number == 1:
            one = "query" if texts == "queries" else texts.removesuffix("s")
            self.remark(f"1 {one} was longer than {limit} and was truncated")
        elif number:
            self.remark(f"{number:,} {texts} were longer than {limit} and were truncated")

    def not_read(self, faults: Sequence[str]) -> None:
        """Remark what could not be read: the first of it, and how much more there is."""
        for fault in faults[:_SHOWN_FAULTS]:
            self.remark(f"not read: {fault}")
        if len(faults) > _SHOWN_FAULTS:
            self.remark(f"and {len(faults) - _SHOWN_FAULTS:,} more; --json names all")

    def acknowledge(self) -> None:
        """Answer a signal to stop, on stderr and with `quiet` too: what stops, and what is waited for."""
        if self.muted:
            return
        doing, waits_for = "", self.waits_for
        for task in self._tasks[-1:]:
            doing, waits_for = f" {task.description} ({task.tail()})", task.waits_for
        line = f"stopping{doing}: waiting for {waits_for}; a second signal ends it at once"
        with suppress(OSError):  # a terminal that is gone is no reason not to stop
            print(one_line(line), file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def task(
        self,
        description: str,
        *,
        total: float | None = None,
        unit: str = "",
        waits_for: str = WORK_AT_HAND,
        expected: float | None = None,
    ) -> Iterator[Task]:
        """Show progress while the body works. Arguments as for `Task`."""
        task = Task(description, total=total, unit=unit, waits_for=waits_for, expected=expected)
        self._tasks.append(task)
        try:
            with shown(task, quiet=self.quiet or self.muted):
                yield task
        finally:
            self._tasks.remove(task)

    @contextmanager
    def clean_stdout(self) -> Iterator[None]:
        """Keep what libraries print off stdout when it belongs to JSON."""
        if not self.json:
            yield
            return
        with redirect_stdout(sys.stderr):
            yield

    def finish(self, result: Mapping[str, Any]) -> None:
        """Print the result as one line of JSON, if asked for."""
        if self.json and not self.muted:
            print(json.dumps(result, allow_nan=False, default=_as_json), flush=True)  # noqa: T201


def named(report: object, names: Iterable[str]) -> Result:
    """Give those of some values that a report has under the same names."""
    return {name: getattr(report, name) for name in names if hasattr(report, name)}


def _as_json(value: object) -> object:
    """Give what JSON knows for what a result may hold beside that."""
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.model_dump(mode="json")  # type: ignore[attr-defined]  # of pydantic, which need not be imported here
