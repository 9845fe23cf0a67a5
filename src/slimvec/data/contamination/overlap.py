"""How much of what a model is scored on stands in what it is trained on, both ways round.

Shared text is an equal text or a run of thirteen words (`index.py`). Two shares matter: of the training records that
share something, and of the scored queries that were met, by their own text or by a document that answers them. A few
records can hold the answers of many queries, so neither bounds the other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from slimvec.data.contamination.evaluation_texts import EvaluationText
from slimvec.data.contamination.index import EvaluationIndex
from slimvec.data.contamination.search import find_contamination
from slimvec.data.records import Record
from slimvec.data.retrieval import RetrievalSet
from slimvec.errors import InputError
from slimvec.frozen import Frozen


@dataclass(frozen=True)
class ScoredTexts:
    """What a model is scored on.

    Attributes:
        name: Name of the set.
        queries: Each with the documents that answer it.
        documents: The others.
    """

    name: str
    queries: Sequence[tuple[str, Sequence[str]]]
    documents: Sequence[str] = ()

    @classmethod
    def of_set(cls, dataset: RetrievalSet) -> Self:
        """Take a retrieval set, its documents as they are embedded."""
        contents = {document.id: document.content for document in dataset.documents}
        queries = [
            (query.text, [contents[name] for name, grade in dataset.qrels[query.id].items() if grade > 0])
            for query in dataset.queries
        ]
        return cls(dataset.name, queries, list(contents.values()))

    @classmethod
    def of_records(cls, name: str, records: Iterable[Record]) -> Self:
        """Take records that are held out."""
        return cls(name, [(record.query, record.positives) for record in records])

    def texts(self) -> Iterable[EvaluationText]:
        """Give all texts."""
        for query, answers in self.queries:
            yield EvaluationText(self.name, "queries", query)
            if not self.documents:
                yield from (EvaluationText(self.name, "documents", answer) for answer in answers)
        yield from (EvaluationText(self.name, "documents", document) for document in self.documents)


class SetOverlap(Frozen):
    """Queries of a set that were met in training.

    Attributes:
        dataset: The set.
        num_queries: That are scored.
        num_met: Number of those whose text, or a document that answers, shares text with a training record.
    """

    dataset: str
    num_queries: int
    num_met: int


class TrainingOverlap(Frozen):
    """Text that training and evaluation share.

    Attributes:
        num_records: Training records, each counted once.
        num_shared: Number of those of which a query or positive shares text with what is scored.
        sets: By set, the queries met.
    """

    num_records: int
    num_shared: int
    sets: tuple[SetOverlap, ...]

    @property
    def share(self) -> float:
        """The largest of the shares: of the training records, and of each set's queries; 0 to 1."""
        shares = [found.num_met / found.num_queries for found in self.sets if found.num_queries]
        return max([self.num_shared / self.num_records if self.num_records else 0.0, *shares])

    def describe(self) -> str:
        """Say it in a sentence without its full stop."""
        met = ", ".join(f"{found.num_met:,} of {found.num_queries:,} queries of {found.dataset}" for found in self.sets)
        share = self.num_shared / self.num_records if self.num_records else 0.0
        records = f"{self.num_shared:,} of {self.num_records:,} training records ({share:.1%})"
        return f"{records} share text with what is scored, and training meets {met}"

    def check(self, limit: float, *, setting: str) -> None:
        """Refuse training on scored text.

        Args:
            limit: Largest share that is let pass.
            setting: That holds the limit, for the message.

        Raises:
            InputError: more is shared.
        """
        if self.share > limit:
            raise InputError(
                self.describe(),
                expected=f"a share of at most {limit:.0%} of the records and of each set's queries ({setting})",
                do="leave it out with `slimvec clean FILES --against SETS --output CLEANED`",
            )


def training_overlap(records: Iterable[Record], scored: Sequence[ScoredTexts]) -> TrainingOverlap:
    """Hold training records and scored texts against each other.

    Args:
        records: To train on; equal ones count once.
        scored: What the model will be scored on.

    Raises:
        InputError: there are no scored texts, or no records.
    """
    unique = list({(record.query, record.positives): record for record in records}.values())
    report = find_contamination(unique, (text for part in scored for text in part.texts()))
    training = (
        EvaluationText("training", "texts", text) for record in unique for text in (record.query, *record.positives)
    )
    index = EvaluationIndex(training)
    return TrainingOverlap(
        num_records=report.num_records,
        num_shared=report.num_contaminated,
        sets=tuple(
            SetOverlap(
                dataset=part.name,
                num_queries=len(part.queries),
                num_met=sum(any(map(index.matches, (query, *answers))) for query, answers in part.queries),
            )
            for part in scored
        ),
    )
