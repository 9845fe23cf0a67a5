"""The training loop: one for LoRA and full fine-tuning, for any objective, for any batch size.

A step is fixed by the recipe, the data, the weights and the random state before it. All four are in a checkpoint, so
a run that was stopped, or killed, and resumed ends with the weights of one that was not.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from slimvec.errors import InputError, TrainingError
from slimvec.training.recipe import Recipe
from slimvec.training.run.checkpoints import Checkpoint, CheckpointStore, Progress, TrainingOutcome
from slimvec.training.run.schedule import Done, attention_mode, learning_rate, run_length
from slimvec.training.run.watching import (
    AbandonedError,
    RunWatch,
    StopRequest,
    between_layers,
    stop_requests,
    watch_collapse,
)
from slimvec.training.step.dtypes import run_dtype
from slimvec.training.step.events import Audience, MetricsFile, RunLog, StepEvent, ValidationEvent, open_loggers
from slimvec.training.step.folding import FoldedLora, folded_lora
from slimvec.training.step.gradients import RandomState, random_tensors, restore_random
from slimvec.training.step.processes import Processes
from slimvec.training.step.steps import Step, Steps, TrainableModel
from slimvec.training.step.weights import TrainedWeights, shares_out


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
        kept: Tensors that the steps change by themselves, by name; in checkpoints too.
        folder: For checkpoints and metrics.
        run_id: Fingerprint of recipe and data, to tell runs apart.
        stage: Name of the stage, for metrics.
        metrics: The metrics file; default `metrics.jsonl` in the folder.
        evaluate: Gives measures by name of the model as it is, when the recipe has a section `validation`.
        audience: Informed of what happens.
        clock: Seconds; another one in tests.
    """

    def __init__(
        self,
        model: TrainableModel,
        steps: Steps,
        recipe: Recipe,
        *,
        folder: Path,
        run_id: str,
        extra_parameters: Iterable[tuple[str, nn.Parameter]] = (),
        kept: Mapping[str, Tensor] | None = None,
        stage: str = "",
        metrics: Path | None = None,
        evaluate: Callable[[], Mapping[str, float]] | None = None,
        audience: Audience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model, self._work, self._recipe = model, steps, recipe
        self._processes = Processes.current()
        self._audience, self._clock, self._folder = audience or Audience(), self._processes.shared(clock), folder
        self._stage, self._metrics, self._evaluate = stage, metrics or folder / "metrics.jsonl", evaluate
        self._length = run_length(recipe.run, steps.num_steps)
        self._weights = TrainedWeights(
            chain(model.named_parameters(), extra_parameters),
            recipe.optim,
            kept=kept,
            lower_to=None if recipe.tuning.folded or shares_out(recipe.run) else run_dtype(recipe.run),
        )
        self._store = CheckpointStore(folder / "checkpoints", keep=recipe.run.keep)
        # Each new best is followed by a checkpoint, so no checkpoint that is kept looks back to more of them.
        self._best = CheckpointStore(folder / "best", keep=recipe.run.keep + 1)
        self._progress = Progress(run_id=run_id)
        self._began = 0.0  # the clock when the run would have begun if it had never stopped
        self._step_began = 0.0
        self._step_seconds: list[float] = []
        self._last_checkpoint: Path | None = None
        self._checkpoint_seconds = 0.0
        self._watch: RunWatch | None = None

    @property
    def num_trained(self) -> int:
        """How many numbers are trained."""
        return self._weights.num_parameters

    def resume(self) -> Progress | None:
        """Go on from the newest whole checkpoint; None, and a fresh start, when there is none.

        Raises:
            TrainingError: the checkpoint is of another recipe, other data or another model.
        """
        with self._processes.main_first():  # it removes torn ones
            checkpoint = self._store.latest()
        if checkpoint is None:
            return None
        if checkpoint.progress.run_id != self._progress.run_id:
            raise TrainingError(
                f"the checkpoints in {self._folder} are of a run with another recipe or other data",
                expected="the same of both",
                do="resume with the recipe as it was, or start over with --force",
            )
        self._weights.load(checkpoint.tensors)
        self._progress = checkpoint.progress
        restore_random(checkpoint.tensors, self._processes, seed=self._recipe.run.seed, step=self._progress.step)
        self._checkpoint_seconds = self._progress.seconds
        self._processes.on_main(lambda: self._best.drop_after(self._progress.step))
        return self._progress

    def run(self) -> TrainingOutcome:
        """Train to the end, or until Ctrl-C or SIGTERM, which leave a checkpoint.

        Raises:
            TrainingError: the loss or the gradient is NaN or infinite.
            StorageError: metrics or a checkpoint cannot be written.
        """
        if self._progress.step == 0:
            torch.manual_seed(self._recipe.run.seed + self._processes.rank)
        self._model.train()
        with ExitStack() as stack:
            stack.callback(self._weights.close)
            stop = stack.enter_context(stop_requests())
            stack.enter_context(self._watched(stop))
            log = stack.enter_context(self._open_log())
            folds = self._recipe.tuning.folded
            folding = stack.enter_context(folded_lora(self._model.modules()) if folds else nullcontext())
            finished = self._steps(stop, log, folding)
            if finished:
                self._go_back_to_best()
        self._model.train(False)
        return TrainingOutcome(finished, self._progress, self._last_checkpoint)

    def _open_log(self) -> RunLog:
        """Open metrics file and loggers; what they hold beyond the checkpoint that is resumed is dropped."""
        if not self._processes.is_main:
            return RunLog(None, [], self._audience)
        step = -1 if self._progress.step == 0 and self._progress.validated < 0 else self._progress.step
        run = "-".join(part for part in (self._metrics.parent.name.removesuffix(".training"), self._stage) if part)
        loggers = open_loggers(self._recipe.run.loggers, self._metrics.parent, run=run, resume_after=step)
        return RunLog(MetricsFile(self._metrics, stage=self._stage, resume_after=step), loggers, self._audience)

    @contextmanager
    def _watched(self, stop: StopRequest) -> Iterator[None]:
        """Look out for a stop, and for the end of the time, between layers within the block."""
        self._watch = RunWatch(
            stop,
            self._recipe,
            self._length,
            seconds=lambda: self._clock() - self._began,
            notice=self._audience.notice,
            alone=self._processes.num == 1,
        )
        with between_layers(self._model.modules(), self._watch.look):
            yield

    def look(self) -> None:
        """See whether to leave the step or the evaluation at hand; for work that goes on without the model's layers.

        Raises:
            AbandonedError: as `RunWatch.look`, as is the other.
            TrainingError: likewise.
        """
        if self._watch is not None:
            self._watch.look()

    def _steps(self, stop: StopRequest, log: RunLog, folding: FoldedLora | None) -> bool:
        """Go on until the run is over (True) or is asked to stop (False), which leaves a checkpoint."""
        self._began = self._clock() - self._progress.seconds
        self._step_began = self._progress.seconds
        try:
            self._take_steps(stop, log, folding)
        except AbandonedError:
            self._checkpoint()
            return False
        return True

    def _take_steps(self, stop: StopRequest, log: RunLog, folding: FoldedLora | None) -> None:
        """Take steps until the run is over.

        Raises:
            AbandonedError: it was asked to stop.
        """
        left_out = self._progress.step > self._progress.validated and self._validation_due()  # a stop came within it
        if self._progress.validated < 0 or left_out:
            self._validate(log)
        while not self._is_over():
            taken = self._take_step(stop)
            if taken is None:
                break
            if folding is not None:
                folding.refresh()
            self._record(taken, log)
            if self._validation_due():
                self._validate(log)
            if self._processes.any(bool(stop)):
                raise AbandonedError
            if self._checkpoint_due():
                self._checkpoint()
        if self._progress.validated < self._progress.step:
            self._validate(log)

    def _is_over(self) -> bool:
        """Tell whether the run has its length, or evaluations have not become better for too long."""
        validation = self._recipe.validation
        if validation is not None and validation.patience and self._progress.stale >= validation.patience:
            return True
        return self._length.is_over(_done(self._progress), self._usual_seconds())

    def _take_step(self, stop: StopRequest) -> _TakenStep | None:
        """Compute the gradient of the next step and move the weights; None if the time was over before its end.

        Raises:
            AbandonedError: the run was asked to stop within it. Either way the weights are as before the step.
        """
        assert self._watch is not None
        number, before = self._progress.step, _done(self._progress)
        if self._recipe.run.attention_ramp:
            share = self._length.span(before, before).start
            self._model.attend(attention_mode(self._recipe.run, number, share))
        random = RandomState.now()
        try:
            with self._watch.step(self._model, number=number, first=not self._step_seconds) as embed:
                step = self._work.backward(number, embed)
        except AbandonedError:
            self._weights.forget_gradients()
            random.restore()
            if stop:
                raise
            return None
        self._weights.average_gradients(self._processes)
        norm = self._weights.clip(self._recipe.optim.clip)
        self._check(step.loss, norm)
        now = self._clock() - self._began
        span = self._length.span(before, Done(number + 1, now, before.tokens + step.tokens))
        self._progress = watch_collapse(self._progress, step.random_cosine, span, self._recipe)
        lr = learning_rate(self._recipe.optim, span)
        self._weights.step(lr)
        return _TakenStep(step, norm, lr, self._clock() - self._began)

    def _validation_due(self) -> bool:
        validation = self._recipe.validation
        return validation is not None and self._progress.step % validation.every_steps == 0

    def _validate(self, log: RunLog) -> None:
        """Evaluate the model as it is, and keep it if it is the best one. Without a section for it, do nothing.

        Raises:
            InputError: the measure that decides is not among those there are.
        """
        validation = self._recipe.validation
        if validation is None or self._evaluate is None:
            return
        self._audience.notice("evaluating", None)
        measures = self._measures(self._evaluate)
        if validation.metric not in measures:
            raise InputError(
                f"validation.metric is {validation.metric!r}", expected=f"one of {', '.join(sorted(measures))}"
            )
        before, self._progress = self._progress, self._progress.judged(measures[validation.metric])
        is_best = self._progress.best != before.best
        self._step_began = self._clock() - self._began
        log.validation(ValidationEvent(self._stage, self._progress.step, measures, is_best, self._step_began))
        if is_best and validation.keep == "best":
            best = Checkpoint(self._progress, self._weights.tensors())
            self._processes.on_main(lambda: self._best.save(best))
            self._checkpoint()

    def _measures(self, evaluate: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """Evaluate without a trace in the course of the run."""
        random = RandomState.now()
        if self._recipe.run.attention_ramp:
            self._model.attend("bidirectional")
        self._model.train(False)
        try:
            with torch.no_grad():
                return self._processes.from_main(dict(evaluate()))
        finally:
            self._model.train()
            random.restore()

    def _go_back_to_best(self) -> None:
        """Leave the model as the run gives it: in its final attention mode, with the best weights if asked for.

        Raises:
            TrainingError: the best weights cannot be read any more.
        """
        if self._recipe.run.attention_ramp:
            self._model.attend("bidirectional")
        validation, best = self._recipe.validation, self._progress.best
        if validation is None or validation.keep != "best" or best is None or best.step == self._progress.step:
            return
        checkpoint = self._best.at(best.step)
        if checkpoint is None:
            raise TrainingError(
                f"the best weights, of step {best.step}, are damaged or gone in {self._best.folder}",
                do="resume with validation.keep=last, or train again with --force",
            )
        self._weights.load(checkpoint.tensors)

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

    def _record(self, taken: _TakenStep, log: RunLog) -> None:
        """Count a step, write it down and tell those who listen."""
        before = self._progress
        seconds = taken.seconds - self._step_began
        self._step_seconds = [*self._step_seconds[-4:], seconds]
        self._step_began = taken.seconds
        self._progress = before.model_copy(
            update={
                "step": before.step + 1,
                "seconds": taken.seconds,
                "tokens": before.tokens + taken.step.tokens,
                "truncated": before.truncated + taken.step.truncated,
                "pairs": before.pairs + taken.step.pairs,
                "negatives": before.negatives + taken.step.negatives,
            }
        )
        log.step(self._event(taken, before, seconds))

    def _event(self, taken: _TakenStep, before: Progress, seconds: float) -> StepEvent:
        """Describe a step."""
        step = taken.step
        return StepEvent(
            stage=self._stage,
            step=before.step + 1,
            share=self._length.span(_done(before), _done(self._progress)).end,
            epoch=step.epoch,
            loss=step.loss,
            lr=taken.lr,
            gradient_norm=taken.gradient_norm,
            positive_cosine=step.positive_cosine,
            random_cosine=step.random_cosine,
            losses=step.losses,
            tokens=step.tokens,
            truncated=step.truncated,
            pairs=step.pairs,
            negatives_per_pair=step.negatives / step.pairs if step.pairs else None,
            tokens_per_s=step.tokens / max(seconds, 1e-9),
            seconds=taken.seconds,
            seconds_left=self._length.seconds_left(_done(self._progress), self._usual_seconds()),
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
        tensors = self._weights.tensors() | random_tensors(self._processes)
        path = self._store.save(Checkpoint(self._progress, tensors)) if self._processes.is_main else None
        self._last_checkpoint = self._processes.from_main(path)
        self._checkpoint_seconds = self._progress.seconds


def _done(progress: Progress) -> Done:
    """Say how far a run is, as its length counts."""
    return Done(progress.step, progress.seconds, progress.tokens)
