"""A few of the command lines that `python -m benchmarks.fuzz_cli` runs by the thousand."""

from benchmarks.fuzz_cli import fuzz


def test_command_lines_by_chance_end_well_or_in_one_line(model):
    trial = fuzz(model, 60)
    assert trial.faults == []
    assert trial.codes.total() >= 60
