"""Ctrl-C and SIGTERM in real processes, in the middle of something that does not come back by itself."""

import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from itertools import dropwhile

import pytest
import yaml

from tests import tiny
from tests.cli.test_compare import STUDY
from tests.cli.test_quickstart import PACKAGES, write_package
from tests.cli.test_train import RECIPE
from tests.forking import Child

WORDS = ("file", "list", "time", "number", "folder", "error", "socket", "tree", "colour", "letter", "page", "house")
LAYER = "torch.nn.functional:silu"
"""Called once by each layer of a Llama, in training and in inference without kernels."""
ANSWER_SECONDS = 2.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are not sent signals there")


@dataclass(frozen=True)
class Stopped:
    """How a command that was sent a signal ended.

    Attributes:
        code: Exit code.
        lines: What it wrote on stderr from the answer on, in lines.
        seconds: From the signal to its end.
        files: What is left in its folder, hidden files included, without what was there before.
    """

    code: int
    lines: list[str]
    seconds: float
    files: list[str]


@pytest.fixture
def work(tmp_path, model):
    """A folder with inputs of every kind."""
    pairs = [{"query": f"a {word}", "positive": f"about the {word}"} for word in WORDS]
    write_rows(tmp_path / "pairs.jsonl", pairs)
    (tmp_path / "texts.txt").write_text("".join(f"on {word}s\n" for word in WORDS), encoding="utf-8")
    for folder in (tmp_path / "set", tmp_path / "data" / "words"):
        folder.mkdir(parents=True)
        write_rows(folder / "corpus.jsonl", [{"id": word, "title": "", "text": f"on {word}s"} for word in WORDS])
        write_rows(folder / "queries.jsonl", [{"id": f"q-{word}", "text": f"which {word}?"} for word in WORDS])
        write_rows(folder / "qrels.jsonl", [{"query_id": f"q-{word}", "doc_id": word, "score": 1} for word in WORDS])
    write_rows(tmp_path / "data" / "pairs.jsonl", pairs)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(model=json.dumps(str(model))), encoding="utf-8")
    study = {**STUDY, "recipe": {"base": {"source": str(model)}, **STUDY["recipe"]}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    tiny.save_causal_model(tmp_path / "lm", max_position_embeddings=4096)
    (tmp_path / "packages").mkdir()
    for package in PACKAGES:
        write_package(tmp_path / "packages" / f"{package}.py", random.Random(package))
    return tmp_path


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def stop(stage, work):
    """Run a command until it is stuck in a function, and stop it there."""

    def call(*arguments, slow=LAYER, after=None, number=signal.SIGINT, twice=False):
        before = set(work.rglob("*"))
        child = Child(stage, work, *arguments, slow=slow, after=after)
        child.wait_until((work / "slow").exists)
        sent = time.monotonic()
        os.kill(child.pid, number)
        if twice:
            child.wait_until(lambda: "stopping" in child.errors)
            time.sleep(0.2)
            os.kill(child.pid, number)
        code, ended = child.wait()
        left = sorted(str(path.relative_to(work)) for path in set(work.rglob("*")) - before if path.is_file())
        lines = child.errors.splitlines()
        answer = list(dropwhile(lambda line: not line.startswith("stopping"), lines))  # a slow machine shows progress
        return Stopped(code, answer or lines, ended - sent, [n for n in left if n not in OWN_FILES])

    return call


OWN_FILES = ("slow", "stdout.txt", "stderr.txt")


def assert_answered(stopped, *, doing=""):
    """Said at once, then ended in time with the exit code of an interrupted command and one last line."""
    assert stopped.lines[0].startswith(f"stopping {doing}" if doing else "stopping"), stopped.lines
    assert stopped.lines[0].endswith("; a second signal ends it at once")
    assert stopped.lines[-1].startswith("interrupted"), stopped.lines
    assert len(stopped.lines) == 2
    assert stopped.code == 130
    assert stopped.seconds < ANSWER_SECONDS


RUNNING = "slimvec.engine.runner:Runner._run"
EVALUATE = ("evaluate", "-m", "MODEL", "-d", "set")
QUICKSTART = ("quickstart", "--base", "MODEL", "--root", "packages", "--num-documents", "8", "--quiet")
SETTINGS = ("run.steps=1", "run.max_minutes=null", "tuning.first_layer=1", "batch.pairs=4")
SHORT = (*QUICKSTART, *(word for setting in SETTINGS for word in ("--setting", setting)))
COMMANDS = {
    "embed": (("embed", "-m", "MODEL", "--role", "query", "-i", "texts.txt", "-o", "x.npy"), LAYER, RUNNING),
    "loading": (("search", "files", "-m", "MODEL", "-d", "texts.txt"), LAYER, None),
    "search": (("search", "files", "-m", "MODEL", "-d", "texts.txt"), LAYER, RUNNING),
    "tokenising": (("search", "x", "-m", "MODEL", "-d", "texts.txt"), "slimvec.engine.runner:Runner._tokenize", None),
    "evaluate": (EVALUATE, LAYER, RUNNING),
    "evaluate, scoring": (EVALUATE, "slimvec.evaluation.retrieval:measure", None),
    "evaluate, BM25": (EVALUATE, "bm25s:BM25.get_scores", None),
    "probe": (("probe", "-m", "MODEL", "--only", "attention", "--amount", "tiny", "-o", "out"), LAYER, None),
    "mine": (("mine", "pairs.jsonl", "-o", "m.jsonl", "-m", "MODEL", "-n", "2"), LAYER, RUNNING),
    "filter": (("filter", "pairs.jsonl", "-o", "f.jsonl", "-m", "MODEL", "-k", "3"), LAYER, RUNNING),
    "compare": (
        ("compare", "study.yaml", "--data", "data", "-o", "out"),
        LAYER,
        "slimvec.training.run.training_run:train",
    ),
    "clean": (("clean", "pairs.jsonl", "-o", "c.jsonl"), "slimvec.data.records:check_text", None),
    "synthesize": (
        ("synthesize", "--local", "lm", "--kind", "sts", "--language", "en", "--num", "2", "-o", "s.jsonl"),
        LAYER,
        "slimvec.model.generation:LocalGenerator.answer",
    ),
    "adapt": (
        ("adapt", "--documents", "packages", "-m", "MODEL", "-o", "adapted"),
        "slimvec.training.run.training_run:check_sources",
        None,
    ),
    "doctor": (("doctor",), "slimvec.engine.machine:_fastest", None),
    "quickstart, reading": (QUICKSTART, "slimvec.data.python_sources:ast.parse", None),
    "quickstart, measuring": (SHORT, LAYER, "slimvec.cli.phases:measure_speed"),
    "quickstart, raw": (SHORT, LAYER, "slimvec.cli.phases:choose_pace"),
    "quickstart, training": (SHORT, "slimvec.training.run.training_run:check_sources", None),
    "quickstart, saving": (SHORT, LAYER, "slimvec.cli.training:_Follower.step"),
    "quickstart, trained": (SHORT, RUNNING, "slimvec.cli.training:FinishedRun"),
    "quickstart, BM25": (SHORT, "bm25s:BM25.get_scores", None),
    "quickstart, answers": (SHORT, "slimvec.cli.phases:best_hits", None),
}
KEPT = {
    "synthesize": "s.jsonl.answers",
    "mine": "m.jsonl.work",
    "filter": "f.jsonl.work",
    "compare": "out",
    "adapt": "adapted.work",
}
"""Folders from which the same command goes on, as it then says."""


@pytest.mark.parametrize("name", COMMANDS)
def test_stopped_where_nothing_comes_back(name, stop, model):
    arguments, slow, after = COMMANDS[name]
    stopped = stop(*(model if word == "MODEL" else word for word in arguments), slow=slow, after=after)
    assert_answered(stopped)
    kept = KEPT.get(name, "-")
    assert [file for file in stopped.files if not file.startswith(f"{kept}/")] == []
    assert (kept in stopped.lines[-1]) == any(stopped.files)


def test_sigterm_is_answered_alike(stop, model):
    arguments, slow, after = COMMANDS["embed"]
    stopped = stop(
        *(model if word == "MODEL" else word for word in arguments), slow=slow, after=after, number=signal.SIGTERM
    )
    assert_answered(stopped, doing="embedding (0 of 12 texts")


def test_a_second_signal_ends_a_training_that_is_stuck(stop):
    stopped = stop("train", "recipe.yaml", "-o", "out", after="slimvec.training.run.loop:stop_requests", twice=True)
    assert stopped.code == 130
    assert stopped.lines[-1] == "interrupted"
    assert stopped.seconds < ANSWER_SECONDS


def test_what_json_says_of_a_stop(stop, model, work):
    stopped = stop("search", "files", "-m", model, "-d", "texts.txt", "--json")
    assert_answered(stopped, doing="loading")
    said = json.loads((work / "stdout.txt").read_text(encoding="utf-8"))
    assert said == {"error": "interrupted", "expected": None, "do": None, "code": 130}
