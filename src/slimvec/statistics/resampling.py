"""The one resampler: how often each item comes in each resample, whatever items share.

Items are drawn with replacement (Efron 1979). Those that come in clusters are drawn a cluster at a time and then anew
within it; those that two things cross (the document they are put into, the template they are made from) are drawn by
both. Every interval of slimvec is made of these draws, and stated defaults are stated here alone.

Letters: N items, C clusters, U units, T kinds that cross them, R resamples, M measures.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Numbers = NDArray[np.int64]

LEVEL = 0.95
"""Share of resamples inside an interval; how often such intervals hold the truth."""
NUM_RESAMPLES = 10_000
"""For means, whose draws are used block by block: the 2.5% ends are stable to a few thousandths of the interval's
width."""
NUM_DRAWS = 2_000
"""For all else, whose draws are kept: the ends move by some hundredths of the interval's width from seed to seed."""
_CELLS_AT_ONCE = 4_000_000


def draw_counts(num_items: int, generator: np.random.Generator, num_draws: int = NUM_DRAWS) -> Values:
    """Count how often each item is drawn in each resample: [R, N]."""
    return np.concatenate(list(draw_blocks(num_items, generator, num_draws)))


def draw_blocks(num_items: int, generator: np.random.Generator, num_draws: int = NUM_RESAMPLES) -> Iterator[Values]:
    """Draw as `draw_counts`, some resamples at a time, so that memory does not grow: the same draws, in [r, N]."""
    num_rows = max(1, _CELLS_AT_ONCE // num_items)
    for start in range(0, num_draws, num_rows):
        rows = min(num_rows, num_draws - start)
        draws = generator.integers(num_items, size=(rows, num_items))
        draws += np.arange(rows)[:, None] * num_items
        counts = np.bincount(draws.ravel(), minlength=rows * num_items).reshape(rows, num_items)
        yield counts.astype(np.float64)


def draw_clusters(clusters: Sequence[str], generator: np.random.Generator, num_draws: int = NUM_DRAWS) -> Values:
    """Count how often each item is drawn where its cluster is drawn as a whole, and its items anew within it: [R, N].

    Items of one template are much alike (Davison and Hinkley 1997, section 3.8). With a handful of clusters the
    interval is rough, and rather too narrow. Where every item is its own cluster it is the usual bootstrap.

    Args:
        clusters: [N], the cluster of each item.
        generator: Draws.
        num_draws: R.
    """
    _, owners = np.unique(np.array(clusters), return_inverse=True)
    drawn = draw_counts(int(owners.max()) + 1, generator, num_draws).astype(np.int64)
    counts = np.zeros((num_draws, len(clusters)))
    for cluster, times in enumerate(drawn.T):
        members = np.flatnonzero(owners == cluster)
        size = len(members)
        counts[:, members] = generator.multinomial(times * size, [1 / size] * size)
    return counts


def draw_crossed(
    units: Numbers, kinds: Numbers | None, generator: np.random.Generator, num_draws: int = NUM_DRAWS
) -> tuple[Numbers, Values]:
    """Draw units, and kinds that cross them if they are given.

    An item counts as often as its unit and its kind do together (the pigeonhole bootstrap, Owen 2007, arXiv 0712.1111):
    somewhat too wide, never too narrow.

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
