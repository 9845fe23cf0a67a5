"""The list of what a run skipped."""

import json
import os
import subprocess
import sys
from pathlib import Path

CONFTEST = """
from pathlib import Path
from tests.skips import PATH, SkipList

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipList(config.rootpath / PATH))
"""
TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_a(number):
    if number:
        pytest.skip("no kernels: SLIMVEC_KERNELS=off")

@pytest.mark.skipif(True, reason="no CUDA device")
def test_b():
    pass

@pytest.mark.xfail(reason="known")
def test_c():
    assert False
"""


def test_what_several_processes_skipped_is_in_one_list(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_some.py").write_text(TESTS)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert json.loads((tmp_path / "build" / "skipped.json").read_text()) == {
        "num_skipped": 3,
        "reasons": [
            {"reason": "no CUDA device", "tests": ["test_some.py::test_b"]},
            {
                "reason": "no kernels: SLIMVEC_KERNELS=off",
                "tests": ["test_some.py::test_a[1]", "test_some.py::test_a[2]"],
            },
        ],
    }
    assert done.stdout.splitlines()[-2] == "3 tests skipped for 2 reasons: build/skipped.json"
