"""The licence of a data file, as the files beside it state it."""

import re
from pathlib import Path

from slimvec.frozen import Frozen

_README_NAMES = ("README.md", "README.rst", "README.txt", "README")
_LICENSE_NAMES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "COPYING")
# "- **Licence:** CC BY 4.0", "License: MIT", "license: mit" of a hub card's front matter
_STATEMENT = re.compile(r"^[\s>*_#-]*licen[cs]es?[*_]*\s*:[\s*_]*(?P<text>\S.*?)\s*$", re.I | re.M)


class License(Frozen):
    """A licence, and who says so.

    Attributes:
        text: As it is stated; None when nothing states it.
        stated_by: `the recipe`, or the name of a file in the data's folder; empty when unknown.
    """

    text: str | None = None
    stated_by: str = ""


def find_license(path: Path) -> License:
    """Look for the licence of a data file in the README of its folder, then in a licence file there.

    Args:
        path: The data file. Nothing above its folder is looked at: that would be the licence of something else.
    """
    for name in _README_NAMES:
        found = _STATEMENT.search(_read(path.parent / name))
        if found:
            return License(text=found["text"], stated_by=name)
    for name in _LICENSE_NAMES:
        lines = _read(path.parent / name).split("\n")
        first = next((line.strip() for line in lines if line.strip()), None)
        if first:
            return License(text=first, stated_by=name)
    return License()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
