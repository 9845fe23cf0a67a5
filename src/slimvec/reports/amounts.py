"""Amounts as people read and write them."""

import re

from slimvec.errors import InputError

_UNITS = ("", "K", "M", "G", "T")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", re.IGNORECASE)


def counted(number: int, noun: str) -> str:
    """Write how many of a thing there are: `1 text`, `2,000 texts`. Its plural is with an s."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def clock(seconds: float) -> str:
    """Write a length of time as `7 s`, `3:07` or `1:03:07`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes = f"{rest // 60:02d}" if hours else str(rest // 60)
    return ":".join([*([str(hours)] if hours else []), minutes, f"{rest % 60:02d}"])


def size(num_bytes: float) -> str:
    """Write a size as `1.25 GB` or `3.1 MB`, of a thousand times a thousand bytes."""
    return f"{num_bytes / 1e9:,.2f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.1f} MB"


def parse_size(text: str) -> int:
    """Read a size in bytes: `24GB`, `8 GiB`, `512M`.

    Raises:
        InputError: something else.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise InputError(f"memory {text!r}", expected="a size such as 24GB or 16GiB")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** _UNITS.index(unit.upper()))
