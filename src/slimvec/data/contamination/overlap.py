"""How much of what a model is scored on stands in what it is trained on, both ways round.

Shared text is an equal text or a run of thirteen words (`index.py`). Two shares matter: of the training records that
share something, and of the scored queries that were met, by their own text or by a document that answers them. A few
records can hold the answers of many queries, so neither bounds the other.

The answers are those of an `EvaluationIndex` over either side, asked about each text of the other. Here both sides are
hashed once, in blocks, and of the training texts only what the scored ones hold too is kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from slimvec.data.contamination.evaluation_texts import EvaluationText
from slimvec.data.contamination.runs import Runs, in_blocks, long_runs, whole_key
from slimvec.data.contamination.search import Decontamination
from slimvec.data.records import Record
from slimvec.data.retrieval import RetrievalSet
from slimvec.errors import InputError
from slimvec.frozen import Frozen
from slimvec.ranking.words import split_tokens

_RULES = Decontamination()


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
    texts = list(chain.from_iterable(part.texts() for part in scored))
    if not texts or not unique:
        raise InputError(f"{len(unique)} records and {len(texts)} scored texts", expected="at least one of each")
    numbers = {text.text: number for number, text in enumerate(texts)}
    asked = _Side.read(text.text for text in texts)
    taught = _Side.read(
        chain.from_iterable((record.query, *record.positives) for record in unique), known=np.unique(asked.hashes)
    )
    is_shared = taught.meets(asked, _telling_runs(asked, texts))
    is_met = asked.meets(taught, taught.rare_hashes(np.zeros(len(taught.whole), dtype=np.int64)))
    firsts = np.cumsum([0, *(1 + len(record.positives) for record in unique[:-1])])
    return TrainingOverlap(
        num_records=len(unique),
        num_shared=int(np.logical_or.reduceat(is_shared, firsts).sum()),
        sets=tuple(
            SetOverlap(
                dataset=part.name,
                num_queries=len(part.queries),
                num_met=sum(
                    any(is_met[numbers[text]] for text in (query, *answers)) for query, answers in part.queries
                ),
            )
            for part in scored
        ),
    )


def _telling_runs(side: "_Side", texts: Sequence[EvaluationText]) -> NDArray[np.uint64]:
    """List the hashes of runs that are no set phrases in some part of a set."""
    places: dict[tuple[str, str], int] = {}
    parts = [places.setdefault((text.dataset, text.part), len(places)) for text in texts]
    return side.rare_hashes(np.array(parts))


@dataclass(frozen=True, eq=False)
class _Side:
    """The texts of one side.

    Attributes:
        whole: [N], hash of each whole text; empty for one without a token.
        texts: [R], number of the text of each run.
        hashes: [R], of the runs, each once a text.
    """

    whole: Sequence[bytes]
    texts: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    @classmethod
    def read(cls, texts: Iterable[str], *, known: NDArray[np.uint64] | None = None) -> Self:
        """Hash texts.

        Args:
            texts: The texts.
            known: Keep only runs with these hashes, in rising order; default all.
        """
        whole: list[bytes] = []
        found: list[Runs] = []
        for block in in_blocks(map(split_tokens, texts)):
            runs = long_runs(block, words=_RULES.words, characters=_RULES.characters)
            if known is not None:
                runs = runs.where(_contained(runs.hashes, known))
            found.append(runs.distinct().shifted(len(whole)))
            whole += [whole_key(tokens) if tokens else b"" for tokens in block]
        runs = Runs.joined(found)
        return cls(whole, runs.texts, runs.hashes)

    def rare_hashes(self, parts: NDArray[np.int64]) -> NDArray[np.uint64]:
        """List the hashes that stand in few texts of some part: what stands in more is a set phrase.

        Args:
            parts: [N], part of each text.
        """
        own = parts[self.texts]
        order = np.lexsort((own, self.hashes))
        hashes, own = self.hashes[order], own[order]
        is_first = np.ones(len(hashes), dtype=bool)
        is_first[1:] = (hashes[1:] != hashes[:-1]) | (own[1:] != own[:-1])
        first = np.flatnonzero(is_first)
        return np.unique(hashes[first[np.diff(np.append(first, len(hashes))) <= _RULES.max_texts]])

    def meets(self, other: "_Side", hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Say of each text whether it is a text of the other side, or has a run with one of the hashes: [N]."""
        wholes = set(other.whole) - {b""}
        found = np.array([whole in wholes for whole in self.whole])
        found[self.texts[_contained(self.hashes, hashes)]] = True
        return found


def _contained(hashes: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Say which hashes are among others, which are in rising order."""
    if not len(known):
        return np.zeros(len(hashes), dtype=bool)
    places = np.searchsorted(known, hashes)
    found: NDArray[np.bool_] = known[np.minimum(places, len(known) - 1)] == hashes
    return found
