"""What must stay while the source changes: golden vectors, losses of small recipes, scores; recorded and compared.

    python -m benchmarks.before_after record BEFORE.json --tree ../old --work WORK --data FOLDER
    python -m benchmarks.before_after record AFTER.json --work WORK --data FOLDER
    python -m benchmarks.before_after compare BEFORE.json AFTER.json

A recording runs the commands of a source tree (`git worktree add ../old COMMIT`), in processes of their own: `embed` on
the golden texts in both roles, `train` with the recipes below on a tiny model, `evaluate` on parts of three retrieval
sets. What they read is written into WORK once, so that two recordings with the same folder differ by the tree alone.
Vectors are compared by cosine and by bits, losses to the last digit, scores to four decimals. A tree whose kernels are
not built runs without them: record the other with SLIMVEC_KERNELS=off too, since kernels and torch differ by rounding.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.processes import ROOT, worker_environment
from benchmarks.results import Frozen, write_json
from slimvec.data.retrieval_files import read_retrieval_set, write_retrieval_set
from slimvec.evaluation.samples import part_of
from slimvec.model.folder import save_model
from slimvec.model.golden import TEXTS
from slimvec.text.prompts import ROLES
from tests import tiny

SETS = ("cacm", "medquad_retrieval", "tldr_retrieval")
MODELS = ("minilm-l6", "smollm2-135m")
RECIPE = """\
base: {source: in-memory}
data: [{path: none.jsonl}]
loss: {temperature: 0.1}
optim: {lr: 0.01}
batch: {pairs: 6, max_query_tokens: 120, max_document_tokens: 120, micro_batch_tokens: 256, graph_tokens: 4096}
run: {steps: 6, seed: 3, dtype: fp32}
"""
RECIPES: Mapping[str, Sequence[str]] = {
    "lora": (),
    "full": ("tuning.method=full",),
    "all terms": ("loss.terms=[q-d, q-q, d-d]", "loss.mask_equal_texts=false"),
    "margin, focal, hard": ("loss.margin=0.1", "loss.focal=0.5", "loss.hardness=1.0"),
    "widths": ("loss.mrl_dims=[32, 8]", "model.pooling=last"),
    "spread": ("loss.spread=0.1",),
}
"""By name, what differs from the recipe above."""
_DECIMALS = 4
_PART = {"queries": 25, "documents": 120, "characters": 400}
_COLOURS = ("red", "blue", "green", "black", "white", "brown", "grey", "pink")


class Recording(Frozen):
    """What a source tree gave.

    Attributes:
        commit: Commit of the tree, with `+` where files differ from it.
        vectors: Golden vectors by model and role: [N, D].
        losses: By recipe, of each step.
        scores: By model and set: nDCG@10.
    """

    commit: str
    vectors: Mapping[str, Sequence[Sequence[float]]]
    losses: Mapping[str, Sequence[float]]
    scores: Mapping[str, float]


def prepare(work: Path, data: Path, sets: Sequence[str]) -> None:
    """Write what the commands read: a tiny model, pairs, a recipe, the golden texts, parts of retrieval sets."""
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "model").exists():
        save_model(tiny.embedding_model(), work / "model")
        for name in ("slimvec.json", "golden.json"):  # what is left, sentence-transformers' form, every version reads
            (work / "model" / name).unlink()
    _write_rows(work / "golden.jsonl", ({"text": text} for text in TEXTS))
    _write_rows(
        work / "pairs.jsonl",
        (
            {
                "query": f"{one} {number}",
                "positives": [f"the {one} one of {number}"],
                "negatives": [f"no {other}"],
            }
            for number in range(6)
            for one, other in zip(_COLOURS, _COLOURS[::-1], strict=True)
        ),
    )
    (work / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    for name in sets:
        folder = work / "sets" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            write_retrieval_set(part_of(read_retrieval_set(data / name), **_PART), folder)


def record(tree: Path, work: Path, models: Sequence[str], sets: Sequence[str]) -> Recording:
    """Run the commands of a tree on what `prepare` has written."""
    vectors: dict[str, list[list[float]]] = {}
    losses: dict[str, list[float]] = {}
    scores: dict[str, float] = {}
    with TemporaryDirectory() as name:
        output = Path(name)
        for model in (str(work / "model"), *models):
            for role in ROLES:
                path = output / "vectors.npy"
                _run(tree, "embed", "-m", model, "--role", role, "-i", work / "golden.jsonl", "-o", path, "--force")
                vectors[f"{Path(model).name}, {role}"] = np.load(path).astype(float).tolist()
        for number, (recipe, settings) in enumerate(RECIPES.items()):
            given = [f"base.source={work / 'model'}", f"data.0.path={work / 'pairs.jsonl'}", *settings]
            _run(tree, "train", work / "recipe.yaml", *given, "-o", output / str(number))
            lines = (output / str(number) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
            losses[recipe] = [row["loss"] for row in map(json.loads, lines) if "loss" in row]
        for model in models:
            chosen = [word for each in sets for word in ("--task-name", each)]
            found = _run(tree, "evaluate", "-m", model, "-d", work / "sets", *chosen)
            for task in ("scores", "bm25"):
                label = model if task == "scores" else "BM25"
                scores |= {f"{label}, {each}": score["value"] for each, score in found[task].items()}
    return Recording(commit=_commit(tree), vectors=vectors, losses=losses, scores=scores)


def compare(before: Recording, after: Recording) -> list[str]:
    """Say what differs, a line each; nothing where all is the same."""
    lines = []
    for what in ("vectors", "losses", "scores"):
        one, other = getattr(before, what), getattr(after, what)
        lines += [f"{what}, {name}: only in one recording" for name in sorted(one.keys() ^ other.keys())]
        for name in [name for name in one if name in other]:
            difference = _DIFFERENCES[what](one[name], other[name])
            if difference:
                lines.append(f"{what}, {name}: {difference}")
    return lines


def _vectors_differ(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> str:
    one, other = np.array(before), np.array(after)
    if one.shape != other.shape:
        return f"shapes {one.shape} and {other.shape}"
    if np.array_equal(one, other):
        return ""
    cosines = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return f"lowest cosine {cosines.min():.9f}, largest difference {np.abs(one - other).max():.2g}"


def _losses_differ(before: Sequence[float], after: Sequence[float]) -> str:
    if list(before) == list(after):
        return ""
    if len(before) != len(after):
        return f"{len(before)} and {len(after)} steps"
    pairs = list(zip(before, after, strict=True))
    step = next(number for number, (one, other) in enumerate(pairs) if one != other)
    return f"from step {step + 1}: {pairs[step][0]!r} and {pairs[step][1]!r}"


def _scores_differ(before: float, after: float) -> str:
    one, other = round(before, _DECIMALS), round(after, _DECIMALS)
    return "" if one == other else f"{one:.{_DECIMALS}f} and {other:.{_DECIMALS}f}"


_DIFFERENCES: Mapping[str, Any] = {"vectors": _vectors_differ, "losses": _losses_differ, "scores": _scores_differ}


def _run(tree: Path, *arguments: str | Path) -> dict[str, Any]:
    """Run a command of a tree and give its JSON."""
    environment = {**worker_environment(int(os.environ.get("OMP_NUM_THREADS", "1"))), "PYTHONPATH": str(tree / "src")}
    command = [sys.executable, "-m", "slimvec", *map(str, arguments), "--json", "--quiet"]
    done = subprocess.run(command, env=environment, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} in {tree}: {done.stderr.strip() or done.stdout.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _commit(tree: Path) -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=tree, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "src") else "")


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Record or compare; 1 where two recordings differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("output", type=Path)
    recording.add_argument("--tree", type=Path, default=ROOT)
    recording.add_argument("--work", type=Path, required=True, help="what the commands read; made if missing")
    recording.add_argument("--data", type=Path, required=True, help="with the folders of the sets")
    recording.add_argument("--set", action="append", dest="sets", help=f"default {', '.join(SETS)}")
    recording.add_argument("--model", action="append", dest="models", help=f"default {', '.join(MODELS)}")
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    given = parser.parse_args(arguments)
    if given.command == "record":
        sets, work = given.sets or SETS, given.work.resolve()
        prepare(work, given.data, sets)
        write_json(record(given.tree.resolve(), work, given.models or MODELS, sets), given.output)
        return 0
    before, after = (Recording.model_validate_json(path.read_bytes()) for path in (given.before, given.after))
    lines = compare(before, after)
    print(f"{before.commit} and {after.commit}: {len(lines) or 'no'} differences", *lines, sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
