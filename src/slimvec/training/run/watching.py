"""A run under watch: from layer to layer and from piece to piece, is there a reason to leave what is being done?

A step can take minutes. A stop that is asked for within it is obeyed within it, as is the end of the time there is:
the gradient is forgotten, and what was trained before the step is kept. After a stop the step is taken again when the
run is resumed. Several processes leave a step together or not at all, so they never leave it here.

A collapse of the vectors: all texts come to point the same way, and no loss brings them apart again.

The measure is the mean cosine of queries with the positives of others in their batch. Raw causal models begin at 0.8
to 0.9, some above 0.98, so its height alone says nothing: a step counts when it is above a limit and nearer to 1 than
halfway from where the run began. The run ends after many such steps in a row, warm-up left out.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from torch import Tensor, nn

from slimvec.errors import TrainingError
from slimvec.text.batch import PackedBatch
from slimvec.training.recipe import Recipe
from slimvec.training.run.checkpoints import Progress
from slimvec.training.run.schedule import Length, Span
from slimvec.training.step.events import Notice
from slimvec.training.step.gradients import Embed

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
CLOCK_SECONDS = 0.2
"""Between two layers the run's clock is read this often at most; a stop is looked for each time."""


class StopRequest:
    """Whether someone asked the run to stop."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.received is not None

    def receive(self, number: int, _: FrameType | None) -> None:
        """Remember the first request; a second one means now, whatever is lost.

        Raises:
            KeyboardInterrupt: at the second.
        """
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Listen within the block. Outside the main thread, where Python delivers no signals, nothing is received."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch_collapse(progress: Progress, cosine: float | None, span: Span, recipe: Recipe) -> Progress:
    """Count a step.

    Args:
        progress: With the counts so far.
        cosine: Mean cosine of texts that do not belong together; None for steps without pairs.
        span: Span of the step.
        recipe: Limit and patience.

    Returns:
        The progress with the counts after the step.

    Raises:
        TrainingError: the vectors have collapsed.
    """
    if cosine is None:
        return progress
    start = cosine if progress.first_cosine is None else progress.first_cosine
    limit = max(recipe.run.collapse_limit, (1 + start) / 2)
    counts = cosine > limit and span.start >= recipe.optim.warmup and recipe.run.collapse_limit < 1
    collapsed = progress.collapsed + 1 if counts else 0
    if collapsed >= recipe.run.collapse_steps:
        raise TrainingError(
            f"the vectors have collapsed: in the last {collapsed} steps texts that do not belong together had a mean "
            f"cosine above {limit:.3f} ({cosine:.4f} at step {progress.step + 1}, {start:.3f} at the start)",
            expected=f"at most run.collapse_limit ({recipe.run.collapse_limit:g})",
            do=f"lower optim.lr ({recipe.optim.lr:g}) or loss.temperature ({recipe.loss.temperature:g})",
        )
    return progress.model_copy(update={"first_cosine": start, "collapsed": collapsed})


class AbandonedError(Exception):
    """A step or an evaluation is left before its end: the run was asked to stop, or its time is over."""


class RunWatch:
    """Looks after a run.

    Args:
        stop: Whether the run was asked to stop.
        recipe: Recipe of the run.
        length: Length of the run.
        seconds: Gives the seconds since the run began.
        notice: Called with how far a first step is, which can take long.
        alone: Whether this is the only process.
    """

    def __init__(
        self,
        stop: StopRequest,
        recipe: Recipe,
        length: Length,
        *,
        seconds: Callable[[], float],
        notice: Notice,
        alone: bool,
    ) -> None:
        self._stop, self._recipe, self._length = stop, recipe, length
        self._seconds, self._notice, self._alone = seconds, notice, alone
        self._step: int | None = None
        self._tokens = 0
        self._looked = time.monotonic()

    @contextmanager
    def step(self, embed: Embed, *, number: int, first: bool) -> Iterator[Embed]:
        """Watch a step within the block.

        Args:
            embed: The model.
            number: Number of the step, from 0.
            first: Whether it is the first one since the run was started or resumed.

        Yields:
            The model with a look around before each piece. It, and `look` within the block, raise `AbandonedError`
            when the run was asked to stop or its time is over, and TrainingError when that is so in its very first
            step.
        """

        def watched(batch: PackedBatch) -> Tensor:
            if self._stop and self._alone:
                raise AbandonedError
            if first:
                self._tell_first()
            self._tokens += batch.num_tokens
            return embed(batch)

        self._step, self._tokens = number, 0
        try:
            yield watched
        finally:
            self._step = None

    def look(self) -> None:
        """See, from anywhere within the run, whether to leave.

        Raises:
            AbandonedError: the run was asked to stop, or its time is over within a step.
            TrainingError: it is over within the very first one.
        """
        if not self._alone:
            return
        if self._stop:
            raise AbandonedError
        now = time.monotonic()
        if self._step is None or now < self._looked + CLOCK_SECONDS:
            return
        self._looked = now
        if self._is_late():
            self._refuse_first()
            raise AbandonedError

    def _is_late(self) -> bool:
        """Whether the time is over, in a run that has one."""
        return self._recipe.run.max_minutes is not None and self._length.exceeded(self._seconds())

    def _tell_first(self) -> None:
        """Tell how far the first step is, and end a run that has no time for even one."""
        assert self._step is not None
        done = f", {self._tokens:,} tokens so far" if self._tokens else ""
        self._notice(f"step {self._step + 1}{done}", None)
        if self._step == 0 and self._tokens and self._is_late():
            self._refuse_first()

    def _refuse_first(self) -> None:
        """Raise for the very first step; nothing was trained yet.

        Raises:
            TrainingError: then.
        """
        if self._step == 0:
            run = self._recipe.run
            raise TrainingError(
                f"run.max_minutes ({run.max_minutes:g}) are over within the first step, after {self._tokens:,} tokens",
                expected="time for one step at least",
                do=f"raise run.max_minutes or lower batch.pairs ({self._recipe.batch.pairs})",
            )


@contextmanager
def between_layers(modules: Iterable[nn.Module], look: Callable[[], None]) -> Iterator[None]:
    """Have a look behind each layer of a model within the block, on the way back too.

    Args:
        modules: All modules of the model.
        look: May raise; what runs then ends with that error.
    """
    lists = [module for module in modules if isinstance(module, nn.ModuleList)]

    def behind(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        look()
        states = output[0] if isinstance(output, tuple) else output
        if isinstance(states, Tensor) and states.requires_grad:
            states.register_hook(lambda _: look())  # type: ignore[no-untyped-call]

    hooks = [layer.register_forward_hook(behind) for layer in (max(lists, key=len) if lists else ())]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
