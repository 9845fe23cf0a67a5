"""What a sweep over poolings found: a curve for each model, its best beta, and whether predictions are borne out.

Letters: S runs, Q queries, P poolings, R resamples. Queries are resampled within each set and runs over all sets, with
the same draws for every model and pooling, so that what is compared shares its luck.
"""

from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Literal

import numpy as np

from slimvec.comparison.runs import RunResult
from slimvec.comparison.sections import Check, beta_of
from slimvec.comparison.study import Study
from slimvec.evaluation.results import Score
from slimvec.frozen import Frozen
from slimvec.statistics.intervals import (
    MIN_UNITS,
    Interval,
    ends_of,
    percentile_interval,
    percentile_intervals,
    shown_ends,
)
from slimvec.statistics.jackknife import rank_correlation
from slimvec.statistics.resampling import LEVEL, NUM_DRAWS, Values, draw_counts
from slimvec.statistics.trainings import MIN_TRAININGS

Outcome = Literal["borne out", "not borne out", "undecided", "no verdict"]
_MOST_ORDERED = 7
"""Models whose orders are all counted, 5,040 of them; of more, some are drawn."""


class SweptModel(Frozen):
    """A model read with several poolings.

    Attributes:
        variant: The model.
        names: Names of the poolings, [P].
        betas: Their betas; None for those outside the family, and for the last token, whose beta is infinite.
        scores: Mean of the main metric over sets, with intervals where there are queries enough for one, as for all
            that follows.
        best: Name of the pooling with the highest mean.
        best_beta: Beta of the best one of the family, with the interval of where the best lies; the last token is left
            out of it. None where fewer than two have one.
        best_over_mean: Best of the family less beta 0, if 0 is among them. The best is chosen on the same queries, so
            this is a little too large.
        mixing: How much of a state comes from its context, mean of the runs; None where it was not measured.
    """

    variant: str
    names: tuple[str, ...]
    betas: tuple[float | None, ...]
    scores: tuple[Score, ...]
    best: str
    best_beta: Score | None
    best_over_mean: Score | None
    mixing: float | None


class CheckResult(Frozen):
    """Whether a prediction is borne out.

    Attributes:
        name: The prediction.
        outcome: In a word; `no verdict` where a trained model has under three seeds, or the queries give no interval.
        finding: With the figures.
    """

    name: str
    outcome: Outcome
    finding: str


