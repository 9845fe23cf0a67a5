import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.engines.base import Model, built_once
from benchmarks.processes import WorkerError, WorkerProcess, worker_environment

MODEL = asdict(Model("m", "folder", "", "ask: ", 512, 1, "cache"))


def start(name, python=sys.executable):
    return WorkerProcess(f"tests.benchmarks.fakes:{name}", python=Path(python), num_threads=3)


def test_a_worker_answers_whatever_its_engine_prints():
    with start("Counting") as worker:
        worker.ask("prepare", model=MODEL)
        loaded = worker.ask("load", model=MODEL)
        assert loaded["details"] == {"dtype": "float32", "threads": "3"}
        assert loaded["seconds"] > 0
        worker.ask("keep", name="a", texts=["x", "yyy"], instructed=True)
        assert worker.ask("time", name="a").keys() == {"seconds", "num_computed"}
        assert len(worker.ask("time_each", name="a")["milliseconds"]) == 2
        np.testing.assert_array_equal(worker.vectors("a"), [[6, 1], [8, 1]])
        assert worker.ask("memory")["peak_rss_mb"] > 1
        assert worker.cpu_seconds() > 0


def test_a_failure_is_a_reason_in_one_line_and_the_worker_lives_on():
    with start("Unusable") as worker:
        with pytest.raises(WorkerError, match=r"^UnusableError: there is no such form of m$"):
            worker.ask("prepare", model=MODEL)
        assert worker.ask("load", model=MODEL)["details"]["dtype"] == "float32"


def test_a_dead_worker_leaves_its_code_and_last_words():
    with start("Dying") as worker, pytest.raises(WorkerError, match="ended with code 3: out of luck with m"):
        worker.ask("load", model=MODEL)


def test_a_missing_engine_is_named():
    with start("NoSuchEngine") as worker, pytest.raises(WorkerError, match=r"code 1: AttributeError: .*NoSuchEngine"):
        worker.ask("load", model=MODEL)


def test_a_missing_interpreter_is_a_reason():
    with pytest.raises(WorkerError, match="its Python cannot be started: No such file"):
        start("Counting", python="/no/such/python")


def test_every_worker_gets_the_same_environment():
    environment = worker_environment(2)
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "2"
    assert environment["HF_HUB_OFFLINE"] == "1"


def test_a_folder_is_built_whole_or_not_at_all(tmp_path):
    def fail():
        with built_once(tmp_path / "a") as building:
            (building / "file").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with built_once(tmp_path / "a") as building:
        (building / "file").write_text("mine")
        with built_once(tmp_path / "a") as other:
            (other / "file").write_text("theirs")
    assert (tmp_path / "a" / "file").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
