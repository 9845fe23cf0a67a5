"""Two processes: the same weights as one, the same stop, a bit-identical resumption, one message for an error."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from slimvec.model.folder import load_model, save_model
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.training_run import train
from tests import tiny
from tests.training import support

CHILD = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
from pathlib import Path
from slimvec.errors import PeerError, SlimvecError
from slimvec.training.step.processes import Processes, started
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.training_run import train
from tests.training.support import LetterTeacher

rank = int(os.environ["RANK"])
for job in json.loads(sys.argv[1]):
    def on_step(event):
        if job.get("stop") == [rank, event.step]:
            os.kill(os.getpid(), 15)
        if job.get("fail") == [rank, event.step]:
            raise SlimvecError("the disk is gone")
    recipe = parse_recipe(job["recipe"], overrides=job["overrides"])
    try:
        with started():
            result = train(recipe, Path(job["output"]), resume=job.get("resume", False), on_step=[on_step],
                           open_teacher=lambda _: LetterTeacher())
            print(json.dumps({"rank": rank, "job": job["output"], "steps": result.progress.step,
                              "tokens": result.progress.tokens}), flush=True)
    except PeerError:
        print(json.dumps({"rank": rank, "job": job["output"], "error": "a peer failed"}), flush=True)
    except SlimvecError as error:
        print(json.dumps({"rank": rank, "job": job["output"], "error": str(error)}), flush=True)
    os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
"""

BASE = ("run.steps=4", "run.checkpoint_steps=2", "optim.clip=0.5")
KINDS = {
    "lora": ("batch.graph_tokens=0", "batch.micro_batch_tokens=150"),
    "full": ("tuning={method: full}", "loss.mrl_dims=[32, 8]", "batch.gradient_checkpointing=true"),
    "shared": ("tuning={method: full}", "run.shard=true", "batch.graph_tokens=0", "batch.micro_batch_tokens=150"),
    "dropout": ("tuning={method: lora, rank: 4, dropout: 0.3}",),
    # Texts of very different lengths in small pieces, so that one process has more pieces than the other.
    "adapted": (
        "tuning={method: full}",
        "run.shard=true",
        "model={attention: bidirectional}",
        "batch.micro_batch_tokens=60",
        "adaptation={max_tokens: 60, step_tokens: 200}",
        "data.0.path=uneven.jsonl",
        "base.source=tied",
    ),
    "texts": (
        "objective={kind: text-vectors, teachers: [big], texts: 7, max_tokens: 60, gram: 1, kl: 1, head_texts: 30, "
        "refit_texts: 20, projection: true}",
        "model={head: [{kind: dense, in_dims: 32, out_dims: 8, bias: false, activation: Identity}]}",
        "batch.graph_tokens=0",
        "batch.micro_batch_tokens=100",
    ),
    "phrases": (
        "tuning={method: full}",
        "run.shard=true",
        "batch.graph_tokens=0",
        "batch.micro_batch_tokens=60",
        "objective={kind: next-phrase, boundaries: tokens, phrase_tokens: [4, 8], max_tokens: 60, step_tokens: 150, "
        "window_tokens: 6, near_tokens: 4, lm_weight: 0.5}",
        "data.0.path=uneven.jsonl",
        "base.source=tied",
    ),
    "anchor": ("objective={kind: anchor}", "batch.micro_batch_tokens=100", "batch.graph_tokens=0", "base.source=tied"),
    "crops": ("objective={kind: crops, max_tokens: 60, step_tokens: 150}", "data.0.path=uneven.jsonl"),
    # Of one step two groups, of another one: then a process has nothing to do.
    "revela": (
        "objective={kind: revela, max_tokens: 60, passages: 2, step_tokens: 100}",
        "batch.graph_tokens=0",
        "data.0.path=uneven.jsonl",
        "base.source=tied",
    ),
    # Five queries of uneven length a step, so that a process has fewer of them, and pieces of about one target.
    "ngrams": (
        "objective={kind: ngrams, queries: 5, targets: 3, tokens: 6, span_share: 0.5}",
        "batch.micro_batch_tokens=60",
        "data.0.path=uneven.jsonl",
        "base.source=tied",
    ),
    # Batches of one, so that a process has nothing to do.
    "few": ("batch.pairs=2", "data.0.path=few.jsonl", "run.steps=3"),
}

