"""Rotary positions that depend on a text's length, held to the text's own: a vector must not depend on its neighbours.

`longrope` (arXiv 2402.13753) has one set of wavelengths for texts up to the length of the pretraining and another for
longer ones; `dynamic` draws them out with every token beyond it. transformers takes the longest text of a batch for
all of them, and `dynamic` keeps what an earlier batch needed. Here `longrope` runs short and long texts apart, and
`dynamic` is served as far as it changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from slimvec.errors import ModelError
from slimvec.model.architectures import Config


def longrope_limits(config: Config) -> tuple[int, ...]:
    """Lengths up to which a model's `longrope` layers use their wavelengths for short texts."""
    return tuple(
        int(rope["original_max_position_embeddings"])
        for rope in _ropes(config)
        if _kind(rope) == "longrope" and rope.get("original_max_position_embeddings")
    )


def alike(lengths: Sequence[int], limits: Sequence[int]) -> list[list[int]]:
    """Put the numbers of texts together that use the same wavelengths.

    Args:
        lengths: Tokens by text.
        limits: As `longrope_limits` gives them.
    """
    groups: dict[tuple[bool, ...], list[int]] = {}
    for number, length in enumerate(lengths):
        groups.setdefault(tuple(length > limit for limit in limits), []).append(number)
    return list(groups.values())


def refuse_dynamic(config: Config, max_tokens: int) -> None:
    """Refuse `dynamic` positions for texts so long that their vectors would depend on other texts.

    Args:
        config: Content of `config.json`.
        max_tokens: Longest text.

    Raises:
        ModelError: always then.
    """
    longest = int(config.get("max_position_embeddings") or 0)
    if max_tokens > longest and any(_kind(rope) == "dynamic" for rope in _ropes(config)):
        raise ModelError(
            f"rope type 'dynamic' with texts of up to {max_tokens:,} tokens: beyond {longest:,} a vector would depend "
            "on the longest text seen",
            expected=f"at most {longest:,} tokens",
            do=f"load it with max_tokens={longest}, or with rope='yarn:4' after taking the scaling out of config.json",
        )


def _ropes(config: Config) -> list[Mapping[str, Any]]:
    """List the rope parameters of a config in its old or new form, of all kinds of layers."""
    found = [config.get("rope_parameters") or {}, config.get("rope_scaling") or {}]
    ropes = [rope for rope in found if isinstance(rope, Mapping)]
    return [*ropes, *(inner for rope in ropes for inner in rope.values() if isinstance(inner, Mapping))]


def _kind(rope: Mapping[str, Any]) -> Any:
    return rope.get("rope_type", rope.get("type"))
