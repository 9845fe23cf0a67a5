"""Which texts go into a batch together: sorted by length, filled up to a budget of tokens."""

from collections.abc import Sequence


def plan_batches(lengths: Sequence[int], *, token_budget: int) -> list[list[int]]:
    """Deal texts into batches of at most `token_budget` tokens, longest first.

    Sorting puts near-equal lengths together, which attention over groups of equal length likes; going from long to
    short makes the largest need for memory come first. A text longer than the budget gets a batch of its own.

    Args:
        lengths: Tokens by text.
        token_budget: Most tokens in a batch.

    Returns:
        Text numbers by batch; every text exactly once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    room = 0
    for index in order:
        if not batches or lengths[index] > room:
            batches.append([])
            room = token_budget
        batches[-1].append(index)
        room -= lengths[index]
    return batches
