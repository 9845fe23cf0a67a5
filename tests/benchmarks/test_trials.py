"""The trials run, short: a command under each hostile condition, in a process that forks its own."""

import os

import pytest

from tests.forking import Child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="trials fork")
def test_a_command_under_each_condition_ends_as_it_should(tmp_path, stage):
    arguments = ("--count", 1, "--commands", "clean", "--output", "trials.json")
    child = Child(stage, tmp_path, *arguments, module="benchmarks.trials.__main__")
    code, _ = child.wait()
    assert code == 0, child.output + child.errors
    *trials, end = child.output.splitlines()
    kinds = ("kill", "limit", "disk", "read-only", "inputs", "writers")
    assert [line.partition(":")[0] for line in trials] == [f"{kind} clean" for kind in kinds]
    assert end.endswith(" trials, 0 failed")
    assert (tmp_path / "trials.json").is_file()
