"""The token budget of a batch: measured once for a model on a machine, and kept in the cache."""

import time
from collections.abc import Callable
from statistics import median

import torch

from slimvec.files import sha256_of_json
from slimvec.frozen import Frozen
from slimvec.model.cache import note, read_note
from slimvec.text.batch import PackedBatch

CANDIDATES = (1024, 2048, 4096, 8192)
DEFAULT_BUDGET = 4096
MIN_TOKENS = 100_000
"""Inputs below this are not worth the calibration, which runs about 45,000 tokens."""
_TEXT_TOKENS = 64
_ROUNDS = 3


class _Measured(Frozen):
    """What is kept of a measurement."""

    token_budget: int
    measured_for: list[str | int]


def token_budget(run: Callable[[PackedBatch], object], identity: str, *, num_tokens: int) -> int | None:
    """Give the budget with the most tokens a second, or None where it is not known and not worth measuring.

    Args:
        run: Runs a batch.
        identity: Names model, engine and dtype; threads and processor are added here.
        num_tokens: Size of the work at hand; a small one takes what is known and measures nothing.
    """
    described = [identity, torch.get_num_threads(), str(torch.cpu.get_capabilities().get("cpu_name"))]
    key = f"{sha256_of_json(described)[:16]}.json"
    found = read_note("budgets", key, _Measured)
    if found is None and num_tokens >= MIN_TOKENS:
        found = _Measured(token_budget=measure(run), measured_for=described)
        note("budgets", key, found.model_dump_json())
    return None if found is None else found.token_budget


def measure(run: Callable[[PackedBatch], object], *, clock: Callable[[], float] = time.perf_counter) -> int:
    """Time every candidate in turn, a few rounds, and give the one with the least median time a token."""
    batches = {
        budget: PackedBatch.from_sequences([list(range(_TEXT_TOKENS))] * (budget // _TEXT_TOKENS))
        for budget in CANDIDATES
    }
    run(batches[min(CANDIDATES)])  # the first run of anything is slow
    seconds: dict[int, list[float]] = {budget: [] for budget in CANDIDATES}
    for _ in range(_ROUNDS):
        for budget, batch in batches.items():
            start = clock()
            run(batch)
            seconds[budget].append((clock() - start) / budget)
    return min(CANDIDATES, key=lambda budget: median(seconds[budget]))
