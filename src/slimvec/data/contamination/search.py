"""Training records held against evaluation texts, one record after the other."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, get_args

from pydantic import Field

from slimvec.data.contamination.evaluation_texts import EvaluationText
from slimvec.data.contamination.index import EvaluationIndex, Match
from slimvec.data.records import Record
from slimvec.frozen import Frozen

_How = Literal["exact_query", "exact_document", "long_run", "run"]
_GRAVITY: tuple[_How, ...] = get_args(_How)
_LONG = 0.5
_EXAMPLES = 3
_EXAMPLE_CHARS = 200


class Decontamination(Frozen):
    """What counts as contamination.

    Attributes:
        words: Words of a shared run. 13 as in GPT-3 (arXiv 2005.14165, appendix C).
        characters: Characters of a shared run in scripts without spaces: about as much text as thirteen words.
        max_texts: Runs in more evaluation texts of a part than this are set phrases and no evidence.
        min_share: Count a shared run only where so much of the text, or of one evaluation text, stands in shared
            runs. 0 counts every one, as GPT-3 did; .5 lets pass what shares formulas with evaluation texts and
            repeats none.
        negatives: Let what negatives share count too. Off, as a negative does not teach what an evaluation text
            answers; negatives that are evaluation texts are counted all the same.
    """

    words: int = Field(default=13, ge=2)
    characters: int = Field(default=40, ge=2)
    max_texts: int = Field(default=10, ge=1)
    min_share: float = Field(default=0.0, ge=0, le=1)
    negatives: bool = False


class Overlap(Frozen):
    """How many records of a source share something with a part of an evaluation set.

    Attributes:
        source: Source of the records.
        dataset: The evaluation set.
        part: `queries`, `documents` or `texts`.
        num_exact_queries: Records whose query is one of its texts.
        num_exact_documents: Records with a document that is one of its texts.
        num_runs: Records that share a long run with one of its texts, and no whole text, whatever the share.
        num_long_runs: Those of them in which at least half of a text, or of an evaluation text, is shared.
        num_negatives: Records with a negative that is one of its texts; they are contaminated only if `negatives`.
        examples: The first shared texts and runs, cut at 200 characters.
    """

    source: str
    dataset: str
    part: str
    num_exact_queries: int
    num_exact_documents: int
    num_runs: int
    num_long_runs: int
    num_negatives: int = 0
    examples: tuple[str, ...]


class ContaminationReport(Frozen):
    """What training data shares with evaluation data.

    Attributes:
        num_records: Records looked at.
        num_contaminated: Records that share anything that counts.
        sources: Contaminated records, by source; sources without any too.
        overlaps: By source, set and part, only where there is any.
        evaluation_sizes: Evaluation texts, by `set/part`.
        num_common_runs: Runs of evaluation texts ignored as set phrases.
        settings: What counted as contamination.
    """

    num_records: int
    num_contaminated: int
    sources: dict[str, int]
    overlaps: tuple[Overlap, ...]
    evaluation_sizes: dict[str, int]
    num_common_runs: int
    settings: Decontamination


class ContaminationTally:
    """Counts while records pass.

    Args:
        index: What they are held against.
        settings: What counts.
    """

    def __init__(self, index: EvaluationIndex, settings: Decontamination) -> None:
        self._index, self._settings = index, settings
        self._num_records = 0
        self._sources: Counter[str] = Counter()
        self._counts: Counter[tuple[str, str, str, _How]] = Counter()
        self._negatives: Counter[tuple[str, str, str]] = Counter()
        self._examples: dict[tuple[str, str, str], list[str]] = {}

    def is_contaminated(self, record: Record) -> bool:
        """Hold a record against the evaluation texts, and count it."""
        found = self._matches(record)
        self._num_records += 1
        counts = any(match.share >= self._settings.min_share for _, match in found.values())
        self._sources[record.source] += counts
        for place in self._equal_negatives(record):
            self._negatives[record.source, *place] += 1
        for (dataset, part), (how, match) in found.items():
            self._counts[record.source, dataset, part, how] += 1
            examples = self._examples.setdefault((record.source, dataset, part), [])
            if len(examples) < _EXAMPLES:
                examples.append(match.shared[:_EXAMPLE_CHARS])
        return counts

    def report(self) -> ContaminationReport:
        """Give the counts so far."""
        return ContaminationReport(
            num_records=self._num_records,
            num_contaminated=self._sources.total(),
            sources=dict(sorted(self._sources.items())),
            overlaps=tuple(self._overlap(*key) for key in sorted(self._examples.keys() | self._negatives)),
            evaluation_sizes={f"{name}/{part}": size for (name, part), size in sorted(self._index.sizes.items())},
            num_common_runs=self._index.num_common,
            settings=self._settings,
        )

    def _matches(self, record: Record) -> dict[tuple[str, str], tuple[_How, Match]]:
        """For each part of each set, the gravest thing shared: an equal query, an equal document, a run."""
        documents = (*record.positives, *(record.negatives if self._settings.negatives else ()))
        shared = [_shared("exact_query", match) for match in self._index.matches(record.query)]
        shared += [_shared("exact_document", match) for text in documents for match in self._index.matches(text)]
        found: dict[tuple[str, str], tuple[_How, Match]] = {}
        for how, match in sorted(shared, key=lambda one: (_GRAVITY.index(one[0]), -one[1].share)):
            found.setdefault((match.dataset, match.part), (how, match))
        return found

    def _equal_negatives(self, record: Record) -> set[tuple[str, str]]:
        """Give the parts of sets of which a negative is a text."""
        return {
            (match.dataset, match.part)
            for text in record.negatives
            for match in self._index.matches(text)
            if match.kind == "exact"
        }

    def _overlap(self, source: str, dataset: str, part: str) -> Overlap:
        count = {how: self._counts[source, dataset, part, how] for how in _GRAVITY}
        return Overlap(
            source=source,
            dataset=dataset,
            part=part,
            num_exact_queries=count["exact_query"],
            num_exact_documents=count["exact_document"],
            num_runs=count["run"] + count["long_run"],
            num_long_runs=count["long_run"],
            num_negatives=self._negatives[source, dataset, part],
            examples=tuple(self._examples.get((source, dataset, part), ())),
        )


def find_contamination(
    records: Iterable[Record],
    evaluation_texts: Iterable[EvaluationText],
    settings: Decontamination | None = None,
) -> ContaminationReport:
    """Count the training records that repeat evaluation texts, whole or in a long run.

    Args:
        records: A stream; nothing of it is kept.
        evaluation_texts: Held in memory as hashes.
        settings: What counts; default thirteen words or forty characters.

    Raises:
        InputError: no evaluation text.
    """
    counted, tally = decontaminate(records, evaluation_texts, settings, drop=False)
    for _ in counted:
        pass
    return tally.report()


def decontaminate(
    records: Iterable[Record],
    evaluation_texts: Iterable[EvaluationText],
    settings: Decontamination | None = None,
    *,
    drop: bool = True,
) -> tuple[Iterator[Record], ContaminationTally]:
    """Find the training records that repeat evaluation texts, and leave them out.

    Args:
        records: A stream.
        evaluation_texts: Held in memory as hashes.
        settings: What counts; default thirteen words or forty characters.
        drop: Leave contaminated records out; otherwise they are only counted.

    Returns:
        The records, and the counts, which are complete when they have been taken.

    Raises:
        InputError: no evaluation text.
    """
    settings = settings or Decontamination()
    index = EvaluationIndex(
        evaluation_texts, words=settings.words, characters=settings.characters, max_texts=settings.max_texts
    )
    tally = ContaminationTally(index, settings)
    return (record for record in records if not (tally.is_contaminated(record) and drop)), tally


def _shared(whole: _How, match: Match) -> tuple[_How, Match]:
    run: _How = "long_run" if match.share >= _LONG else "run"
    return (whole if match.kind == "exact" else run), match
