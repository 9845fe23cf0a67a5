"""Which chunks are searched: by path, kind of file and date."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from slimvec.errors import InputError
from slimvec.search.readers.kinds import KINDS
from slimvec.search.store import quoted

_FIRST_YEAR, _LAST_YEAR = 1900, 9000
"""Years that a day may lie in: its midnight must be a moment in every time zone."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a chunk's file must be; all of these at once.

    Attributes:
        paths: Patterns, one of which fits the end of the path: `*` and `?` stay within a folder, `**` does not;
            `docs/*.md` is any Markdown file in any folder `docs`, and `notes` is all below any folder or file of that
            name. A pattern that begins with `/` must fit the whole path.
        kinds: Kinds of file: text, markdown, html, pdf, docx, code, table.
        after: Changed on this day or later.
        before: Changed before this day.
    """

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    after: date | None = None
    before: date | None = None

    def where(self) -> str | None:
        """Write it as a filter of LanceDB; None when it leaves everything.

        Raises:
            InputError: an unknown kind, or an empty pattern.
        """
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise InputError(f"kind {unknown[0]!r}", expected=f"one of {', '.join(KINDS)}")
        parts = []
        if self.paths:
            pattern = "|".join(f"(?s:{path_pattern(path)})" for path in self.paths)  # names may hold line breaks
            parts.append(f"regexp_like(path, {quoted(pattern)})")
        if self.kinds:
            parts.append(f"kind IN ({', '.join(quoted(kind) for kind in self.kinds)})")
        if self.after is not None:
            parts.append(f"modified >= {_timestamp(self.after)}")
        if self.before is not None:
            parts.append(f"modified < {_timestamp(self.before)}")
        return " AND ".join(parts) or None


def path_pattern(glob: str) -> str:
    """Write a pattern for paths as a regular expression; `./` in front of it says nothing.

    Raises:
        InputError: it is empty.
    """
    found = re.sub(r"^(?:\./+)+", "", glob)
    if found.strip("/") in ("", "."):
        raise InputError(f"path {glob!r}", expected="a name or a pattern, such as docs or docs/*.md")
    whole = "^" if found.startswith("/") else "(?:^|/)"
    parts = []
    for piece in re.split(r"(\*\*/?|\*|\?)", found.removeprefix("/").rstrip("/")):
        if piece.startswith("**"):
            parts.append("(?:.*/)?" if piece.endswith("/") else ".*")
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece)))
    return f"{whole}{'/' if found.startswith('/') else ''}{''.join(parts)}(?:/.*)?$"


def parse_day(text: str) -> date:
    """Read a day: `2026-11-29`, or `30d` for so many days ago.

    Raises:
        InputError: it is neither.
    """
    ago = re.fullmatch(r"(\d{1,5})d", text)
    try:
        day = date.today() - timedelta(days=int(ago[1])) if ago is not None else date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"day {text!r}", expected="a day such as 2026-11-29, or 30d for 30 days ago") from error
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise InputError(f"day {text!r}", expected=f"a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return day


def _timestamp(day: date) -> str:
    """A day's first second, in this machine's time, as UTC."""
    moment = datetime(day.year, day.month, day.day).astimezone()
    utc = moment - (moment.utcoffset() or timedelta())
    return f"timestamp '{utc:%Y-%m-%d %H:%M:%S}'"
