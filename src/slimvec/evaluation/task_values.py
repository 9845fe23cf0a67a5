"""From values of samples in subsets to one value a sample, whose mean is the task's score.

A task's score is the mean of its subsets' scores, and the same sample may stand in several of them: a question in
twelve languages is one question, drawn in all of them at once, or the interval would be too narrow.

Letters: S subsets of n_s samples, C different samples.
"""

from collections.abc import Mapping

import numpy as np

from slimvec.statistics.resampling import Values


def task_values(parts: Mapping[str, Mapping[str, float]], *, centred: bool = True) -> Values:
    """Give each different sample a value, in the order in which they first come up: [C].

    Centred, sample c has T + sum over its subsets s of C / (S n_s) (v_sc - mean of s), T being the score: subsets are
    fixed and samples are drawn, so that how far the subsets lie apart does not count as spread. Otherwise it has the
    sum of C / (S n_s) v_sc, whose sign means something when v is a difference. Both have mean T, and both are v itself
    when there is one subset.

    Args:
        parts: Value by sample by subset.
        centred: Which of the two.
    """
    places = {name: place for place, name in enumerate(dict.fromkeys(name for part in parts.values() for name in part))}
    score = float(np.mean([np.mean(list(part.values())) for part in parts.values()]))
    values = np.full(len(places), score if centred else 0.0)
    for part in parts.values():
        own = np.fromiter(part.values(), dtype=np.float64)
        weight = len(places) / (len(parts) * len(own))
        values[[places[name] for name in part]] += weight * (own - own.mean() if centred else own)
    return values
