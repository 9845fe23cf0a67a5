"""Progress on stderr: a bar where a person looks at it, a line now and then where a file does.

A `Task` is what work reports to; it knows nothing of how it is shown. rich is imported when a bar is first drawn.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from slimvec.reports.amounts import clock
from slimvec.reports.shown import one_line

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_SECONDS = 10.0
_ENOUGH = 0.01
"""Share of the work from which the time of the rest can be predicted: the first of it is mostly starting."""


WORK_AT_HAND = "the work at hand, two seconds at most"
"""What a command waits for when it is asked to stop, unless it has something to save first."""


@dataclass(eq=False)
class Task:
    """Work under way.

    Attributes:
        description: What is being done.
        total: How much there is to do; None when nobody knows.
        unit: What is counted, in the plural; empty when a share is all there is.
        waits_for: What it waits for when it is asked to stop.
        expected: Seconds it is expected to take, which are shown from the start; None when nobody knows.
        completed: How much is done.
        detail: What is said beside it.
        seconds_left: Seconds still to go, where the work itself knows.
        on_change: Called when something here has changed.
    """

    description: str
    _: KW_ONLY
    total: float | None = None
    unit: str = ""
    waits_for: str = WORK_AT_HAND
    expected: float | None = None
    completed: float = 0.0
    detail: str = ""
    seconds_left: float | None = None
    on_change: Callable[[], None] | None = None
    _started: float = field(default_factory=time.monotonic, init=False)

    def advance(self, amount: float = 1) -> None:
        """Count more work as done."""
        self.update(completed=self.completed + amount)

    def share(self, message: str, fraction: float | None) -> None:
        """Take over a message and the share of the work done, as `resolve_source` reports it."""
        self.update(description=message, completed=fraction or 0.0, total=None if fraction is None else 1.0)

    def update(self, **changes: object) -> None:
        """Set attributes, then have the new state drawn."""
        for name, value in changes.items():
            setattr(self, name, value)
        if self.on_change is not None:
            self.on_change()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def tail(self) -> str:
        """Say how far the work is: counts, detail and time."""
        left = self._left()
        times = clock(self.seconds) if left is None else f"{clock(left)} left"
        return ", ".join(part for part in (self._count(), self.detail, times) if part)

    def _count(self) -> str:
        if not self.total:
            return f"{self.completed:,.0f} {self.unit}" if self.unit and self.completed else ""
        if not self.unit:
            return f"{self.completed / self.total:.0%}"
        return f"{self.completed:,.0f} of {self.total:,.0f} {self.unit}"

    def _left(self) -> float | None:
        """Seconds still to go: as the work itself says, else in proportion to what is done, else as expected."""
        if self.seconds_left is not None:
            return self.seconds_left
        if not self.total or self.completed < _ENOUGH * self.total:
            return self.expected and max(0.0, self.expected - self.seconds)
        return self.seconds * (self.total - self.completed) / self.completed


@contextmanager
def shown(task: Task, *, quiet: bool) -> Iterator[Task]:
    """Show a task on stderr while the body works.

    Args:
        task: What the body reports to.
        quiet: Show nothing.
    """
    if quiet:
        yield task
    elif sys.stderr.isatty():
        with _bar(task):
            yield task
    else:
        with _lines(task):
            yield task


@contextmanager
def _bar(task: Task) -> Iterator[None]:
    """Draw a bar that goes away at the end."""
    progress = _rich_progress(task)
    bar = progress.add_task(task.description, total=task.total)
    task.on_change = lambda: progress.update(
        bar, description=task.description, completed=task.completed, total=task.total
    )
    try:
        with progress:
            yield
    finally:
        task.on_change = None


def _rich_progress(task: Task) -> "Progress":
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.progress import Task as RichTask
    from rich.text import Text

    from slimvec.cli.console import SafeConsole

    class Tail(ProgressColumn):
        """What the task says of itself, so that bar and lines say the same."""

        def render(self, _: RichTask) -> Text:
            return Text(task.tail(), style="dim")

    console = SafeConsole(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), Tail())
    return Progress(*columns, console=console, transient=True, redirect_stdout=False)


@contextmanager
def _lines(task: Task) -> Iterator[None]:
    """Write a line every `LINE_SECONDS`, from a thread, so that work which reports nothing is seen to go on too."""
    done = threading.Event()

    def show() -> None:
        print(one_line(f"{task.description}: {task.tail()}"), file=sys.stderr, flush=True)  # noqa: T201

    def write() -> None:
        while not done.wait(LINE_SECONDS):
            show()

    if task.expected is not None:
        show()
    thread = threading.Thread(target=write, daemon=True)
    try:
        thread.start()  # waits until the thread runs: a signal may end that wait too
        yield
    finally:
        done.set()
        if thread.is_alive():
            thread.join()
