"""Queries trained without their instruction, so that a model still finds things for those who write none."""

from collections.abc import Sequence
from hashlib import blake2b

_RANGE = 1 << 64


def drop_instructions(numbers: Sequence[int], *, share: float, seed: int, step: int) -> list[bool]:
    """Say which records' queries go without their instruction in a step.

    Each record is decided by itself, from seed, step and its own number: a run that is resumed, or spread over other
    processes, draws what it would have drawn.

    Args:
        numbers: Numbers of the step's records, among those of the run.
        share: Share of the queries, between 0 and 1.
        seed: The run's.
        step: Its number, from 0.
    """
    return [share > 0 and _place(f"{seed}/{step}/{number}") < share * _RANGE for number in numbers]


def _place(key: str) -> int:
    """Give a number from 0 to 2^64 that only the key decides; unrelated to other uses of it."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8, person=b"untold").digest())
