"""What the trials work on, made once: a tiny model, pairs, texts, a retrieval set and a GGUF file; and the commands."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimvec.data.writers import write_rows
from slimvec.engine.embedder import Embedder
from slimvec.model.cache import cache_root
from slimvec.model.folder import save_model
from tests import tiny
from tests.model.tiny_sources import write_gguf
from tests.training.support import RECIPE, records

NUM_TEXTS = 800
_TIMED = {"metrics.jsonl", "slimvec.json", "README.md"}
"""Files of a model folder that hold times; its weights, vectors and settings do not."""


@dataclass(frozen=True)
class Command:
    """A command that is tried.

    Attributes:
        name: Name of the command, and of its output in the trial's folder.
        arguments: For an output.
        output: Name of the output.
        digest: Digest of what must be the same after every trial.
        again: Arguments that are added when it is run again.
    """

    name: str
    arguments: Callable[[Path], Sequence[str | Path]]
    output: str
    digest: Callable[[Path], str]
    again: tuple[str, ...] = ()


def make_material(folder: Path) -> dict[str, Command]:
    """Write the inputs into a folder and give the commands that are tried."""
    folder.mkdir(parents=True)
    for seed in range(2):
        save_model(tiny.embedding_model(seed=seed), folder / f"base{seed}")
        Embedder.load(folder / f"base{seed}")
    rows = [{"query": r.query, "positives": r.positives, "negatives": r.negatives} for r in records(48)]
    pairs = folder / "pairs.jsonl"
    write_rows(pairs, rows)
    texts = folder / "texts.txt"
    texts.write_text("".join(f"text {number} about {number % 7}\n" for number in range(NUM_TEXTS)))
    _write_set(folder / "set")
    write_gguf(folder / "tiny.gguf")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE)
    return {command.name: command for command in _commands(folder, pairs, texts, recipe)}


def _commands(folder: Path, pairs: Path, texts: Path, recipe: Path) -> list[Command]:
    base = folder / "base0"
    train = [f"base.source={base}", f"data.0.path={pairs}", "run.steps=30", "run.checkpoint_steps=4"]
    return [
        Command("train", lambda out: ["train", recipe, *train, "-o", out], "model", _folder, again=("--resume",)),
        Command(
            "embed", lambda out: ["embed", "-m", base, "--role", "document", "-i", texts, "-o", out], "v.npy", _file
        ),
        Command("clean", lambda out: ["clean", pairs, "-o", out], "cleaned.jsonl", _file),
        Command("mine", lambda out: ["mine", pairs, "-o", out, "-m", base, "-n", "3"], "mined.jsonl", _file),
        Command("filter", lambda out: ["filter", pairs, "-o", out, "-m", base, "-k", "5"], "kept.jsonl", _file),
        Command("merge", lambda out: ["merge", base, folder / "base1", "-o", out], "merged", _folder),
        Command("evaluate", lambda out: ["evaluate", "-m", base, "-d", folder / "set", "-o", out], "r.json", _scores),
        Command("fetch", lambda _: ["fetch", folder / "tiny.gguf"], "", _cache),
    ]


def _file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _folder(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name not in _TIMED)
    return hashlib.sha256("".join(f"{file.relative_to(path)} {_file(file)}\n" for file in files).encode()).hexdigest()


def _scores(path: Path) -> str:
    tasks = json.loads(path.read_text())["tasks"]
    return hashlib.sha256(json.dumps([task["subsets"] for task in tasks]).encode()).hexdigest()


def _cache(_: Path) -> str:
    """Digest of the one entry that `fetch` makes, wherever the cache is."""
    [entry] = (cache_root() / "models").glob("gguf-*")
    return _folder(entry)


def _write_set(folder: Path) -> None:
    """Write a retrieval set of 300 documents and 60 queries."""
    folder.mkdir()
    write_rows(folder / "corpus.jsonl", [{"id": str(n), "text": f"document {n} of {n % 13}"} for n in range(300)])
    write_rows(folder / "queries.jsonl", [{"id": str(n), "text": f"which is {n}"} for n in range(60)])
    write_rows(folder / "qrels.jsonl", [{"query_id": str(n), "doc_id": str(n), "score": 1} for n in range(60)])
