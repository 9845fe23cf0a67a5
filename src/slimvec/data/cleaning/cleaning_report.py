"""What cleaning left out: counts by source and rule, and a few examples of each rule."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from slimvec.data.cleaning.rules import Rule
from slimvec.frozen import Frozen

_EXAMPLES = 3
_EXAMPLE_CHARS = 200


class SourceCleaning(Frozen):
    """What happened to the records of one source. Every record read was kept, dropped or merged into another.

    Attributes:
        source: Its name.
        num_read: Records that came in.
        num_kept: Records that went out.
        num_merged: Records that went into an earlier one of the same query.
        dropped: Records dropped, by the rule that decided.
        removed: Texts taken out of records that stayed, by rule.
        num_other_language: Records judged to be in another language than declared; kept when languages are only
            counted.
        num_unjudged: Records whose language could not be judged: too short, unsure, not declared or not known to the
            model. 0 when languages are not checked.
    """

    source: str
    num_read: int
    num_kept: int
    num_merged: int
    dropped: dict[Rule, int]
    removed: dict[Rule, int]
    num_other_language: int
    num_unjudged: int


class Example(Frozen):
    """A text that a rule refused, cut at 200 characters."""

    rule: Rule
    source: str
    text: str


class CleaningReport(Frozen):
    """What cleaning did.

    Attributes:
        sources: By name.
        examples: The first few texts that each rule refused.
        unknown_languages: Records by declared language, for those that the language model does not know.
    """

    sources: tuple[SourceCleaning, ...]
    examples: tuple[Example, ...]
    unknown_languages: dict[str, int]

    @property
    def num_read(self) -> int:
        """Records that came in."""
        return sum(source.num_read for source in self.sources)

    @property
    def num_kept(self) -> int:
        """Records that went out."""
        return sum(source.num_kept for source in self.sources)

    @property
    def dropped(self) -> dict[Rule, int]:
        """Records dropped over all sources, by rule, the most frequent first."""
        totals: Counter[Rule] = Counter()
        for source in self.sources:
            totals.update(source.dropped)
        return dict(totals.most_common())


@dataclass(slots=True)
class _SourceCounts:
    num_read: int = 0
    num_merged: int = 0
    dropped: Counter[Rule] = field(default_factory=Counter)
    removed: Counter[Rule] = field(default_factory=Counter)
    num_other_language: int = 0
    num_unjudged: int = 0


class CleaningTally:
    """Counts while records pass; `report` may be asked for at any time, and is complete when all have passed."""

    def __init__(self) -> None:
        self._sources: dict[str, _SourceCounts] = {}
        self._examples: dict[Rule, list[Example]] = {}
        self._unknown_languages: Counter[str] = Counter()

    def read(self, source: str) -> None:
        """Count a record that came in."""
        self._of(source).num_read += 1

    def drop(self, source: str, rule: Rule, text: str) -> None:
        """Count a record that is left out for the sake of a text."""
        self._of(source).dropped[rule] += 1
        self._keep_example(source, rule, text)

    def remove(self, source: str, rule: Rule, text: str) -> None:
        """Count a text that is taken out of a record that stays."""
        self._of(source).removed[rule] += 1
        self._keep_example(source, rule, text)

    def merge(self, source: str) -> None:
        """Count a record that went into an earlier one."""
        self._of(source).num_merged += 1

    def other_language(self, source: str) -> None:
        """Count a record in another language than declared."""
        self._of(source).num_other_language += 1

    def unjudged(self, source: str, unknown: Sequence[str]) -> None:
        """Count a record whose language could not be judged, and the languages that the model does not know."""
        self._of(source).num_unjudged += 1
        self._unknown_languages.update(unknown)

    def report(self) -> CleaningReport:
        """Give the counts so far."""
        return CleaningReport(
            sources=tuple(_source_report(name, counts) for name, counts in sorted(self._sources.items())),
            examples=tuple(example for rule in sorted(self._examples) for example in self._examples[rule]),
            unknown_languages=dict(self._unknown_languages.most_common()),
        )

    def _of(self, source: str) -> _SourceCounts:
        return self._sources.setdefault(source, _SourceCounts())

    def _keep_example(self, source: str, rule: Rule, text: str) -> None:
        kept = self._examples.setdefault(rule, [])
        if len(kept) < _EXAMPLES:
            kept.append(Example(rule=rule, source=source, text=text[:_EXAMPLE_CHARS]))


def _source_report(name: str, counts: _SourceCounts) -> SourceCleaning:
    return SourceCleaning(
        source=name,
        num_read=counts.num_read,
        num_kept=counts.num_read - counts.num_merged - counts.dropped.total(),
        num_merged=counts.num_merged,
        dropped=dict(counts.dropped.most_common()),
        removed=dict(counts.removed.most_common()),
        num_other_language=counts.num_other_language,
        num_unjudged=counts.num_unjudged,
    )
