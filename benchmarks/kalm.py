"""The KaLM recipes on their backbone family, a few small steps of every stage: `python -m benchmarks.kalm DATA`.

DATA is the folder of the shared data sets. Each recipe is run by `slimvec train` in a process of its own, on a few
hundred records of the kinds that it names, with batches and lengths that a laptop holds; all else is the recipe's. What
comes out is that every stage runs, what it keeps in memory and how many tokens a second it takes in. It says nothing of
quality: the models are thrown away.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine, this_machine
from benchmarks.processes import ROOT
from benchmarks.results import Frozen, write_json
from slimvec.data.tables import iter_rows
from slimvec.data.writers import write_rows

RECIPES = ("kalm-v1", "kalm-v2", "kalm-v2.5")
NUM_NEGATIVES = 7
Row = dict[str, Any]


class Stage(Frozen):
    """A stage of a run: its steps, and tokens a second over all of them but the first, which warms up."""

    name: str
    steps: int
    tokens_per_s: float


class Run(Frozen):
    """A recipe's run.

    Attributes:
        stages: Its stages in order.
        seconds: Training time, without loading and saving.
        num_trained: Trainable parameters.
        peak_rss_mb: Most memory held by the process.
        overrides: What was set otherwise than in the recipe.
    """

    stages: tuple[Stage, ...]
    seconds: float
    num_trained: int
    peak_rss_mb: float
    overrides: tuple[str, ...]


class KalmRuns(Frozen):
    """All recipes on one machine."""

    machine: Machine
    base: str
    runs: dict[str, Run]


def make_data(data: Path, folder: Path, num_records: int) -> None:
    """Write the files that the recipes name, out of the shared data sets; negatives are mined with BM25."""
    pairs = [_pair(row) for row in islice(_rows(data / "medquad" / "train.jsonl.gz"), num_records)]
    alike = [
        {"query": row["s1"], "positive": row["s2"]}
        for row in _rows(data / "stsb_multi" / "train.jsonl.gz")
        if row["lang"] == "en" and row["score"] >= 4
    ]
    splits = [_pair(row) for row in islice(_rows(data / "wikisplit" / "train.jsonl.gz"), num_records)]
    _write(folder / "weak" / "pairs.jsonl.gz", pairs)
    supervised = folder / "supervised"
    for name, rows in (("retrieval", pairs), ("similarity", alike[:num_records]), ("synthetic", splits)):
        _write(supervised / f"{name}-all.jsonl.gz", rows)
        command = ["mine", supervised / f"{name}-all.jsonl.gz", "--bm25", "--negatives", NUM_NEGATIVES, "--quiet"]
        _slimvec(*command, "--output", supervised / f"{name}.jsonl.gz")
    _write(supervised / "classification.jsonl.gz", list(_classes(data / "banking77" / "train.jsonl.gz", num_records)))


def _classes(path: Path, count: int) -> Iterator[Row]:
    """Make examples of the classes out of labelled texts: another text of the class against some of other classes."""
    by_label: dict[str, list[str]] = defaultdict(list)
    for row in _rows(path):
        if row["lang"] == "en":
            by_label[row["label"]].append(row["text"])
    generator = random.Random(0)
    for label in islice((label for _ in range(count) for label in by_label), count):
        query, positive = generator.sample(by_label[label], 2)
        others = generator.sample([name for name in by_label if name != label], NUM_NEGATIVES)
        negatives = [generator.choice(by_label[name]) for name in others]
        yield {"query": query, "positive": positive, "negatives": negatives}


def _pair(row: Row) -> Row:
    return {"query": row["query"], "positive": row["positive"]}


def _rows(path: Path) -> Iterator[Row]:
    return (dict(row.values) for row in iter_rows(path))


def _write(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, rows)


def _slimvec(*words: object) -> tuple[str, float]:
    """Run a command; its last line on stdout, and the most memory it held in megabytes."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([sys.executable, "-m", "slimvec", *map(str, words)], stdout=out, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"error: slimvec {words[0]} ended with {os.waitstatus_to_exitcode(status)}")
        out.seek(0)
        lines = out.read().splitlines()
    return lines[-1] if lines else "", usage.ru_maxrss / 1024


def run(recipe: str, base: str, data: Path, output: Path, steps: int) -> Run:
    """Run a recipe, small."""
    stages = ["weak", "supervised", *(["distilled"] if recipe == "kalm-v2.5" else [])]
    overrides = [f"base.source={base}", "run.dtype=auto", "batch.max_query_tokens=32", "batch.max_document_tokens=64"]
    for number, name in enumerate(stages):
        batch = "{pairs: 16, negatives: 0}" if name == "weak" else f"{{pairs: 4, negatives: {NUM_NEGATIVES}}}"
        overrides += [f"stages.{number}.batch={batch}", f"stages.{number}.run={{steps: {steps}}}"]
    if recipe == "kalm-v2.5":
        teacher = "{teacher: minilm-l6, kind: kl, weight: 1.0, teacher_temperature: 0.05}"
        overrides.append(f"stages.2.loss.distill={teacher}")
    said, peak = _slimvec(
        "train", ROOT / "recipes" / f"{recipe}.yaml", *overrides, "--data", data, "--output", output, "--json"
    )  # fmt: skip
    summary = json.loads(said)
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return Run(
        stages=tuple(_stage(name, [line for line in lines if line["stage"] == name]) for name in stages),
        seconds=summary["seconds"],
        num_trained=summary["num_trained"],
        peak_rss_mb=round(peak, 1),
        overrides=tuple(overrides),
    )


def _stage(name: str, lines: Sequence[Row]) -> Stage:
    """Sum the steps of a stage up."""
    steps = [line for line in lines if "loss" in line]
    seconds = steps[-1]["seconds"] - steps[0]["seconds"]
    return Stage(
        name=name, steps=len(steps), tokens_per_s=round(sum(step["tokens"] for step in steps[1:]) / seconds, 1)
    )


def main() -> None:
    """Run the recipes one after the other and write what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--base", default="qwen2.5-0.5b", help="the backbone (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=3, help="of every stage (default: %(default)s)")
    parser.add_argument("--records", type=int, default=200, help="of every file (default: %(default)s)")
    parser.add_argument("--recipe", action="append", choices=RECIPES, help="default: all")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "kalm.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slimvec-kalm-") as scratch:
        folder = Path(scratch)
        make_data(given.data, folder / "data", given.records)
        runs = {}
        for recipe in given.recipe or RECIPES:
            runs[recipe] = run(recipe, given.base, folder / "data", folder / recipe, given.steps)
            print(f"{recipe}: {runs[recipe].model_dump_json(exclude={'overrides'})}", flush=True)
            write_json(KalmRuns(machine=this_machine(), base=given.base, runs=runs), given.output)


if __name__ == "__main__":
    main()
