"""Checkpoints: everything a run needs to go on as if it had never stopped, written whole or not at all.

A checkpoint is a folder `step-00000012` with the tensors (safetensors: no code runs on loading), the counters, and a
manifest with the SHA-256 of both, written last. One whose contents do not match its manifest is torn, and the one
before it is used.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from slimvec.files import atomic_folder, remove_partial, sha256_of
from slimvec.frozen import Frozen

_TENSORS, _PROGRESS, _MANIFEST = "tensors.safetensors", "progress.json", "manifest.json"


class Best(Frozen):
    """The best evaluation of a run.

    Attributes:
        step: Steps done before it.
        score: The measure that decides.
    """

    step: int
    score: float


class Progress(Frozen):
    """How far a run is.

    Attributes:
        run_id: Fingerprint of recipe and data; a checkpoint of another run is never resumed.
        step: Steps done, which is the position in the data too.
        seconds: Time they took.
        tokens: Tokens they took in.
        truncated: Truncated texts.
        pairs: That its batches held, over all steps.
        negatives: That these pairs met.
        first_cosine: Mean cosine of texts that do not belong together, in the first step.
        collapsed: Steps in a row, up to the last, in which they were too near to each other.
        validated: Step after which the last evaluation was; -1 before the first.
        first_score: What the evaluation before the first step gave.
        last_score: What the last one gave.
        best: The best one after a step.
        stale: Evaluations since the best.
    """

    run_id: str
    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    truncated: int = 0
    pairs: int = 0
    negatives: int = 0
    first_cosine: float | None = None
    collapsed: int = 0
    validated: int = -1
    first_score: float | None = None
    last_score: float | None = None
    best: Best | None = None
    stale: int = 0

    def judged(self, score: float) -> "Progress":
        """Take an evaluation down. The one before the first step is for comparison and is never the best."""
        changes: dict[str, object] = {"validated": self.step, "last_score": score}
        if self.step == 0:
            return self.model_copy(update={**changes, "first_score": score})
        if self.best is None or score > self.best.score:
            return self.model_copy(update={**changes, "best": Best(step=self.step, score=score), "stale": 0})
        return self.model_copy(update={**changes, "stale": self.stale + 1})


@dataclass(frozen=True)
class TrainingOutcome:
    """How a run ended.

    Attributes:
        finished: False when it was asked to stop before its end.
        progress: Steps, seconds and tokens in all.
        checkpoint: The last checkpoint, if one was written.
    """

    finished: bool
    progress: Progress
    checkpoint: Path | None


class _Manifest(Frozen):
    """SHA-256 by file name."""

    sha256: dict[str, str]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        progress: How far the run was.
        tensors: Trained weights, optimiser and random states by name, on the CPU.
    """

    progress: Progress
    tensors: dict[str, Tensor]


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        folder: Where they are, or will be.
        keep: How many of the newest are kept.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and remove those that are too many.

        Raises:
            StorageError: it cannot be written; those before it are still there.
        """
        path = self._path(checkpoint.progress.step)
        with atomic_folder(path, force=True) as building:
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
            save_file(tensors, building / _TENSORS)
            (building / _PROGRESS).write_text(checkpoint.progress.model_dump_json(indent=2), encoding="utf-8")
            digests = {name: sha256_of(building / name) for name in (_TENSORS, _PROGRESS)}
            (building / _MANIFEST).write_text(_Manifest(sha256=digests).model_dump_json(indent=2), encoding="utf-8")
        for old in self.paths()[: -self.keep]:
            shutil.rmtree(old)
        return path

    def paths(self) -> list[Path]:
        """List the checkpoints, oldest first, torn ones among them."""
        return sorted(path for path in self.folder.glob("step-*") if path.is_dir())

    def at(self, step: int) -> Checkpoint | None:
        """Read the checkpoint after a step; None when it is not there or torn."""
        return _read(self._path(step))

    def drop_after(self, step: int) -> None:
        """Remove the checkpoints after later steps: a killed run's, which the resumed one makes anew."""
        for path in self.paths():
            if path > self._path(step):
                shutil.rmtree(path)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def latest(self) -> Checkpoint | None:
        """Read the newest checkpoint that is whole; None without any. Torn ones, and leftovers, are removed."""
        for path in reversed(self.paths()):
            remove_partial(path)
            checkpoint = _read(path)
            if checkpoint is not None:
                return checkpoint
            shutil.rmtree(path)
        return None


def _read(path: Path) -> Checkpoint | None:
    """Read a checkpoint, or give None when it is torn."""
    try:
        manifest = _Manifest.model_validate_json((path / _MANIFEST).read_bytes())
        if manifest.sha256 != {name: sha256_of(path / name) for name in (_TENSORS, _PROGRESS)}:
            return None
        progress = Progress.model_validate_json((path / _PROGRESS).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return Checkpoint(progress, load_file(path / _TENSORS))
