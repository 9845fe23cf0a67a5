"""The token budget of a batch: measured once for a model on a machine, and kept in the cache."""

import hashlib
import json
import time
from collections.abc import Callable
from statistics import median

import torch

from slimvec.files import atomic_file
from slimvec.model.cache import cache_root
from slimvec.text.batch import PackedBatch

CANDIDATES = (1024, 2048, 4096, 8192)
DEFAULT_BUDGET = 4096
MIN_TOKENS = 100_000
"""Inputs below this are not worth the calibration, which runs about 45,000 tokens."""
_TEXT_TOKENS = 64
_ROUNDS = 3


def token_budget(run: Callable[[PackedBatch], object], identity: str, *, num_tokens: int) -> int | None:
    """Give the budget with the most tokens a second, or None where it is not known and not worth measuring.

    Args:
        run: Runs a batch.
        identity: Names model, engine and dtype; threads and processor are added here.
        num_tokens: Size of the work at hand; a small one takes what is known and measures nothing.
    """
    described = [identity, torch.get_num_threads(), str(torch.cpu.get_capabilities().get("cpu_name"))]
    name = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]
    path = cache_root() / "budgets" / f"{name}.json"
    if path.is_file():
        return int(json.loads(path.read_text(encoding="utf-8"))["token_budget"])
    if num_tokens < MIN_TOKENS:
        return None
    best = measure(run)
    with atomic_file(path, force=True) as temporary:
        temporary.write_text(json.dumps({"token_budget": best, "measured_for": described}), encoding="utf-8")
    return best


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
