"""How sure a share is: Wilson's interval for a binomial proportion (Wilson 1927)."""

from math import sqrt
from statistics import NormalDist

from slimvec.frozen import Frozen


class Proportion(Frozen):
    """A share of things counted, with its 95% interval.

    Attributes:
        count: How many.
        total: Out of how many.
        share: Their quotient; None of nothing.
        low: Lower end of the interval.
        high: Upper end.
    """

    count: int
    total: int
    share: float | None
    low: float
    high: float

    def __str__(self) -> str:
        if self.share is None:
            return "none"
        return f"{self.share:.1%} [{self.low:.1%}, {self.high:.1%}]"


def proportion(count: int, total: int, *, level: float = 0.95) -> Proportion:
    """Give a share with Wilson's interval, which stays within 0 and 1 and holds for small counts and shares of 0 or 1.

    centre = (x + z^2 / 2) / (n + z^2),  half width = z sqrt(x (n - x) / n + z^2 / 4) / (n + z^2).

    Args:
        count: x, from 0 to n.
        total: n; of 0 the interval is everything.
        level: How often such intervals hold the truth.

    Raises:
        ValueError: counts that do not fit.
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total}")
    if total == 0:
        return Proportion(count=0, total=0, share=None, low=0.0, high=1.0)
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (count + z * z / 2) / (total + z * z)
    half = z * sqrt(count * (total - count) / total + z * z / 4) / (total + z * z)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Proportion(
        count=count,
        total=total,
        share=count / total,
        low=0.0 if count == 0 else low,
        high=1.0 if count == total else high,
    )
