"""Spearman's rank correlation, of one order with many at once."""

import numpy as np
from scipy.stats import rankdata

from slimvec.statistics.resampling import Values


def rank_correlation(xs: Values, ys: Values) -> Values:
    """Spearman's rank correlation of xs [M] with every row of ys [R, M]: [R]; 0 for a row without an order."""
    return correlate_rows(rankdata(xs)[None], rankdata(ys, axis=1))


def correlate_rows(first: Values, second: Values) -> Values:
    """Pearson's correlation of each row, without what is NaN; 0 where a side is constant: [R, M] each to [R]."""
    a = np.nan_to_num(first - np.nanmean(first, axis=1, keepdims=True))
    b = np.nan_to_num(second - np.nanmean(second, axis=1, keepdims=True))
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    together = (a * b).sum(axis=1)
    result: Values = np.divide(together, scale, out=np.zeros_like(together), where=scale > 0)
    return result
