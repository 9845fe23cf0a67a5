"""Shuffles that are the same on every machine, in every process and with every release of numpy."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def shuffled(values: NDArray[np.int64], *stream: int | str) -> NDArray[np.int64]:
    """Give the values in an order that only `stream` decides.

    numpy guarantees the raw output of its bit generators for good, but not what its shuffles make of it; so the order
    is that of raw random numbers.

    Args:
        values: [n].
        *stream: Names the order: seed, purpose, numbers.
    """
    entropy = int.from_bytes(hashlib.sha256(repr(stream).encode()).digest()[:16], "big")
    keys = np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(len(values))
    return values[np.argsort(keys, kind="stable")]
