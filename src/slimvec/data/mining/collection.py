"""What a search runs over: the different documents and queries of some records, and who knows whom.

Texts that are equal up to case, Unicode form and white space are one text everywhere here (`text_id`).
Letters: R records, Q queries, N documents.
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slimvec.data.mining.ragged import Ragged
from slimvec.data.mining.texts import Numbers, TextStore, TextWriter
from slimvec.data.records import Record, record_row
from slimvec.errors import InputError

Advance = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Collection:
    """Documents, queries and their relations.

    Attributes:
        documents: N texts. The first `num_candidates` are the corpus; then come positives that are not in it.
        num_candidates: How many documents a search may return.
        queries: Q texts; a text with two tasks is two queries.
        tasks: [Q] the task of each query; None where the records name none.
        query_of: [R] number of the query of each record.
        positives: [R] rows of document numbers, in the order of the record's positives.
        num_duplicates: Texts that were left out of the documents because an equal one came before.
        sha256: Over all records and the corpus, in order.
    """

    documents: TextStore
    num_candidates: int
    queries: TextStore
    tasks: tuple[str | None, ...]
    query_of: Numbers
    positives: Ragged
    num_duplicates: int
    sha256: str

    def known(self) -> Ragged:
        """Candidates that no search for a query may return, [Q] rows: those that are known to be right, and itself.

        Right are the positives of every record whose query has the same text, whatever its task. Pairs count in both
        directions: for a query that is also a positive, the queries it answers are known.
        """
        asked = self.queries.ids[self.query_of[self.positives.rows]]
        right = self.documents.ids[self.positives.values]
        own = np.unique(self.queries.ids)
        left, other = np.concatenate([asked, right, own]), np.concatenate([right, asked, own])
        group, found = np.searchsorted(own, left).clip(max=max(0, len(own) - 1)), self.documents.find(other)
        use = (own[group] == left) & (found >= 0) & (found < self.num_candidates)
        by_text = Ragged.group(group[use], found[use], len(own))
        return by_text.take(np.searchsorted(own, self.queries.ids))

    def with_positives(self, positives: Ragged) -> "Collection":
        """The same texts with other positives of the records."""
        return replace(self, positives=positives)


def collect(
    records: Iterable[Record], folder: Path, *, corpus: Iterable[str] | None = None, advance: Advance | None = None
) -> Collection:
    """Write down the texts of records and corpus, and number them.

    Args:
        records: Read once, one at a time.
        folder: Where the texts are written; must be there.
        corpus: The texts that a search may return; default all positives and negatives of the records.
        advance: Called with how many more records were read.

    Raises:
        InputError: there is no record, or no text in the corpus.
        StorageError: the disk is full.
    """
    digest = hashlib.sha256()
    with TextWriter(folder / "documents.txt") as documents, TextWriter(folder / "queries.txt") as queries:
        for text in corpus or ():
            documents.add(text)
            digest.update(json.dumps(text).encode() + b"\n")
        num_corpus = len(documents)
        if corpus is not None and num_corpus == 0:
            raise InputError("the corpus has no texts", expected="at least one")
        tasks: dict[str | None, int] = {}
        labels, starts, stops = array("q"), array("q"), array("q")
        for record in records:
            queries.add(record.query)
            labels.append(tasks.setdefault(record.task, len(tasks)))
            starts.append(len(documents))
            for text in record.positives:
                documents.add(text)
            stops.append(len(documents))
            for text in record.negatives if corpus is None else ():
                documents.add(text)
            digest.update(json.dumps(record_row(record)).encode() + b"\n")
            if advance is not None:
                advance(1)
        if not labels:
            raise InputError("there are no records", expected="at least one")
        store, document_of = documents.distinct()
        query_store, query_of = queries.distinct(labels)
    first_records = np.unique(query_of, return_index=True)[1]
    names = tuple(tasks)
    return Collection(
        documents=store,
        num_candidates=len(store) if corpus is None else int(document_of[:num_corpus].max()) + 1,
        queries=query_store,
        tasks=tuple(names[labels[record]] for record in first_records),
        query_of=query_of,
        positives=Ragged.of_slices(np.array(starts), np.array(stops), document_of),
        num_duplicates=len(document_of) - len(store),
        sha256=digest.hexdigest(),
    )