class Sweeps:
    """The sweep of a study, resampled.

    Args:
        study: With a section `sweep`.
        results: Those there are; a model is taken as soon as all its poolings have a seed in common.
    """

    def __init__(self, study: Study, results: Sequence[RunResult]) -> None:
        self._study = study
        by_variant: dict[str, dict[int, RunResult]] = {}
        for result in results:
            by_variant.setdefault(result.variant, {})[result.seed] = result
        self._mixing = {name: _mean_mixing(runs.values()) for name, runs in by_variant.items()}
        self._few: dict[str, str] = {}
        self._num_queries = 0
        self._means: dict[str, Values] = {}
        self._draws: dict[str, Values] = {}
        for name, cells in study.swept.items():
            found = [by_variant.get(cell, {}) for cell in cells]
            seeds = [seed for seed in study.seeds if all(seed in runs for runs in found)]
            if seeds:
                self._resample(name, [[runs[seed] for seed in seeds] for runs in found])
                if study.cells[name].trained and len(seeds) < MIN_TRAININGS:
                    self._few[name] = f"{name} was trained {len(seeds)} time(s); a verdict needs {MIN_TRAININGS}"

    def models(self) -> tuple[SweptModel, ...]:
        """Sum up each model."""
        return tuple(self._model(name) for name in self._means)

    def checks(self) -> tuple[CheckResult, ...]:
        """Judge each prediction whose models are all there."""
        ready = [check for check in self._study.checks if all(name in self._means for name in check.of)]
        return tuple(
            self._limited(check, self._ordered(check) if check.rises_with else self._at(check)) for check in ready
        )

    def _limited(self, check: Check, found: CheckResult) -> CheckResult:
        """Take the outcome back where queries or a model's trainings are too few for one; the figures stay."""
        few = [self._few[name] for name in check.of if name in self._few]
        if self._num_queries < MIN_UNITS:
            few.insert(0, f"{self._num_queries} queries; a verdict needs {MIN_UNITS}")
        if not few:
            return found
        return found.model_copy(update={"outcome": "no verdict", "finding": f"{found.finding} ({few[0]})"})

    def _resample(self, name: str, runs: Sequence[Sequence[RunResult]]) -> None:
        """Keep the means of a model's poolings, [P], and those of every resample, [R, P]."""
        tables = [
            np.array([[run.tasks[number].values for run in of_pooling] for of_pooling in runs])
            for number in range(len(runs[0][0].tasks))
        ]
        self._num_queries = sum(table.shape[2] for table in tables)  # the same of all models
        generator = np.random.default_rng(self._study.evaluation.seed)
        counts = [_drawn_shares(generator, table.shape[2]) for table in tables]
        by_run = _drawn_shares(generator, tables[0].shape[1])
        self._means[name] = np.mean([table.mean(axis=(1, 2)) for table in tables], axis=0)
        parts = [np.einsum("rs,rq,psq->rp", by_run, of_set, t) for of_set, t in zip(counts, tables, strict=True)]
        self._draws[name] = np.mean(parts, axis=0)

    def _betas(self) -> list[float | None]:
        """Give the poolings' betas, infinite for the last token."""
        assert self._study.sweep is not None
        return [beta_of(pooling) for pooling in self._study.sweep.pooling]

    def _family(self) -> tuple[list[int], Values]:
        """Give the numbers of the poolings with a finite beta, and the betas, in rising order."""
        betas = self._betas()
        order = [n for n, beta in enumerate(betas) if beta is not None and np.isfinite(beta)]
        order.sort(key=lambda number: betas[number] or 0.0)
        return order, np.array([betas[number] or 0.0 for number in order])

    def _best_betas(self, name: str) -> tuple[float, Values]:
        """Give a model's best beta, and that of every resample."""
        order, betas = self._family()
        return float(betas[self._means[name][order].argmax()]), betas[self._draws[name][:, order].argmax(axis=1)]

    def _best_over(self, name: str, beta: float) -> Interval:
        """Give what a model's best beta has over another; the best is chosen on the same queries."""
        order, betas = self._family()
        means, draws = self._means[name][order], self._draws[name][:, order]
        best, other = int(means.argmax()), betas.tolist().index(beta)
        return percentile_interval(float(means[best] - means[other]), draws[:, best] - draws[:, other])

    def _score(self, found: Interval) -> Score:
        return Score.of(found, self._num_queries)

    def _shown(self, found: Interval, form: str) -> str:
        """Write the ends of an interval for people."""
        return shown_ends(**ends_of(found, self._num_queries), form=form)

    def _model(self, name: str) -> SweptModel:
        means, draws = self._means[name], self._draws[name]
        names = [cell.removeprefix(f"{name}@") for cell in self._study.swept[name]]
        order, betas = self._family()
        best_beta = over = None
        if len(order) > 1:
            best_beta = self._score(percentile_interval(*self._best_betas(name)))
            if 0.0 in betas:
                over = self._score(self._best_over(name, 0.0))
        return SweptModel(
            variant=name,
            names=tuple(names),
            betas=tuple(beta if beta is not None and np.isfinite(beta) else None for beta in self._betas()),
            scores=tuple(map(self._score, percentile_intervals(means, draws))),
            best=names[int(means.argmax())],
            best_beta=best_beta,
            best_over_mean=over,
            mixing=self._mixing.get(name),
        )

    def _at(self, check: Check) -> CheckResult:
        """Judge that models are best at a beta, by the interval of where the best lies: there alone, or elsewhere."""
        assert check.best_beta is not None
        outcomes, parts = [], []
        for name in check.of:
            best = percentile_interval(*self._best_betas(name))
            outcome: Outcome = "undecided"
            if best.low == check.best_beta == best.high:
                outcome = "borne out"
            elif not best.low <= check.best_beta <= best.high:
                outcome = "not borne out"
            outcomes.append(outcome)
            parts.append(f"{name} is best at {best.value:g}{self._shown(best, 'g')}")
            if best.value != check.best_beta:
                gain = self._best_over(name, check.best_beta)
                parts[-1] += f", {gain.value:+.3f}{self._shown(gain, '+.3f')} over it"
        order_of_weight: tuple[Outcome, ...] = ("not borne out", "undecided", "borne out")
        return CheckResult(
            name=check.name,
            outcome=next(outcome for outcome in order_of_weight if outcome in outcomes),
            finding="; ".join(parts),
        )

    def _ordered(self, check: Check) -> CheckResult:
        """Judge that the best beta rises with the models' mixing, by Spearman's rank correlation.

        Its interval is that of these models' best betas. That they are few is in the other figure: in how many of all
        orders the correlation would be as high.
        """
        mixing = [self._mixing[name] for name in check.of]
        if any(value is None for value in mixing):
            return CheckResult(name=check.name, outcome="undecided", finding="the mixing was not measured")
        found = [self._best_betas(name) for name in check.of]
        measured = np.array(mixing, dtype=np.float64)
        best = np.array([beta for beta, _ in found])
        value = float(rank_correlation(measured, best[None])[0])
        rho = percentile_interval(value, rank_correlation(measured, np.stack([drawn for _, drawn in found], axis=1)))
        by_chance = _share_of_orders(measured, best, value)
        outcome: Outcome = "undecided"
        if rho.low > 0 and by_chance <= 1 - LEVEL:
            outcome = "borne out"
        elif rho.high <= 0:
            outcome = "not borne out"
        pairs = (f"{name} {m:.2f}: {beta:g}" for name, m, (beta, _) in zip(check.of, measured, found, strict=True))
        finding = f"rank correlation {rho.value:+.2f}{self._shown(rho, '+.2f')} over {len(check.of)} models, "
        finding += f"as high in {by_chance:.1%} of their orders; mixing: best beta of "
        return CheckResult(name=check.name, outcome=outcome, finding=finding + ", ".join(pairs))


def _share_of_orders(xs: Values, ys: Values, value: float) -> float:
    """Give the share of all orders of ys whose rank correlation with xs is as high as their own: xs and ys [M]."""
    orders = np.array(list(permutations(ys))) if len(ys) <= _MOST_ORDERED else _shuffles(ys)
    return float((rank_correlation(xs, orders) >= value - 1e-12).mean())


def _shuffles(ys: Values) -> Values:
    generator = np.random.default_rng(0)
    return np.stack([generator.permutation(ys) for _ in range(NUM_DRAWS)])


def _drawn_shares(generator: np.random.Generator, number: int) -> Values:
    """Draw shares of so many things in every resample: [R, number], each row summing to 1."""
    shares: Values = draw_counts(number, generator) / number
    return shares


def _mean_mixing(runs: Iterable[RunResult]) -> float | None:
    found = [run.mixing for run in runs if run.mixing is not None]
    return float(np.mean(found)) if found else None
