"""The tables of docs/formats.md, from the table of settings: `python -m slimvec.model.formats_page docs/formats.md`."""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from slimvec.model.settings_table import FILES, Key, SettingsFile

MARKER = "<!-- What follows is written by python -m slimvec.model.formats_page; edit model/settings_table.py. -->\n"


def tables() -> str:
    """Write the part of the page that is the table."""
    return "\n".join(_section(table) for table in FILES)


def _section(table: SettingsFile) -> str:
    lines = [f"## {table.name}", "", table.about, "", "| keys | | |", "| --- | --- | --- |", *_rows(table)]
    return "\n".join(lines) + "\n"


def _rows(table: SettingsFile) -> Iterator[str]:
    """Write the keys, those of which the same is said in one row."""
    for (effect, about, fine), keys in groupby(table.keys.values(), lambda key: (key.effect, key.about, _fine(key))):
        names = ", ".join(f"`{key.name}`" for key in keys)
        yield f"| {names} | {effect}{fine} | {about.strip(', ')} |"


def _fine(key: Key) -> str:
    return f" ({' or '.join(f'`{value}`' for value in key.fine)})" if key.fine else ""


if __name__ == "__main__":
    target = Path(sys.argv[1])
    head = target.read_text(encoding="utf-8").partition(MARKER)[0]
    target.write_text(f"{head}{MARKER}\n{tables()}", encoding="utf-8")
