"""How long a run lasts, and the learning rate along it: as shares of the run, in steps, in tokens or in time."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

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


@dataclass(frozen=True)
class Length:
    """When a run is over: after so many steps, tokens or seconds.

    Attributes:
        limit: So many. A run ends with the first step that brings it to its steps or tokens, and before a step that
            would not fit the time any more; the first one has to fit.
        unit: What the limit counts.
    """

    limit: float
    unit: Literal["steps", "tokens", "seconds"]

    def is_over(self, done: Done, step_seconds: float) -> bool:
        """Tell whether it is, when a step takes about `step_seconds`."""
        if self.unit == "seconds":
            return done.steps > 0 and done.seconds + step_seconds > self.limit
        return self._taken(done) >= self.limit

    def span(self, before: Done, after: Done) -> Span:
        """Give the span of a step from how far the run was before and after it."""
        return Span(*(min(self._taken(done) / self.limit, 1.0) for done in (before, after)))

    def seconds_left(self, done: Done, step_seconds: float) -> float:
        """Estimate the time to the end: what is left at the usual pace of steps as large as those so far."""
        taken = self._taken(done)
        left = max(self.limit - taken, 0.0)
        if self.unit == "seconds":
            return left
        return left * (done.steps / taken) * step_seconds if taken else 0.0

    def exceeded(self, now: float) -> bool:
        """Tell whether the run must not last as long as until now, in seconds."""
        return self.unit == "seconds" and now > self.limit

    def _taken(self, done: Done) -> float:
        return float(getattr(done, self.unit))


def run_length(run: Run, num_steps: Callable[[int], int]) -> Length:
    """Give the length that a recipe asks for.

    Args:
        run: With one of its lengths given.
        num_steps: Counts the steps of so many passes over the data.
    """
    if run.max_minutes is not None:
        return Length(60 * run.max_minutes, "seconds")
    if run.tokens is not None:
        return Length(run.tokens, "tokens")
    return Length(run.steps if run.steps is not None else num_steps(run.epochs or 1), "steps")


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
