"""`slimvec fetch`: get a model's weights before they are needed."""

import time
from pathlib import Path
from typing import Annotated

import typer

from slimvec.cli.options import RevisionOption
from slimvec.cli.progress import clock
from slimvec.cli.terminal import Result, Terminal

KEYS = {
    "name": "what was asked for",
    "folder": "where its files are",
    "num_bytes": "size of the files together",
    "seconds": "it took; next to nothing when it was there already",
}


def fetch(
    terminal: Terminal,
    *,
    name: Annotated[
        str, typer.Argument(help="A built-in name (smollm2-135m, gemma3-270m, minilm-l6), a hub name or a .gguf file.")
    ],
    revision: RevisionOption = None,
) -> Result:
    """Fetch a model into the cache, checked and converted, so that later commands need no network.

    The cache is the folder that SLIMVEC_CACHE names, ~/.cache/slimvec by default.
    """
    started = time.perf_counter()
    with terminal.task(f"fetching {name}") as task:
        from slimvec.model.sources import resolve_source

        folder = resolve_source(name, revision=revision, progress=task.share)
    report: Result = {
        "name": name,
        "folder": str(folder),
        "num_bytes": _size(folder),
        "seconds": round(time.perf_counter() - started, 3),
    }
    terminal.print(f"{name}: {_size(folder) / 1e6:,.0f} MB in {folder}, {clock(report['seconds'])}")
    return report


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
