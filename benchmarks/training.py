"""Training beside sentence-transformers' trainer: `python -m benchmarks.training --data PAIRS.jsonl.gz`.

The same base, adapter, pairs in the same batches and order, loss, optimiser, learning rates and lengths; each in a
process of its own, in turns. Recorded are tokens a second of every step but the first, and the loss of every step:
a speed is worth something only at an equal loss curve. The trainer of sentence-transformers is run twice: as its
documentation has it (float32 weights, bf16 autocast), and with bf16 weights, which it can be told to load.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.forms import model_name
from benchmarks.machine import Machine, this_machine
from benchmarks.processes import ROOT, worker_environment
from benchmarks.results import Frozen, Spread, write_json
from slimvec.engine.machine import num_cores

TEMPERATURE, RANK, LR, WARMUP, DECAY = 0.03, 16, 1e-3, 0.1, 0.01
ENGINES = ("slimvec", "sentence-transformers", "sentence-transformers-bf16")


class Settings(Frozen):
    """What both train with.

    Attributes:
        model: Built-in name or folder.
        data: Pairs, `query` and `positive`.
        steps: Optimiser steps; the first is not timed.
        pairs: Pairs a step.
        max_tokens: Longest text, in tokens.
    """

    model: str
    data: str
    steps: int
    pairs: int
    max_tokens: int


class Course(Frozen):
    """One training.

    Attributes:
        losses: By step.
        seconds: By step.
        tokens: By step, padding not counted.
        peak_rss_mb: Most memory held.
    """

    losses: tuple[float, ...]
    seconds: tuple[float, ...]
    tokens: tuple[int, ...]
    peak_rss_mb: float

    @property
    def tokens_per_s(self) -> float:
        """Seconds of all steps but the first."""
        return sum(self.tokens[1:]) / sum(self.seconds[1:])


class TrainingBenchmark(Frozen):
    """Trainers compared.

    Attributes:
        settings: As above.
        machine: Where.
        num_rounds: Rounds of all engines in turn.
        tokens_per_s: By engine, every round.
        ratios: slimvec's speed over the other's, by engine.
        losses: By engine, of the first round's steps.
        largest_gap: By engine, largest difference of a step's loss from slimvec's.
        peak_rss_mb: By engine, of the first round.
    """

    settings: Settings
    machine: Machine
    num_rounds: int
    tokens_per_s: dict[str, tuple[float, ...]]
    ratios: dict[str, Spread]
    losses: dict[str, tuple[float, ...]]
    largest_gap: dict[str, float]
    peak_rss_mb: dict[str, float]


def train_slimvec(settings: Settings) -> Course:
    """Train as a recipe does."""
    from slimvec.engine.fast_training import fast_training
    from slimvec.engine.frozen import open_frozen
    from slimvec.training.recipe.reading import parse_recipe
    from slimvec.training.run.training_run import train

    recipe = parse_recipe(json.dumps(_recipe(settings)))
    losses, tokens, seconds = [], [], []
    clock = time.perf_counter()

    def follow(event: Any) -> None:
        nonlocal clock
        now = time.perf_counter()
        losses.append(event.loss)
        tokens.append(event.tokens)
        seconds.append(now - clock)
        clock = now

    with tempfile.TemporaryDirectory() as folder:
        train(recipe, Path(folder) / "model", on_step=[follow], open_frozen=open_frozen, fast_training=fast_training)
    return _course(losses, seconds, tokens)


def train_peer(settings: Settings, *, low_precision: bool) -> Course:
    """Train with `SentenceTransformerTrainer` on slimvec's batches, in slimvec's order."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from torch.utils.data import BatchSampler, SequentialSampler
    from transformers import TrainerCallback

    from slimvec import Embedder

    dtype = torch.bfloat16 if low_precision else torch.float32
    with tempfile.TemporaryDirectory() as folder:
        # As slimvec saves it: from the plain folder sentence-transformers would put every text into the chat template.
        Embedder.load(settings.model, max_tokens=settings.max_tokens).save(Path(folder) / "base")
        model = SentenceTransformer(str(Path(folder) / "base"), device="cpu", model_kwargs={"dtype": dtype})
    torch.manual_seed(0)
    model.add_adapter(LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear"))
    rows, tokens = _rows(settings)

    class Follow(TrainerCallback):  # type: ignore[misc]
        seconds: list[float] = []  # noqa: RUF012
        found: list[float] = []  # noqa: RUF012
        start = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(time.perf_counter() - self.start)

        def on_log(self, _a: Any, _s: Any, _c: Any, logs: dict[str, float], **__: Any) -> None:
            if "loss" in logs:
                self.found.append(logs["loss"])

    follow = Follow()
    with tempfile.TemporaryDirectory() as output:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=output,
            max_steps=settings.steps,
            per_device_train_batch_size=settings.pairs,
            learning_rate=LR,
            warmup_steps=round(WARMUP * settings.steps),
            weight_decay=DECAY,
            bf16=True,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            batch_sampler=lambda dataset, batch_size, drop_last, **_: BatchSampler(  # type: ignore[arg-type]  # any will do
                SequentialSampler(dataset), batch_size, drop_last
            ),
        )
        SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            loss=MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE),
            callbacks=[follow],
        ).train()
    return _course(follow.found, follow.seconds, tokens)


