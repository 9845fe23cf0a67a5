"""`slimvec fetch`: get a model's weights before they are needed."""

import time

from slimvec.cli.terminal import Result, Terminal
from slimvec.files import folder_size
from slimvec.reports.amounts import clock, size

KEYS = {
    "name": "what was asked for",
    "folder": "where its files are",
    "num_bytes": "size of the files together",
    "damage": "what was wrong with the copy that was here; null if nothing, or without --check",
    "seconds": "it took; next to nothing when it was there already",
}


def fetch(
    terminal: Terminal,
    *,
    name: str,
    revision: str | None = None,
    check: bool = False,
) -> Result:
    """Fetch a model into the cache, checked and converted, so that later commands need no network.

    The cache is the folder that SLIMVEC_CACHE names, ~/.cache/slimvec by default. Whoever uses an entry looks at the
    sizes and times of its files, and at their hashes when these have changed; --check hashes them all.

    Positional:
        name: A built-in name (slimvec-en, slimvec-en-small, slimvec-multi, slimvec-kalm, smollm2-135m, gemma3-270m,
            qwen2.5-0.5b, embeddinggemma-300m, minilm-l6), a hub name or a .gguf file.

    Options:
        check: Hash every file that is here already, and fetch again what is damaged.
    """
    started = time.perf_counter()
    with terminal.task(f"fetching {name}") as task:
        from slimvec.model.sources import discard_damaged, resolve_source

        damage = discard_damaged(name, revision=revision) if check else None
        folder = resolve_source(name, revision=revision, progress=task.share)
    report: Result = {
        "name": name,
        "folder": folder,
        "num_bytes": folder_size(folder),
        "damage": damage,
        "seconds": round(time.perf_counter() - started, 3),
    }
    if check:
        terminal.print(f"{damage}: fetched again" if damage else f"{name}: every file is as it was written")
    terminal.print(f"{name}: {size(report['num_bytes'])} in {folder}, {clock(report['seconds'])}")
    return report
