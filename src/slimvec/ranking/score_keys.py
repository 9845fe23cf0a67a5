"""Score and place as one whole number, so that ordering never depends on chance: larger is better, no two are equal.

The upper half is the bit pattern of the float32 score, mapped to a whole number in the order of the floats; the lower
half is a place below 2^32 that breaks ties.
"""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Keys = NDArray[np.int64]

LOW_BITS = np.int64(2**32 - 1)


def score_keys(scores: Scores, places: Keys) -> Keys:
    """Make keys.

    Args:
        scores: Any shape; no NaN, infinities allowed.
        places: Places of the scores, of a shape that fits, from 0 to 2^32 - 1; of equal scores the larger place comes
            first.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # adding 0 makes -0 and 0 equal
    return (_flip(bits).astype(np.int64) << 32) | places


def key_scores(keys: Keys) -> Scores:
    """Give the scores back that keys were made of."""
    return _flip((keys >> 32).astype(np.int32)).view(np.float32)


def largest_keys(keys: Keys, num_kept: int) -> Keys:
    """Keep the largest keys of every row [Q, n]: [Q, at most `num_kept`], in no order."""
    surplus = keys.shape[1] - num_kept
    return keys if surplus <= 0 else np.partition(keys, surplus, axis=1)[:, surplus:]


def _flip(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Turn bit patterns of floats into whole numbers of the same order, and back."""
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
