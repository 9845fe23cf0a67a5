"""Which probes there are. Each is imported when it is asked for, so that their names cost the command line nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from slimvec.errors import InputError

if TYPE_CHECKING:
    from slimvec.probes.protocol import Probe


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a probe is, and how much work a full run of it is, about: with all outside sets, for smollm2-135m.

    Attributes:
        module: Module of the probe, within `slimvec.probes`.
        type: Its class.
        num_texts: Embedded.
        num_tokens: Tokens of these texts.
        sets: Folders of the outside sets that it reads where they are at hand.
    """

    module: str
    type: str
    num_texts: int
    num_tokens: int
    sets: tuple[str, ...] = ()


PROBES = {
    "order": Entry(
        "order.order_probe", "OrderProbe", 6_500, 154_000, ("stsb_multi", "sick", "sugarcrepe", "pawsx", "sib200")
    ),
    "position": Entry("position.position_probe", "PositionProbe", 8_900, 880_000, ("xquad", "longdocs")),
    "length": Entry("length.length_probe", "LengthProbe", 170, 30_000, ("longdocs",)),
    "instruction": Entry("instruction.instruction_probe", "InstructionProbe", 4_500, 200_000, ("cranfield", "xquad")),
    "tokenizer": Entry("coverage.tokenizer_probe", "TokenizerProbe", 3_000, 289_000, ("sib200",)),
    "geometry": Entry("geometry.geometry_probe", "GeometryProbe", 2_100, 27_000, ("stsb_multi",)),
    "attention": Entry("attention_mode", "AttentionModeProbe", 240, 6_000),
}
"""By name, in the order they are run."""


def choose_probes(names: Sequence[str] = ()) -> "list[Probe]":
    """Give probes with their usual options, in the order of the register: those of some names, or all.

    Raises:
        InputError: there is no probe of a name.
    """
    unknown = [name for name in names if name not in PROBES]
    if unknown:
        raise InputError(f"no probe {unknown[0]!r}", expected=f"one of {', '.join(PROBES)}")
    chosen = [entry for name, entry in PROBES.items() if not names or name in names]
    return [getattr(import_module(f"slimvec.probes.{entry.module}"), entry.type)() for entry in chosen]