def compare(settings: Settings, *, rounds: int, num_threads: int, engines: Sequence[str]) -> TrainingBenchmark:
    """Run all engines in turn, each in a fresh process.

    Raises:
        subprocess.CalledProcessError: one failed; its own words are on stderr.
    """
    courses: dict[str, list[Course]] = {engine: [] for engine in engines}
    for number in range(rounds):
        for engine in engines:
            courses[engine].append(_in_process(engine, settings, num_threads))
            last = courses[engine][-1]
            print(f"round {number + 1}, {engine}: {last.tokens_per_s:,.0f} tokens/s", file=sys.stderr, flush=True)
    speeds = {engine: tuple(course.tokens_per_s for course in found) for engine, found in courses.items()}
    own = courses[ENGINES[0]][0].losses
    peers = [engine for engine in engines if engine != ENGINES[0]]
    return TrainingBenchmark(
        settings=settings.model_copy(update={"data": "/".join(Path(settings.data).parts[-2:])}),
        machine=this_machine(),
        num_rounds=rounds,
        tokens_per_s=speeds,
        ratios={
            peer: Spread.of([a / b for a, b in zip(speeds[ENGINES[0]], speeds[peer], strict=True)]) for peer in peers
        },
        losses={engine: found[0].losses for engine, found in courses.items()},
        largest_gap={
            peer: max(abs(a - b) for a, b in zip(own, courses[peer][0].losses, strict=True)) for peer in peers
        },
        peak_rss_mb={engine: found[0].peak_rss_mb for engine, found in courses.items()},
    )


def table(found: TrainingBenchmark) -> str:
    """Lay the comparison out as Markdown."""
    settings = found.settings
    lines = [
        f"# Training {model_name(settings.model)}",
        f"LoRA of rank {RANK} on all linear layers, {settings.pairs} pairs a step of at most {settings.max_tokens} "
        f"tokens a text, {settings.steps} steps, {found.num_rounds} round(s) in turn; {found.machine.cpu}, "
        f"{found.machine.physical_cores} cores. Speeds leave the first step and all padding out.",
        "| trainer | tokens/s, each round | slimvec is faster by | loss, first and last step | largest gap in loss "
        "| peak memory, MB |\n| --- | --- | --- | --- | --- | --- |",
    ]
    for engine, speeds in found.tokens_per_s.items():
        ratio = found.ratios.get(engine)
        gap = found.largest_gap.get(engine)
        shown = f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else ""
        losses = found.losses[engine]
        lines[-1] += (
            f"\n| {engine} | {', '.join(f'{s:,.0f}' for s in speeds)} | {shown} | {losses[0]:.3f}, {losses[-1]:.3f} "
            f"| {'' if gap is None else f'{gap:.3f}'} | {found.peak_rss_mb[engine]:,.0f} |"
        )
    return "\n\n".join(lines) + "\n"


