"""How long a run lasts, and the learning rate along it: both as shares of the run, counted in steps or in time."""

import math
from dataclasses import dataclass
from typing import Protocol

from slimvec.training.recipe import Optim


@dataclass(frozen=True)
class Span:
    """The part of a run that a step takes, as shares: 0 is the run's start, 1 its end."""

    start: float
    end: float


class Length(Protocol):
    """When a run is over."""

    def is_over(self, steps: int, seconds: float, step_seconds: float) -> bool:
        """Tell after `steps` steps and `seconds`, when a step takes about `step_seconds`."""
        ...

    def span(self, steps: int, seconds: float, now: float) -> Span:
        """Give the span of the step that began after `steps` steps at `seconds` and ends `now`."""
        ...

    def seconds_left(self, steps: int, seconds: float, step_seconds: float) -> float:
        """Estimate the time to the end."""
        ...


@dataclass(frozen=True)
class StepLength:
    """A run of `total` steps."""

    total: int

    def is_over(self, steps: int, seconds: float, step_seconds: float) -> bool:  # noqa: ARG002
        """Tell whether all steps are done."""
        return steps >= self.total

    def span(self, steps: int, seconds: float, now: float) -> Span:  # noqa: ARG002
        """Give a step its equal share."""
        return Span(steps / self.total, (steps + 1) / self.total)

    def seconds_left(self, steps: int, seconds: float, step_seconds: float) -> float:  # noqa: ARG002
        """Count the steps left at their usual pace."""
        return (self.total - steps) * step_seconds


@dataclass(frozen=True)
class TimeLength:
    """A run of `limit` seconds. It ends before a step that would not fit any more; one step is always taken."""

    limit: float

    def is_over(self, steps: int, seconds: float, step_seconds: float) -> bool:
        """Tell whether another step would exceed the limit."""
        return steps > 0 and seconds + step_seconds > self.limit

    def span(self, steps: int, seconds: float, now: float) -> Span:  # noqa: ARG002
        """Give a step the share of the time it took."""
        return Span(min(seconds / self.limit, 1.0), min(now / self.limit, 1.0))

    def seconds_left(self, steps: int, seconds: float, step_seconds: float) -> float:  # noqa: ARG002
        """Count the time left."""
        return max(self.limit - seconds, 0.0)


def learning_rate(settings: Optim, span: Span) -> float:
    """Give the learning rate of a step.

    It rises linearly to `lr` over the first `warmup` of the run and falls to zero over the rest. Rising takes the
    step's end and falling its start, so that neither the first nor the last step is wasted on a rate of zero, and
    the rate would be zero at the very next step.
    """
    if settings.warmup and span.end < settings.warmup:
        return settings.lr * span.end / settings.warmup
    done = max(0.0, (span.start - settings.warmup) / (1 - settings.warmup))
    if settings.decay == "constant":
        return settings.lr
    if settings.decay == "cosine":
        return settings.lr * (1 + math.cos(math.pi * done)) / 2
    return settings.lr * (1 - done)
