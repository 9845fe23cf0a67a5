"""The trials run, short: a kill, a full disk and two writers of a command each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="trials fork")
@pytest.mark.timeout(400)  # an interpreter with torch, on a machine that is busy
def test_a_killed_a_limited_and_a_second_embed_end_as_they_should(tmp_path):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.trials", "--count", "1", "--commands", "embed"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)]), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "kill embed",
        "disk embed",
        "writers embed",
        "0 failed",
    ]
