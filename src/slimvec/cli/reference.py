"""`docs/commands.md`, written from the commands' own help, so that it cannot say anything else.

Run as `python -m slimvec.cli.reference docs/commands.md`, which is what `make docs` does.
"""

import io
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

from slimvec.cli.app import COMMANDS, run
from slimvec.files import atomic_file

_HEAD = """# Commands

Written by `make docs` from the commands' own help. Every command has `--json` (one JSON object as the last line of
stdout, and nothing else there), `--quiet` and `--debug`. Progress goes to stderr: a bar in a terminal, a line every
ten seconds otherwise. Control characters of texts and names are shown as their codes (`\\x1b`), never obeyed.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed: training broke down, or a bug; `--debug` shows the traceback |
| 2 | wrong use, bad input, or a place that cannot be used: one line says what was found, expected, and what to do |
| 130 | stopped by Ctrl-C or SIGTERM: in two seconds, unless it says what it saves first; a second one ends it at once |
| 141 | the reader of the output went away |

A command that fails with `--json` prints one object on stdout too: `error` (what was found), `expected`, `do` (what to
do now; both null where the error does not say) and `code` (the exit code). The line on stderr says the same.
"""


def reference() -> str:
    """Write the page as Markdown."""
    sections = [f"## slimvec {name}\n\n```\n{_help(name)}\n```\n" for name in COMMANDS]
    return "\n".join([_HEAD, *sections])


def _help(command: str) -> str:
    """Help of a command."""
    page = io.StringIO()
    with redirect_stdout(page):
        run([command, "--help"])
    return page.getvalue().strip()


if __name__ == "__main__":
    os.environ["COLUMNS"] = "80"  # whatever the terminal has
    with atomic_file(sys.argv[1], force=True) as path:
        Path(path).write_text(reference(), encoding="utf-8")
