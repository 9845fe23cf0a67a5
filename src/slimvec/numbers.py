"""Numbers as files hold them: JSON has whole numbers of any size, NaN and infinity too."""

import sys


def finite_number(value: object) -> float | None:
    """Give a number that a float can hold; None for anything else, true and false among it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        return None
    return float(value)
