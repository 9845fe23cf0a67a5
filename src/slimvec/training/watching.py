"""A step under watch: from piece to piece of it, is there a reason to leave it?

A step can take minutes. A stop that is asked for within it is obeyed within it: the gradient is forgotten, and the
checkpoint is of the moment before the step, which is taken again when the run is resumed. Several processes leave a
step together or not at all, so they never leave it here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from slimvec.errors import TrainingError
from slimvec.text.batch import PackedBatch
from slimvec.training.events import Notice
from slimvec.training.gradients import Embed
from slimvec.training.recipe import Recipe
from slimvec.training.schedule import Length
from slimvec.training.stopping import StopRequest


class AbandonedError(Exception):
    """A step is left before its end because the run was asked to stop."""


@dataclass(frozen=True)
class StepWatch:
    """Looks after the steps of a run.

    Attributes:
        stop: Whether the run was asked to stop.
        recipe: Of the run.
        length: Of the run.
        seconds: Gives the seconds since the run began.
        notice: Told how far a first step is, which can take long.
        alone: Whether this is the only process.
    """

    stop: StopRequest
    recipe: Recipe
    length: Length
    seconds: Callable[[], float]
    notice: Notice
    alone: bool

    def over(self, embed: Embed, *, step: int, first: bool) -> Embed:
        """Give the model with a look around before each piece.

        Args:
            embed: The model.
            step: Number of the step, from 0.
            first: Whether it is the first one since the run was started or resumed.

        Returns:
            A function that raises `AbandonedError` when the run was asked to stop, and TrainingError when the first
            step of a run takes longer than the run may.
        """
        tokens = 0

        def watched(batch: PackedBatch) -> Tensor:
            nonlocal tokens
            if self.stop and self.alone:
                raise AbandonedError
            if first:
                self._first_step(step, tokens)
                tokens += batch.num_tokens
            return embed(batch)

        return watched

    def _first_step(self, step: int, tokens: int) -> None:
        """Tell how far the first step is, and end a run that has no time for even one.

        Raises:
            TrainingError: `max_minutes` are over.
        """
        done = f", {tokens:,} tokens so far" if tokens else ""
        self.notice(f"step {step + 1}{done}", None)
        run = self.recipe.run
        if step == 0 and tokens and run.max_minutes is not None and self.length.exceeded(self.seconds()):
            raise TrainingError(
                f"run.max_minutes ({run.max_minutes:g}) are over within the first step, after {tokens:,} tokens",
                expected="time for one step at least",
                do=f"raise run.max_minutes or lower batch.pairs ({self.recipe.batch.pairs})",
            )
