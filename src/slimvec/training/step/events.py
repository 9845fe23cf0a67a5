"""What a run tells the outside: an event for each step and each evaluation, and where they go.

Beside the file of metrics they go to TensorBoard and trackio, by name; both are optional packages.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from slimvec.files import storage_errors, write_text
from slimvec.optional import require

MODULES = {"tensorboard": "tensorboard", "trackio": "trackio"}
Notice = Callable[[str, float | None], None]
Remark = Callable[[str], None]


class Logger(Protocol):
    """Where numbers go."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of a step."""
        ...

    def close(self) -> None:
        """Write what is not written yet."""
        ...


def check_loggers(names: Sequence[str]) -> None:
    """See that the packages are there, before any work is done.

    Raises:
        InputError: one is not installed.
    """
    for name in names:
        require(MODULES[name], purpose=f"run.loggers: [{name}]")


def open_loggers(names: Sequence[str], folder: Path, *, run: str, resume_after: int) -> list[Logger]:
    """Open loggers by name.

    Args:
        names: Names in `MODULES`.
        folder: TensorBoard's files go to `tensorboard` in it; trackio keeps its own place.
        run: Name of the run and its stage.
        resume_after: Last step that counts; later ones are of a run that was killed.
    """
    makers: dict[str, Callable[..., Logger]] = {"tensorboard": TensorBoardLogger, "trackio": TrackioLogger}
    return [makers[name](folder, run=run, resume_after=resume_after) for name in names]


class TensorBoardLogger:
    """Event files for TensorBoard.

    Args:
        folder: They go to `tensorboard/RUN` in it.
        run: Name of the run.
        resume_after: TensorBoard hides what an earlier file holds beyond this step.
    """

    def __init__(self, folder: Path, *, run: str, resume_after: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        path = folder / "tensorboard" / run
        self._writer = SummaryWriter(str(path), purge_step=resume_after + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Write what is not written yet."""
        self._writer.close()


class TrackioLogger:
    """A run of the project `slimvec` in trackio's local store.

    Args:
        folder: Folder of the run; not needed.
        run: Name of the run.
        resume_after: Steps up to this one are there already, and the run is continued.
    """

    def __init__(self, folder: Path, *, run: str, resume_after: int) -> None:  # noqa: ARG002
        self._trackio: Any = require("trackio", purpose="run.loggers: [trackio]")
        resume = "allow" if resume_after > 0 else "never"
        self._trackio.init(project="slimvec", name=run, resume=resume, embed=False)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of a step."""
        self._trackio.log(dict(values), step=step)

    def close(self) -> None:
        """Write what is not written yet."""
        self._trackio.finish()


@dataclass(frozen=True)
class StepEvent:
    """A step that is done.

    Attributes:
        stage: Name of the stage; empty in a run without stages. The rest is counted from the stage's beginning.
        step: Its number, from 1.
        share: How much of the run is done, 0 to 1.
        epoch: Passes over the data done, as a fraction.
        loss: Loss of its batch, before the update.
        lr: Learning rate of its update.
        gradient_norm: Before clipping.
        positive_cosine: Mean cosine of query and positive; None where there are no pairs.
        random_cosine: Mean cosine of query and the other queries' positives; near the positives' means collapse.
        losses: Parts of the loss by name, before their weights in the sum.
        tokens: It took in, of queries, positives and negatives.
        truncated: Truncated texts.
        pairs: In its batch; 0 where there are none.
        negatives_per_pair: Mean that a pair meets, its own and positives of others; None without pairs.
        tokens_per_s: Tokens a second of this step.
        seconds: Since the run began, without pauses between a stop and its resumption.
        seconds_left: Estimate.
    """

    stage: str
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
    pairs: int
    negatives_per_pair: float | None
    tokens_per_s: float
    seconds: float
    seconds_left: float

    def __str__(self) -> str:
        return f"step {self.step}, loss {self.loss:.3f}, {self.tokens_per_s:,.0f} tokens/s"

    def numbers(self) -> dict[str, float]:
        """Give what is drawn as curves."""
        names = (
            "loss",
            "lr",
            "gradient_norm",
            "positive_cosine",
            "random_cosine",
            "epoch",
            "tokens_per_s",
            "pairs",
            "negatives_per_pair",
        )
        values = {name: getattr(self, name) for name in names}
        parts = {f"loss/{name}": value for name, value in self.losses.items()}
        return {name: float(value) for name, value in values.items() if value is not None} | parts


@dataclass(frozen=True)
class ValidationEvent:
    """An evaluation between two steps.

    Attributes:
        stage: Name of the stage.
        step: Steps done before it.
        measures: By name; larger is better.
        best: Whether it is the best after any step so far.
        seconds: Since the stage began.
    """

    stage: str
    step: int
    measures: Mapping[str, float]
    best: bool
    seconds: float


Event = StepEvent | ValidationEvent
StepCallback = Callable[[StepEvent], None]
ValidationCallback = Callable[[ValidationEvent], None]


@dataclass(frozen=True)
class Audience:
    """Who is informed of what happens.

    Attributes:
        on_step: Called after each step.
        on_validation: Called after each evaluation.
        notice: Called with what is under way where it takes long, and the share that is done, if known.
        remark: Called with a line that a person should find after the run too.
    """

    on_step: Sequence[StepCallback] = ()
    on_validation: Sequence[ValidationCallback] = ()
    notice: Notice = field(default=lambda _message, _share: None)
    remark: Remark = field(default=lambda _line: None)


class RunLog:
    """Takes events to the metrics file, to the loggers and to the audience.

    Args:
        metrics: The file; None in a process that writes nothing.
        loggers: Closed with the log.
        audience: Callbacks.
    """

    def __init__(self, metrics: "MetricsFile | None", loggers: Sequence[Logger], audience: Audience) -> None:
        self._metrics, self._loggers, self._audience = metrics, loggers, audience

    def step(self, event: StepEvent) -> None:
        """Take over a step.

        Raises:
            StorageError: it cannot be written.
        """
        self._write(event, event.numbers())
        for callback in self._audience.on_step:
            callback(event)

    def validation(self, event: ValidationEvent) -> None:
        """Take over an evaluation; errors as for a step."""
        self._write(event, {f"validation/{name}": value for name, value in event.measures.items()})
        for callback in self._audience.on_validation:
            callback(event)

    def _write(self, event: Event, numbers: Mapping[str, float]) -> None:
        if self._metrics is not None:
            self._metrics.write(event)
        for logger in self._loggers:
            logger.log(event.step, numbers)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        if self._metrics is not None:
            self._stack.enter_context(self._metrics)
        for logger in self._loggers:
            self._stack.callback(logger.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class MetricsFile:
    """JSON lines, one an event, each on disk before the next step begins. Stages share one file.

    Args:
        path: Path of the file.
        stage: Whose events come; lines of other stages stay.
        resume_after: Keep the stage's lines up to this step, and drop what a killed run wrote beyond its checkpoint.

    Raises:
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path, *, stage: str, resume_after: int) -> None:
        self.path = path
        events = ((line, json.loads(line)) for line in _lines(path))
        kept = [line for line, event in events if event["stage"] != stage or event["step"] <= resume_after]
        write_text(path, "".join(f"{line}\n" for line in kept), force=True)
        self._file = path.open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
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
