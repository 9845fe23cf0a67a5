"""Claims of README and findings, resolved in the committed results they come from."""

import json
import re
import string
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CLAIMS = ROOT / "docs" / "claims.yaml"
_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\w+)=([^\]]*)\]|\[(\d+)\]|\{([^}]*)\}")


class Format(string.Formatter):
    """Formats numbers as the findings write them.

    `n3` .123, `s3` +.123, `p` 12%, `d` +1.2 points of a share, and Python's own.
    """

    def format_field(self, value, spec):
        if spec == "p":
            return f"{value:.0%}"
        if spec == "d":
            return f"{100 * value:+.1f}"
        if spec[:1] in {"n", "s"} and spec[1:].isdigit():
            sign = "+" if spec[0] == "s" else ""
            return re.sub(r"^([+-]?)0\.", r"\1.", f"{value:{sign}.{spec[1:]}f}")
        return super().format_field(value, spec)


@cache
def read(file):
    return json.loads((ROOT / file).read_text(encoding="utf-8"))


def resolve(file, key):
    """Follow a key such as `rows[variant=plain].mean` or `values{beta-0.5}[0]` into a JSON file."""
    found, place = read(file), 0
    while place < len(key):
        step = _STEP.match(key, place)
        if step is None:
            raise KeyError(f"{file}: {key} at {key[place:]!r}")
        name, by, value, number, quoted = step.groups()
        if by is not None:
            (found,) = [item for item in found if str(item[by]) == value]
        else:
            found = found[int(number)] if number is not None else found[name if name is not None else quoted]
        place = step.end()
    return found


def claims():
    return yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))


def written(claim):
    """What a claim's numbers are, formatted as it says."""
    return Format().format(claim["as"], *(resolve(claim["file"], key) for key in claim["keys"]))
