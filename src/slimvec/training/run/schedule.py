"""How long a run lasts, and the learning rate along it: as shares of the run, in steps, in tokens or in time."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from slimvec.model.spec import AttentionMode
from slimvec.training.recipe import Optim, Run


@dataclass(frozen=True)
class Span:
    """The part of a run that a step takes, as shares: 0 is the run's start, 1 its end."""

    start: float
    end: float


class Done(NamedTuple):
    """How far a run is: steps, seconds and tokens since its start."""

    steps: int
    seconds: float
    tokens: int


class Length(Protocol):
    """When a run is over."""

    def is_over(self, done: Done, step_seconds: float) -> bool:
        """Tell whether it is, when a step takes about `step_seconds`."""
        ...

    def span(self, before: Done, after: Done) -> Span:
        """Give the span of a step from how far the run was before and after it."""
        ...

    def seconds_left(self, done: Done, step_seconds: float) -> float:
        """Estimate the time to the end."""
        ...

    def exceeded(self, now: float) -> bool:
        """Tell whether the run must not last as long as until now."""
        ...


@dataclass(frozen=True)
class StepLength:
    """A run of `total` steps."""

    total: int

    def is_over(self, done: Done, step_seconds: float) -> bool:  # noqa: ARG002
        """Tell whether all steps are done."""
        return done.steps >= self.total

    def span(self, before: Done, after: Done) -> Span:  # noqa: ARG002
        """Give a step its equal share."""
        return Span(before.steps / self.total, (before.steps + 1) / self.total)

    def seconds_left(self, done: Done, step_seconds: float) -> float:
        """Count the steps left at their usual pace."""
        return (self.total - done.steps) * step_seconds

    def exceeded(self, now: float) -> bool:  # noqa: ARG002
        """Say that there is time."""
        return False


@dataclass(frozen=True)
class TokenLength:
    """A run of `total` tokens: it ends with the first step that brings it there."""

    total: int

    def is_over(self, done: Done, step_seconds: float) -> bool:  # noqa: ARG002
        """Tell whether there were as many tokens."""
        return done.tokens >= self.total

    def span(self, before: Done, after: Done) -> Span:
        """Give a step the share of its tokens."""
        return Span(min(before.tokens / self.total, 1.0), min(after.tokens / self.total, 1.0))

    def seconds_left(self, done: Done, step_seconds: float) -> float:
        """Count the tokens left in steps as large as those so far."""
        left = max(self.total - done.tokens, 0)
        return left * step_seconds * done.steps / done.tokens if done.tokens else 0.0

    def exceeded(self, now: float) -> bool:  # noqa: ARG002
        """Say that there is time."""
        return False


@dataclass(frozen=True)
class TimeLength:
    """A run of `limit` seconds. It ends before a step that would not fit any more; the first one has to fit."""

    limit: float

    def is_over(self, done: Done, step_seconds: float) -> bool:
        """Tell whether another step would exceed the limit."""
        return done.steps > 0 and done.seconds + step_seconds > self.limit

    def span(self, before: Done, after: Done) -> Span:
        """Give a step the share of the time it took."""
        return Span(min(before.seconds / self.limit, 1.0), min(after.seconds / self.limit, 1.0))

    def seconds_left(self, done: Done, step_seconds: float) -> float:  # noqa: ARG002
        """Count the time left."""
        return max(self.limit - done.seconds, 0.0)

    def exceeded(self, now: float) -> bool:
        """Tell whether the limit has passed."""
        return now > self.limit


def run_length(run: Run, num_steps: Callable[[int], int]) -> Length:
    """Give the length that a recipe asks for.

    Args:
        run: With one of its lengths given.
        num_steps: Counts the steps of so many passes over the data.
    """
    if run.max_minutes is not None:
        return TimeLength(60 * run.max_minutes)
    if run.tokens is not None:
        return TokenLength(run.tokens)
    return StepLength(run.steps if run.steps is not None else num_steps(run.epochs or 1))


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
