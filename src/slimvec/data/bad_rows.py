"""What happens to rows that cannot be used: the first one is an error, or all of them are left out and counted.

Nothing is left out without being counted, and the count says why, with examples that name the place.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from slimvec.errors import InputError

OnBad = Literal["error", "skip"]
BadKind = Literal["encoding", "json", "fields", "text", "negatives", "scores", "label", "passages", "file", "empty"]
"""What is wrong: bytes that are no UTF-8; a line that is no JSON object; a field that is missing or of another type; a
text that is empty; negatives that are all positives; scores that do not fit; a pair that is marked as none; an id
without a passage; a file that cannot be read on (everything after that place is lost, counted as one); a source without
rows (counted as one)."""
_NUM_EXAMPLES = 20


class BadRowError(InputError):
    """A row, or the rest of a file, that cannot be used.

    Args:
        kind: What is wrong, for the count.
        found: As for every error.
        expected: As for every error.
        do: As for every error.
    """

    def __init__(self, kind: BadKind, found: str, *, expected: str = "", do: str = "") -> None:
        super().__init__(found, expected=expected, do=do)
        self.kind: BadKind = kind

    def at(self, place: str) -> "BadRowError":
        """The same error, with the place it belongs to in front."""
        return BadRowError(self.kind, f"{place}: {self.found}", expected=self.expected, do=self.do)


@dataclass(frozen=True, slots=True)
class BadRowsReport:
    """What was left out.

    Attributes:
        num_skipped: Rows left out; the unread rest of a file and a source without rows count as one each.
        kinds: The same by what was wrong.
        examples: The first messages, each with its place.
    """

    num_skipped: int
    kinds: dict[BadKind, int]
    examples: tuple[str, ...]


class BadRows:
    """The policy for bad rows, and the count of those left out; one object for all sources of a run.

    Args:
        policy: `error` raises at the first; `skip` leaves out and counts.

    Attributes:
        kinds: How many were left out, by what was wrong.
        examples: The first messages, each with its place.
        latest: The last message; empty when nothing was left out.
        unread: By source, the columns that nothing was made of.
    """

    def __init__(self, policy: OnBad = "error") -> None:
        if policy not in ("error", "skip"):
            raise InputError(f"policy {policy!r} for bad rows", expected="error or skip")
        self.policy = policy
        self.kinds: Counter[BadKind] = Counter()
        self.examples: list[str] = []
        self.latest = ""
        self.unread: dict[str, tuple[str, ...]] = {}

    @property
    def num_skipped(self) -> int:
        """How many were left out."""
        return self.kinds.total()

    def add(self, error: BadRowError) -> None:
        """Take note of a bad row, or raise it.

        Raises:
            BadRowError: the policy is `error`.
        """
        if self.policy == "error":
            raise error
        self.kinds[error.kind] += 1
        self.latest = str(error)
        if len(self.examples) < _NUM_EXAMPLES:
            self.examples.append(str(error))

    def report(self) -> BadRowsReport:
        """Say what was left out so far."""
        return BadRowsReport(
            num_skipped=self.num_skipped, kinds=dict(sorted(self.kinds.items())), examples=tuple(self.examples)
        )

    def unread_columns(self) -> list[str]:
        """One line a source for people: the columns that were not read."""
        return unread_lines(self.unread)

    def summary(self) -> str:
        """One line for people; empty when nothing was left out."""
        if not self.num_skipped:
            return ""
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.kinds.most_common())
        return f"{self.num_skipped:,} bad rows left out ({kinds}); the first: {self.examples[0]}"


def unread_lines(unread: Mapping[str, Sequence[str]]) -> list[str]:
    """Name the columns that were not read, in a line for each source that has any.

    Args:
        unread: Columns by source.
    """
    return [
        f"{source}: columns not read: {', '.join(columns[:_NUM_EXAMPLES])}"
        + (f" and {len(columns) - _NUM_EXAMPLES} more" if len(columns) > _NUM_EXAMPLES else "")
        for source, columns in unread.items()
        if columns
    ]