def _recipe(settings: Settings) -> dict[str, Any]:
    """The recipe that says what the peer's arguments say."""
    return {
        "base": {"source": settings.model},
        "model": {"prompts": {"query": ""}, "max_tokens": settings.max_tokens},
        "tuning": {"rank": RANK, "alpha": 2 * RANK},
        "data": [{"path": settings.data, "limit": settings.steps * settings.pairs}],
        "loss": {"temperature": TEMPERATURE},
        "optim": {"lr": LR, "warmup": WARMUP, "weight_decay": DECAY},
        "batch": {
            "pairs": settings.pairs,
            "negatives": 0,
            "max_query_tokens": settings.max_tokens,
            "max_document_tokens": settings.max_tokens,
        },
        "run": {"steps": settings.steps, "checkpoint_minutes": 0},
    }


def _rows(settings: Settings) -> tuple[list[dict[str, str]], list[int]]:
    """The pairs of slimvec's batches in order, and the tokens of each batch."""
    from slimvec.model.opening import open_model
    from slimvec.training.batches.sources import read_sources, source_numbers
    from slimvec.training.recipe.reading import parse_recipe
    from slimvec.training.step.contrastive import plan_contrastive

    recipe = parse_recipe(json.dumps(_recipe(settings)))
    records, held = read_sources(recipe.data, seed=recipe.run.seed)
    plan = plan_contrastive(records, recipe, source_numbers(held))
    tokenizer = open_model(settings.model, max_tokens=settings.max_tokens).tokenizer()
    rows, tokens = [], []
    for step in range(settings.steps):
        batch = [records[i] for i in plan.step(step).indices]
        if len(batch) != settings.pairs:
            raise ValueError(f"batch {step} has {len(batch)} pairs; take a multiple of {settings.pairs} of the data")
        rows += [{"anchor": record.query, "positive": record.positives[0]} for record in batch]
        texts = [text for record in batch for text in (record.query, record.positives[0])]
        tokens.append(sum(tokenizer.tokenize(texts).lengths))
    return rows, tokens


def _course(losses: Sequence[float], seconds: Sequence[float], tokens: Sequence[int]) -> Course:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return Course(losses=tuple(losses), seconds=tuple(seconds), tokens=tuple(tokens), peak_rss_mb=peak)


TRAINERS: dict[str, Callable[[Settings], Course]] = {
    "slimvec": train_slimvec,
    "sentence-transformers": lambda settings: train_peer(settings, low_precision=False),
    "sentence-transformers-bf16": lambda settings: train_peer(settings, low_precision=True),
}


def _in_process(engine: str, settings: Settings, num_threads: int) -> Course:
    """Run one training in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.training", "--worker", engine, "--settings"]
    finished = subprocess.run(
        [*command, settings.model_dump_json()],
        cwd=ROOT,
        env=worker_environment(num_threads),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Course.model_validate_json(finished.stdout.splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and write JSON and Markdown; 1 when a peer is more than 1/1.5 as fast."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--data", help="pairs as .jsonl or .jsonl.gz")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=num_cores())
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/MODEL-training.json")
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.worker:
        print(TRAINERS[given.worker](Settings.model_validate_json(given.settings)).model_dump_json())
        return 0
    if not given.data:
        parser.error("--data is needed")
    settings = Settings(
        model=given.model,
        data=str(Path(given.data).absolute()),
        steps=given.steps,
        pairs=given.pairs,
        max_tokens=given.max_tokens,
    )
    found = compare(settings, rounds=given.rounds, num_threads=given.threads, engines=given.engines)
    output = given.output or ROOT / "benchmarks" / "results" / f"{model_name(given.model)}-training.json"
    write_json(found, output)
    output.with_suffix(".md").write_text(table(found), encoding="utf-8")
    print(table(found))
    return int(any(ratio.median < 1.5 for ratio in found.ratios.values()))


if __name__ == "__main__":
    sys.exit(main())
