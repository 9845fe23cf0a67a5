"""Consoles of rich as slimvec uses them: user texts are shown, never obeyed, and a closed pipe is left to the frame.

rich is imported with this module, which takes a while: import it where something is drawn.
"""

from collections.abc import Iterable
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from slimvec.reports.shown import plain


class SafeConsole(Console):
    """A console without markup, emoji names or highlighting, in which control characters of texts are shown as codes.

    Args:
        file: Where it writes; default stdout.
        width: In characters; default the terminal's.
        stderr: Write to stderr.
    """

    def __init__(self, *, file: IO[str] | None = None, width: int | None = None, stderr: bool = False) -> None:
        super().__init__(file=file, width=width, stderr=stderr, highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does; all that is printed comes through here, before it is measured and coloured."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Leave a closed pipe to the frame; rich would end the process.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError
