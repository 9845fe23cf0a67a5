"""Texts longer than the model's limit: the policies, and how a text is cut into windows."""

from typing import Literal, get_args

from slimvec.errors import InputError
from slimvec.text.located import LocatedTokens

LongTextPolicy = Literal["error", "truncate", "window-mean"]
"""What is done with a text that is too long: refuse it, cut it off (and count it), or run it by windows."""
POLICIES: tuple[LongTextPolicy, ...] = get_args(LongTextPolicy)


def check_policy(policy: str, overlap_tokens: int) -> None:
    """Refuse a policy that there is not, and an overlap where there are no windows.

    Raises:
        InputError: always then.
    """
    if policy not in POLICIES:
        raise InputError(f"policy {policy!r}", expected=f"one of {', '.join(POLICIES)}")
    if overlap_tokens < 0 or (overlap_tokens and policy != "window-mean"):
        raise InputError(
            f"overlap of {overlap_tokens} tokens with policy {policy}", expected="0, or more with policy window-mean"
        )


def plan_windows(tokens: LocatedTokens, *, overlap_tokens: int) -> list[tuple[int, int]]:
    """Cut a text's own tokens into windows that fit into the model's limit behind the prompt.

    Args:
        tokens: The text.
        overlap_tokens: Tokens that a window repeats of the one before.

    Returns:
        Windows (start, end) in the text's own tokens: all of the largest length but the last, which ends the text.

    Raises:
        InputError: an overlap that leaves a window nothing new.
    """
    room = tokens.max_tokens - max(tokens.first, len(tokens.head)) - len(tokens.closing)
    if overlap_tokens >= room:
        raise InputError(
            f"overlap of {overlap_tokens} tokens",
            expected=f"less: a window has room for {room} tokens behind the prompt",
        )
    step = room - overlap_tokens
    starts = range(0, max(tokens.num_own - overlap_tokens, 1), step)
    return [(start, min(start + room, tokens.num_own)) for start in starts]
