"""The machine as a process finds it, and measures that stay short whatever the processor lacks."""

import time

import pytest
import torch

from slimvec.engine import machine as machines
from slimvec.engine.machine import copy_rate, free_disk, num_cores, product_rate, this_machine


def test_facts():
    machine = this_machine()
    assert machine.processor
    assert machine.cores == num_cores() >= 1
    assert 0 < machine.free_memory_bytes <= machine.memory_bytes
    assert ("avx2" in machine.instruction_sets) == (torch.cpu.get_capabilities().get("avx2") is True)


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert free_disk(tmp_path / "a" / "b") > 0


def test_products_stop_before_a_size_that_would_take_too_long(monkeypatch):
    sides = []

    def slow(left, _, **__):
        sides.append(left.shape[0])
        time.sleep(left.shape[0] ** 3 / 1e9)

    monkeypatch.setattr(machines.torch, "matmul", slow)
    rate = product_rate(torch.float32, seconds=0.4)
    assert max(sides) == 256
    assert 0.5 < rate < 2.1


@pytest.mark.parametrize("rate", [lambda: product_rate(torch.float32, seconds=0.01), copy_rate])
def test_rates_are_of_this_world(rate):
    assert 0.01 < rate() < 1e6
