"""How much a score depends on a place: the position sensitivity index, with what it is by chance.

    PSI = 1 - min_g mean(g) / max_g mean(g)  over groups g of items by place.

Minimum and maximum of noisy means lie further apart than those of the true ones, so PSI is above 0 even where places
do not matter, the more so the fewer items a group has. Therefore it never comes alone: its interval holds
both the percentile and the pivotal bootstrap interval, of which the second takes that upward bias off again, and it
reaches down to 0 where shuffled places give as much: at 0, the edge of what is possible, no bootstrap is right. And
beside it stands what shuffled places give.

Legend: N items, G groups, U units that are drawn together, R draws.
"""

from dataclasses import dataclass

import numpy as np

from slimvec.statistics.intervals import Interval, interval_ends, percentile_interval, percentile_intervals
from slimvec.statistics.resampling import LEVEL, NUM_DRAWS, Numbers, Values, draw_crossed

SMALLEST_GROUP = 8
"""Items below which a group's mean says next to nothing, and would decide the minimum."""


@dataclass(frozen=True, eq=False)
class Sensitivity(Interval):
    """A PSI, as it is usually reported, with its 95% interval and what is needed to judge it.

    Attributes:
        chance: Mean of PSI with shuffled places, and the ends of 95% of the shuffles.
        p: Probability of a PSI at least as large when places do not matter.
        groups: [G] numbers of the groups that have items, rising.
        by_group: Mean score by group, G of them.
        counts: [G] items.
    """

    chance: Interval
    p: float
    groups: Numbers
    by_group: list[Interval]
    counts: Numbers

    @property
    def is_distinguishable(self) -> bool:
        """Whether places matter more than by chance, at the level of 5%."""
        return self.p < 1 - LEVEL


def measure_sensitivity(
    values: Values,
    groups: Numbers,
    units: Numbers,
    *,
    kinds: Numbers | None = None,
    blocks: Numbers | None = None,
    seed: int,
) -> Sensitivity:
    """Measure the PSI of scores.

    Args:
        values: [N] scores, not negative.
        groups: [N] numbers of groups.
        units: [N] numbers of what is drawn together, such as the document that questions share.
        kinds: [N] numbers of what is drawn beside the units, such as the template that items share. Default none.
        blocks: [N]; places are shuffled within a block only. Default one block.
        seed: Random seed for the draws.
    """
    generator = np.random.default_rng(seed)
    there, groups = np.unique(groups, return_inverse=True)
    units, num_groups = np.unique(units, return_inverse=True)[1], len(there)
    means = _group_means(values, groups, np.ones((1, int(units.max()) + 1)), units, num_groups)[0]
    cells, draws = draw_crossed(units, kinds, generator)
    drawn = _group_means(values, groups, draws, cells, num_groups)
    value = float(sensitivity_index(means[None])[0])
    # The wider of the percentile interval and the pivotal one, within 0 and 1.
    low, high = map(float, interval_ends(sensitivity_index(drawn)))
    low, high = max(0.0, min(low, 2 * value - high)), min(1.0, max(high, 2 * value - low))
    shuffled = sensitivity_index(_shuffled_means(values, groups, blocks, generator, num_groups))
    p = float((1 + (shuffled >= value - 1e-12).sum()) / (1 + len(shuffled)))
    return Sensitivity(
        value=value,
        low=low if p < 1 - LEVEL else 0.0,
        high=high,
        chance=percentile_interval(float(shuffled.mean()), shuffled),
        p=p,
        groups=there,
        by_group=percentile_intervals(means, drawn),
        counts=np.bincount(groups, minlength=num_groups),
    )


def sensitivity_index(means: Values) -> Values:
    """Give PSI of means by group: [R, G] to [R]; 0 where all means are 0, NaN for a draw that has no items."""
    smallest, largest = np.fmin.reduce(means, axis=1), np.fmax.reduce(means, axis=1)
    return np.asarray(1 - np.divide(smallest, largest, out=np.ones_like(largest), where=largest != 0))


def group_places(places: Values, borders: Values) -> tuple[Numbers, Numbers]:
    """Group items by place, without the groups that are too small.

    Args:
        places: [N].
        borders: Ends of the groups, rising; a place on a border belongs to the later group, and beyond the last to it.

    Returns:
        Numbers of the items that are in a group that is kept, and the numbers of their groups among all.
    """
    groups = np.clip(np.searchsorted(borders, places, side="right") - 1, 0, len(borders) - 2)
    counts = np.bincount(groups, minlength=len(borders) - 1)
    kept = np.flatnonzero(counts[groups] >= SMALLEST_GROUP)
    return kept, groups[kept]


def _group_means(values: Values, groups: Numbers, draws: Values, units: Numbers, num_groups: int) -> Values:
    """Mean score by group in each draw: [R, G]; NaN where a draw has none of a group."""
    cells = units * num_groups + groups
    size = draws.shape[1] * num_groups
    sums = np.bincount(cells, weights=values, minlength=size).reshape(-1, num_groups)
    counts = np.bincount(cells, minlength=size).reshape(-1, num_groups)
    totals = draws @ counts
    return np.asarray(np.divide(draws @ sums, totals, out=np.full(totals.shape, np.nan), where=totals > 0))


def _shuffled_means(
    values: Values, groups: Numbers, blocks: Numbers | None, generator: np.random.Generator, num_groups: int
) -> Values:
    """Mean score by group with the places shuffled within their blocks: [R, G]."""
    blocks = np.zeros(len(values), dtype=np.int64) if blocks is None else blocks
    in_blocks = np.argsort(blocks, kind="stable")
    counts = np.bincount(groups, minlength=num_groups)
    found = np.empty((NUM_DRAWS, num_groups))
    for row in found:
        shuffled = groups[np.lexsort((generator.random(len(values)), blocks))]
        row[:] = np.bincount(shuffled, weights=values[in_blocks], minlength=num_groups) / counts
    return found
