"""Metrics beside their file: TensorBoard and trackio, by name. Both are optional packages."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from slimvec.optional import require

MODULES = {"tensorboard": "tensorboard", "trackio": "trackio"}


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
