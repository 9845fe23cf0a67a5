"""Which probes there are. Each is imported when it is asked for, so that their names cost the command line nothing."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from slimvec.errors import InputError

if TYPE_CHECKING:
    from slimvec.probes.probe import Probe

PROBES: dict[str, tuple[str, str]] = {
    "order": ("slimvec.probes.order", "OrderProbe"),
    "position": ("slimvec.probes.position.probe", "PositionProbe"),
    "length": ("slimvec.probes.length.probe", "LengthProbe"),
    "instruction": ("slimvec.probes.instruction.probe", "InstructionProbe"),
    "tokenizer": ("slimvec.probes.coverage.probe", "TokenizerProbe"),
    "geometry": ("slimvec.probes.geometry.probe", "GeometryProbe"),
    "attention": ("slimvec.probes.attention_mode", "AttentionModeProbe"),
}
"""Module and class by name, in the order they are run."""


def choose_probes(names: Sequence[str] = ()) -> "list[Probe]":
    """Give probes with their usual options, in the order of the register.

    Args:
        names: Which; none gives all.

    Raises:
        InputError: there is no probe of a name.
    """
    unknown = [name for name in names if name not in PROBES]
    if unknown:
        raise InputError(f"no probe {unknown[0]!r}", expected=f"one of {', '.join(PROBES)}")
    return [_make(*place) for name, place in PROBES.items() if not names or name in names]


def _make(module: str, name: str) -> "Probe":
    made: Any = getattr(import_module(module), name)()
    probe: Probe = made
    return probe
