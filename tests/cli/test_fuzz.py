"""A few of the command lines that `python -m benchmarks.fuzz_cli` runs by the thousand, without a network."""

import pytest

from benchmarks.fuzz_cli import WORKING, Trial, fuzz, run_line, workplace


def test_command_lines_by_chance_end_well_or_in_one_line(model):
    trial = fuzz(model, 120)
    assert trial.faults == []
    assert trial.codes.total() >= 60
    assert sum(number for (_, code), number in trial.codes.items() if code == 0) >= 8


@pytest.fixture(scope="module")
def place(model):
    with workplace(model) as folder:
        yield folder


@pytest.mark.parametrize("line", WORKING)
def test_the_lines_that_are_changed_work_as_they_stand(line, place):
    trial = Trial()
    run_line([*line.split(), "--quiet", "--json"], {}, trial, place)
    assert (trial.faults, list(trial.codes)) == ([], [(line.split()[0], 0)])
