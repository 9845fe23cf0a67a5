"""Indexing killed with -9 at random moments: `python -m benchmarks.search_kills --count 20`.

Each trial goes on with the index that the last one left. After a kill the index opens, holds every chunk whose writing
had been reported, and answers; now and then a document is changed, added or removed in between. At the end one
undisturbed run gives what a fresh index of the same files has, chunk for chunk. A tiny model, built here; the process
that is killed runs `Index.update`, as `slimvec index` does. Exit code 1 when a trial fails.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from benchmarks.machine import Machine, this_machine
from benchmarks.results import Frozen, write_json
from slimvec.engine.embedder import Embedder
from slimvec.model.folder import save_model
from slimvec.search import blocks
from slimvec.search.index import Index
from slimvec.search.store import ChunkTable
from tests import tiny


class KillsResult(Frozen):
    """How the trials went.

    Attributes:
        machine: Where.
        num_kills: Processes killed while they worked.
        num_ended: Processes that had ended before.
        num_acknowledged: Chunks whose writing was reported before a kill.
        num_lost: Chunks among these that were not there afterwards.
        is_equal: Whether the index is in the end what a fresh one is.
    """

    machine: Machine
    num_kills: int
    num_ended: int
    num_acknowledged: int
    num_lost: int
    is_equal: bool


def contents(index: Index) -> list[tuple[object, ...]]:
    """All chunks of an index."""
    index.refresh()
    return sorted(
        (path, row["number"], row["text"], row["start"])
        for path in index.table.files()
        for row in index.chunks_of(path)
    )


def change(folder: Path, chance: random.Random, number: int) -> None:
    """Change, add or remove a document."""
    path = folder / f"{chance.randrange(60)}.txt"
    if chance.random() < 0.3:
        path.unlink(missing_ok=True)
    else:
        path.write_text(f"changed {number}\n\n" + "words of it. " * chance.randrange(400), encoding="utf-8")


def trial(folder: Path, embedder: Embedder, seconds: float) -> tuple[bool, set[tuple[str, int]]]:
    """Start an update and kill it after so long; gives whether it was killed, and the chunks it had reported.

    The process is a fork, which starts within milliseconds; lancedb makes itself a new runtime there.
    """
    heard, told = os.pipe()
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # lancedb's, of a small chance to hang
        child = os.fork()
    if child == 0:
        _update(folder, embedder, told)
    os.close(told)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(heard, encoding="utf-8") as file:
        lines = [line.rstrip("\n").partition(" ") for line in file if line.endswith("\n")]
    return os.WIFSIGNALED(status), {(path, int(number)) for number, _, path in lines}


def _update(folder: Path, embedder: Embedder, told: int) -> None:
    """Update an index in a process of its own, and report every chunk behind the commit that wrote it."""
    write = ChunkTable.write

    def reporting(table: ChunkTable, rows: pa.Table, *, instead_of: Collection[str] = ()) -> None:
        write(table, rows, instead_of=instead_of)
        for path, number in zip(rows["path"].to_pylist(), rows["number"].to_pylist(), strict=True):
            os.write(told, f"{number} {path}\n".encode())

    ChunkTable.write = reporting  # type: ignore[method-assign, assignment]
    blocks.BLOCK_CHUNKS = 4
    try:
        Index.open(folder, embedder=embedder).update()
    finally:
        os._exit(0)


def main() -> None:
    """Run the trials and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-seconds", type=float, default=2.0, help="kills come up to so long after the start")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/search-kills.json"))
    settings = parser.parse_args()
    chance = random.Random(settings.seed)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ["SLIMVEC_CACHE"] = str(work / "cache")
        save_model(tiny.embedding_model(), work / "model")
        embedder = Embedder.load(work / "model")
        documents = work / "documents"
        documents.mkdir()
        for number in range(60):
            change(documents, chance, number)
        index = Index.create(work / "index", embedder, model=str(work / "model"), chunk_tokens=64)
        described = index.description.model_copy(update={"sources": (str(documents),)})
        described.write(index.folder / "index.json")
        counts = {True: 0, False: 0}
        num_told = num_lost = 0
        for number in range(settings.count):
            killed, told = trial(index.folder, embedder, chance.uniform(0, settings.most_seconds))
            counts[killed] += 1
            found = Index.open(index.folder, embedder=embedder)
            present = {(str(path), int(str(place))) for path, place, *_ in contents(found)}
            found.search("words of it", top=3)
            num_told, num_lost = num_told + len(told), num_lost + len(told - present)
            print(
                f"{number}: {'killed' if killed else 'had ended'}, {len(told)} reported, {len(present)} there",
                flush=True,
            )
            for _ in range(3):
                change(documents, chance, number)
        again = Index.open(index.folder, embedder=embedder)
        again.update()
        fresh = Index.create(work / "fresh", embedder, model=str(work / "model"), chunk_tokens=64)
        fresh.update([documents])
        result = KillsResult(
            machine=this_machine(), num_kills=counts[True], num_ended=counts[False], num_acknowledged=num_told,
            num_lost=num_lost, is_equal=contents(again) == contents(fresh),
        )  # fmt: skip
    write_json(result, settings.output)
    print(result.model_dump_json(exclude={"machine"}))
    sys.exit(0 if result.is_equal and not num_lost else 1)


if __name__ == "__main__":
    main()
