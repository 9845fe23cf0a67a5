"""The training loop: one for LoRA and full fine-tuning, for any objective, for any batch size.

A step is fixed by the recipe, the data, the weights and the random state before it. All four are in a checkpoint, so
a run that was stopped, or killed, and resumed ends with the weights of one that was not.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from slimvec.errors import TrainingError
from slimvec.text.batch import PackedBatch
from slimvec.training.checkpoints import Checkpoint, CheckpointStore, Progress
from slimvec.training.events import MetricsFile, StepCallback, StepEvent
from slimvec.training.folding import FoldedLora, folded_lora
from slimvec.training.gradients import RandomState
from slimvec.training.recipe import Recipe
from slimvec.training.schedule import Length, StepLength, TimeLength, learning_rate
from slimvec.training.steps import Step, Steps
from slimvec.training.stopping import StopRequest, stop_requests
from slimvec.training.weights import TrainedWeights

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Trainee(Protocol):
    """What the loop needs of a model; `slimvec.model.embedding_model.EmbeddingModel` is one."""

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Embed n texts: [n, D] float32 unit vectors, differentiable in the trainable parameters."""
        ...

    def named_parameters(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Give all parameters; those to be trained require a gradient."""
        ...

    def modules(self) -> Iterable[nn.Module]:
        """Give all modules."""
        ...

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off."""
        ...


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


@dataclass(frozen=True)
class _TakenStep:
    """A step and what became of the weights."""

    step: Step
    gradient_norm: float
    lr: float
    seconds: float


class Trainer:
    """A run in progress.

    Args:
        model: Its trainable parameters are trained in place.
        steps: What is done in each step.
        recipe: The settings.
        extra_parameters: What is trained beside the model and kept in checkpoints only, by name.
        folder: For checkpoints and metrics.
        run_id: Fingerprint of recipe and data, to tell runs apart.
        on_step: Called after each step.
        clock: Seconds; another one in tests.
    """

    def __init__(
        self,
        model: Trainee,
        steps: Steps,
        recipe: Recipe,
        *,
        folder: Path,
        run_id: str,
        extra_parameters: Iterable[tuple[str, nn.Parameter]] = (),
        on_step: Sequence[StepCallback] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model, self._work, self._recipe = model, steps, recipe
        self._on_step, self._clock, self._folder = on_step, clock, folder
        self._length = _length(recipe, steps)
        self._weights = TrainedWeights(
            chain(model.named_parameters(), extra_parameters),
            recipe.optim,
            lower_to=None if self._folds() else DTYPES[recipe.run.dtype],
        )
        self._store = CheckpointStore(folder / "checkpoints", keep=recipe.run.keep)
        self._progress = Progress(run_id=run_id)
        self._step_seconds: list[float] = []
        self._last_checkpoint: Path | None = None
        self._checkpoint_seconds = 0.0

    @property
    def num_trained(self) -> int:
        """How many numbers are trained."""
        return self._weights.num_parameters

    def resume(self) -> Progress | None:
        """Go on from the newest whole checkpoint; None, and a fresh start, when there is none.

        Raises:
            TrainingError: the checkpoint is of another recipe, other data or another model.
        """
        checkpoint = self._store.latest()
        if checkpoint is None:
            return None
        if checkpoint.progress.run_id != self._progress.run_id:
            raise TrainingError(
                f"the checkpoints in {self._folder} are of a run with another recipe or other data",
                expected="the same of both",
                do="resume with the recipe as it was, or start anew with --force",
            )
        tensors = checkpoint.tensors
        self._weights.load(tensors)
        cuda = sorted((name for name in tensors if name.startswith("random.cuda.")), key=lambda n: int(n.split(".")[2]))
        RandomState(tensors["random.cpu"], tuple(tensors[name] for name in cuda)).restore()
        self._progress = checkpoint.progress
        self._checkpoint_seconds = self._progress.seconds
        return self._progress

    def run(self) -> TrainingOutcome:
        """Train to the end, or until Ctrl-C or SIGTERM, which leave a checkpoint.

        Raises:
            TrainingError: the loss or the gradient is no number any more.
            StorageError: metrics or a checkpoint cannot be written.
        """
        if self._progress.step == 0:
            torch.manual_seed(self._recipe.run.seed)
        self._model.train()
        with ExitStack() as stack:
            stack.callback(self._weights.close)
            stop = stack.enter_context(stop_requests())
            metrics = stack.enter_context(MetricsFile(self._folder / "metrics.jsonl", resume_after=self._progress.step))
            folding = stack.enter_context(folded_lora(self._model.modules()) if self._folds() else nullcontext())
            finished = self._steps(stop, metrics, folding)
        self._model.train(False)
        return TrainingOutcome(finished, self._progress, self._last_checkpoint)

    def _folds(self) -> bool:
        tuning = self._recipe.tuning
        return tuning.method == "lora" and tuning.folded

    def _steps(self, stop: StopRequest, metrics: MetricsFile, folding: FoldedLora | None) -> bool:
        """Take steps until the run is over (True) or is asked to stop (False)."""
        began = self._clock() - self._progress.seconds
        while not self._length.is_over(self._progress.step, self._progress.seconds, self._usual_seconds()):
            step = self._take_step(began)
            if folding is not None:
                folding.refresh()
            self._record(step, metrics)
            if stop:
                self._checkpoint()
                return False
            if self._checkpoint_due():
                self._checkpoint()
        return True

    def _take_step(self, began: float) -> _TakenStep:
        """Compute the gradient of the next step and move the weights."""
        step = self._work.backward(self._progress.step, self._model)
        norm = self._weights.clip(self._recipe.optim.clip)
        self._check(step.loss, norm)
        now = self._clock() - began
        lr = learning_rate(self._recipe.optim, self._length.span(self._progress.step, self._progress.seconds, now))
        self._weights.step(lr)
        return _TakenStep(step, norm, lr, self._clock() - began)

    def _check(self, loss: float, gradient_norm: float) -> None:
        """Stop before a number that is none reaches the weights.

        Raises:
            TrainingError: always then.
        """
        for name, value in (("loss", loss), ("gradient norm", gradient_norm)):
            if not math.isfinite(value):
                last = f"; the last checkpoint is {self._last_checkpoint}" if self._last_checkpoint else ""
                raise TrainingError(
                    f"the {name} is {value} at step {self._progress.step + 1}",
                    expected="a finite number",
                    do=f"lower optim.lr ({self._recipe.optim.lr:g}) or raise loss.temperature "
                    f"({self._recipe.loss.temperature:g}){last}",
                )

    def _record(self, taken: _TakenStep, metrics: MetricsFile) -> None:
        """Count a step, write it down and tell those who listen."""
        before = self._progress
        self._step_seconds = [*self._step_seconds[-4:], taken.seconds - before.seconds]
        self._progress = before.model_copy(
            update={
                "step": before.step + 1,
                "seconds": taken.seconds,
                "tokens": before.tokens + taken.step.tokens,
                "truncated": before.truncated + taken.step.truncated,
            }
        )
        event = self._event(taken, before)
        metrics.write(event)
        for callback in self._on_step:
            callback(event)

    def _event(self, taken: _TakenStep, before: Progress) -> StepEvent:
        """Describe a step."""
        step = taken.step
        return StepEvent(
            step=before.step + 1,
            share=self._length.span(before.step, before.seconds, taken.seconds).end,
            epoch=step.epoch,
            loss=step.loss,
            lr=taken.lr,
            gradient_norm=taken.gradient_norm,
            positive_cosine=step.positive_cosine,
            random_cosine=step.random_cosine,
            losses=step.losses,
            tokens=step.tokens,
            truncated=step.truncated,
            tokens_per_s=step.tokens / max(taken.seconds - before.seconds, 1e-9),
            seconds=taken.seconds,
            seconds_left=self._length.seconds_left(before.step + 1, taken.seconds, self._usual_seconds()),
        )

    def _usual_seconds(self) -> float:
        """Mean time of the last five steps; 0 before the first."""
        return sum(self._step_seconds) / len(self._step_seconds) if self._step_seconds else 0.0

    def _checkpoint_due(self) -> bool:
        run = self._recipe.run
        by_step = run.checkpoint_steps and self._progress.step % run.checkpoint_steps == 0
        elapsed = self._progress.seconds - self._checkpoint_seconds
        return bool(by_step or (run.checkpoint_minutes and elapsed >= 60 * run.checkpoint_minutes))

    def _checkpoint(self) -> None:
        """Write a checkpoint of the run as it is now."""
        random = RandomState.now()
        tensors = self._weights.tensors() | {"random.cpu": random.cpu}
        tensors |= {f"random.cuda.{index}": state for index, state in enumerate(random.cuda)}
        self._last_checkpoint = self._store.save(Checkpoint(self._progress, tensors))
        self._checkpoint_seconds = self._progress.seconds


def _length(recipe: Recipe, steps: Steps) -> Length:
    """Give the run's length in steps or in time."""
    run = recipe.run
    if run.max_minutes is not None:
        return TimeLength(60 * run.max_minutes)
    return StepLength(run.steps if run.steps is not None else steps.num_steps(run.epochs or 1))
