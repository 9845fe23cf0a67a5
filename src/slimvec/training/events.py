"""What a run tells the outside: one event a step, and the metrics file made of them."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from slimvec.files import atomic_file, storage_errors


@dataclass(frozen=True)
class StepEvent:
    """A step that is done.

    Attributes:
        step: Its number, from 1.
        share: How much of the run is done, 0 to 1.
        epoch: Passes over the data done, as a fraction.
        loss: Of its batch, before the update.
        lr: Learning rate of its update.
        gradient_norm: Before clipping.
        positive_cosine: Mean cosine of query and positive; None where there are no pairs.
        random_cosine: Mean cosine of query and the other queries' positives; near the positives' means collapse.
        losses: Parts of the loss by name, before their weights in the sum.
        tokens: It took in, of queries, positives and negatives.
        truncated: Texts that lost their end.
        tokens_per_s: Of this step.
        seconds: Since the run began, without pauses between a stop and its resumption.
        seconds_left: Estimate.
    """

    step: int
    share: float
    epoch: float
    loss: float
    lr: float
    gradient_norm: float
    positive_cosine: float | None
    random_cosine: float | None
    losses: dict[str, float]
    tokens: int
    truncated: int
    tokens_per_s: float
    seconds: float
    seconds_left: float


StepCallback = Callable[[StepEvent], None]


class MetricsFile:
    """JSON lines, one a step, each on disk before the next step begins.

    Args:
        path: Of the file.
        resume_after: Keep the lines up to this step, and drop what a killed run wrote beyond its checkpoint.

    Raises:
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path, *, resume_after: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if _step_of(line) <= resume_after]
        with atomic_file(path, force=True) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def write(self, event: StepEvent) -> None:
        """Add a line.

        Raises:
            StorageError: it cannot be written.
        """
        with storage_errors(self.path):
            self._file.write(json.dumps(asdict(event)) + "\n")
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _lines(path: Path) -> list[str]:
    """Read the whole lines of a file that may be missing or end in half a line."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()


def _step_of(line: str) -> int:
    """Step number of a line."""
    return int(json.loads(line)["step"])