pytestmark = pytest.mark.timeout(600)  # starting interpreters with torch, on a machine that is busy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("processes")
    save_model(tiny.embedding_model(), made / "base")
    save_model(tiny.embedding_model("gemma3_text"), made / "tied")
    rows = ({"query": r.query, "positives": r.positives, "negatives": r.negatives} for r in support.records())
    (made / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = ({"query": "q", "positive": f"d{i}", "negatives": [f"n{i}"]} for i in range(3))
    (made / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in few))
    lengths = (50, 3, 4, 50, 2, 3, 5, 4, 50, 6, 2, 40)
    uneven = (
        {"query": "q", "positive": "ab cd ef gh " * (length // 12) + "x" * (length % 12 + 2)} for length in lengths
    )
    (made / "uneven.jsonl").write_text("".join(json.dumps(row) + "\n" for row in uneven))
    return made


def job(folder, name, kind, *overrides, **more):
    common = (f"base.source={folder / 'base'}", f"data.0.path={folder / 'pairs.jsonl'}", *BASE, *KINDS[kind])
    for file in ("few.jsonl", "uneven.jsonl", "tied"):
        common = [text.replace(f"={file}", f"={folder / file}") for text in common]
    return {"recipe": support.RECIPE, "overrides": [*common, *overrides], "output": str(folder / name), **more}


def free_ports(num):
    """Give the first of `num` ports in a row that are free, below those that the system hands to anybody who asks."""
    first = 20000 + os.getpid() * num % 10000
    for start in range(first, 32000, num):
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for port in range(start, start + num):
                probes.enter_context(socket.socket()).bind(("localhost", port))
            return start
    raise AssertionError(f"no {num} ports in a row are free from {first} on")


def launch(jobs):
    """Run jobs one after the other in two processes; what each process said, by job and rank."""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_ports(len(jobs)))}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, json.dumps(jobs)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = {}
    for child in children:
        out, err = child.communicate(timeout=550)
        assert child.returncode == 0, err
        for line in out.splitlines():
            if line.startswith("{"):
                told = json.loads(line)
                said[Path(told["job"]).name, told["rank"]] = told
    return said


@pytest.fixture(scope="module")
def said(folder):
    """All runs of two processes together, because it is their start that takes long."""
    jobs = [job(folder, f"two-{kind}", kind) for kind in KINDS]
    for kind in ("dropout", "shared"):
        jobs += [
            job(folder, f"stopped-{kind}", kind, stop=[1, 1]),
            job(folder, f"stopped-{kind}", kind, resume=True),
        ]
    jobs.append(job(folder, "failed", "lora", fail=[1, 2]))
    return launch(jobs)


@pytest.fixture(scope="module")
def alone(folder):
    tokens = {}
    for kind in KINDS:
        if kind != "dropout":
            made = job(folder, f"one-{kind}", kind, "run.shard=false")
            tokens[kind] = train(
                parse_recipe(made["recipe"], overrides=made["overrides"]),
                Path(made["output"]),
                open_teacher=lambda _: support.LetterTeacher(),
            ).progress.tokens
    return tokens


def weights(path):
    return load_model(path, dtype=torch.float32).backbone.state_dict()


def metrics(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "kind", ["lora", "full", "shared", "adapted", "texts", "phrases", "anchor", "crops", "revela", "ngrams", "few"]
)
def test_two_processes_train_as_one(folder, said, alone, kind):
    two, one = folder / f"two-{kind}", folder / f"one-{kind}"
    assert said[two.name, 0]["tokens"] == said[two.name, 1]["tokens"] == alone[kind]
    wanted, found, start = (
        weights(one),
        weights(two),
        weights(folder / ("tied" if kind in ("adapted", "phrases", "anchor", "revela", "ngrams") else "base")),
    )
    assert wanted.keys() == found.keys()
    moved = max(float((wanted[name] - start[name]).abs().max()) for name in wanted)
    apart = max(float((wanted[name] - found[name]).abs().max()) for name in wanted)
    assert moved > (0.01 if kind != "few" else -1)  # a batch of one has no negatives, and nothing to learn
    assert apart < 5e-5
    for ours, theirs in zip(metrics(two), metrics(one), strict=True):
        for name in ("loss", "gradient_norm", "positive_cosine", "random_cosine", "tokens", "truncated", "lr"):
            wanted_value = theirs[name] if theirs[name] is None else pytest.approx(theirs[name], rel=1e-4, abs=1e-5)
            assert ours[name] == wanted_value, name


@pytest.mark.parametrize("kind", ["dropout", "shared"])
def test_a_signal_to_one_stops_all_and_resuming_ends_bit_by_bit_alike(folder, said, kind):
    name = f"stopped-{kind}"
    assert [said[name, rank]["steps"] for rank in (0, 1)] == [4, 4]
    assert [line["step"] for line in metrics(folder / name)] == [1, 2, 3, 4]
    wanted, found = weights(folder / f"two-{kind}"), weights(folder / name)
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)


def test_the_first_to_fail_says_why_and_the_others_end(said):
    assert [said["failed", rank]["error"] for rank in (0, 1)] == ["a peer failed", "the disk is gone"]
