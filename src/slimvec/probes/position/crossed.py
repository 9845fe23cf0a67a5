"""Draws of items that share two things: the document they are put into and the template they are made from.

A bootstrap over documents alone takes the eight templates of needles for all there are. Here both are drawn, each with
replacement, and an item counts as often as its document and its template do together (the pigeonhole bootstrap, Owen
2007, arXiv 0712.1111): somewhat too wide, never too narrow.

Legend: N items, U units, T kinds that cross them, R draws, M measures.
"""

import numpy as np
from numpy.typing import NDArray

from slimvec.statistics.intervals import Interval

Values = NDArray[np.float64]
Numbers = NDArray[np.int64]

NUM_DRAWS = 2000
_TAILS = (0.025, 0.975)


def draw_counts(number: int, generator: np.random.Generator, num_draws: int = NUM_DRAWS) -> Values:
    """Count how often each of some things is drawn: [R, number]."""
    shares = np.full(number, 1 / number)
    return generator.multinomial(number, shares, size=num_draws).astype(np.float64)


def cross(
    units: Numbers, kinds: Numbers | None, generator: np.random.Generator, num_draws: int = NUM_DRAWS
) -> tuple[Numbers, Values]:
    """Draw units, and kinds if they are given.

    Args:
        units: [N] number of each item's unit, from 0.
        kinds: [N] number of each item's kind, from 0; None draws units alone.
        generator: Draws.
        num_draws: R.

    Returns:
        [N] number of each item's cell, and [R, cells] how often a cell counts.
    """
    by_unit = draw_counts(int(units.max()) + 1, generator, num_draws)
    if kinds is None:
        return units, by_unit
    by_kind = draw_counts(int(kinds.max()) + 1, generator, num_draws)
    both = by_unit[:, :, None] * by_kind[:, None, :]
    return units * by_kind.shape[1] + kinds, both.reshape(num_draws, -1)


def crossed_intervals(values: Values, units: Numbers, kinds: Numbers, *, seed: int) -> list[Interval]:
    """Give the mean of each measure with its 95% interval over units and kinds.

    Args:
        values: [N, M].
        units: [N].
        kinds: [N].
        seed: Random seed for the draws.
    """
    cells, draws = cross(units, kinds, np.random.default_rng(seed))
    num_cells = draws.shape[1]
    sums = np.stack([np.bincount(cells, weights=column, minlength=num_cells) for column in values.T], axis=1)
    totals = draws @ np.bincount(cells, minlength=num_cells)
    drawn = (draws @ sums)[totals > 0] / totals[totals > 0, None]
    lows, highs = np.quantile(drawn, _TAILS, axis=0)
    rows = zip(values.mean(axis=0), lows, highs, strict=True)
    return [Interval(float(mean), float(low), float(high)) for mean, low, high in rows]
