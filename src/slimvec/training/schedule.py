"""How long a run lasts, and the learning rate along it: both as shares of the run, counted in steps or in time."""

import math
import random
from dataclasses import dataclass
from typing import Protocol

from slimvec.model.spec import AttentionMode
from slimvec.training.recipe import Optim, Run


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

    def exceeded(self, now: float) -> bool:
        """Tell whether the run must not last as long as until now."""
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

    def exceeded(self, now: float) -> bool:  # noqa: ARG002
        """Say that there is time."""
        return False


@dataclass(frozen=True)
class TimeLength:
    """A run of `limit` seconds. It ends before a step that would not fit any more; the first one has to fit."""

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

    def exceeded(self, now: float) -> bool:
        """Tell whether the limit has passed."""
        return now > self.limit


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


def attention_mode(run: Run, step: int, share: float) -> AttentionMode:
    """Give the attention mode of a step while a run turns from causal to bidirectional.

    Each step is bidirectional with the probability p = share / attention_ramp, at most 1, so that the model meets the
    other mode little by little and is trained in its final one only from there on. The coin with a rising bias is
    that of scheduled sampling (arXiv 1506.03099). Conan-embedding-v2 (arXiv 2509.12892) turns gradually too, by a
    soft mask; whole steps need no other attention than the two that the model has, on any kernel.

    Args:
        run: `attention_ramp` and seed; the coin is fixed by seed and step, so that a resumed run throws the same.
        step: Number of the step, from 0.
        share: How much of the run is done before it.
    """
    if not run.attention_ramp or share >= run.attention_ramp:
        return "bidirectional"
    coin = random.Random(f"{run.seed}/attention/{step}").random()
    return "bidirectional" if coin < share / run.attention_ramp else "causal"
