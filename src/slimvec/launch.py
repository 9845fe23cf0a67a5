"""Whether this process is one of several: `torchrun` and `accelerate launch` say so by environment variables."""

import os
from dataclasses import dataclass

from slimvec.errors import InputError


@dataclass(frozen=True)
class Launch:
    """What the launcher said.

    Attributes:
        rank: Number of this process, from 0.
        num: Number of processes; 1 without a launcher.
        local_rank: Number of this process on its machine, from 0.
    """

    rank: int = 0
    num: int = 1
    local_rank: int = 0


def launched() -> Launch:
    """Read what the launcher said.

    Raises:
        InputError: the variables are there but make no sense.
    """
    found = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    if not found["WORLD_SIZE"]:
        return Launch()
    try:
        rank, num, local_rank = (int(value or 0) for value in found.values())
    except ValueError:
        rank, num, local_rank = -1, 0, 0
    if not 0 <= rank < num:
        described = ", ".join(f"{name}={value}" for name, value in found.items())
        raise InputError(described, expected="numbers as torchrun sets them", do="unset them to run one process")
    return Launch(rank, num, local_rank)
