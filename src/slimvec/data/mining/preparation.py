"""What mining and filtering begin with: texts collected, work folder claimed, queries and documents ready to score."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from slimvec.data.mining.bm25 import Bm25Scorer
from slimvec.data.mining.collection import Advance, Collection, collect
from slimvec.data.mining.scoring import KnownEmbedder, Scorer, embed_collection
from slimvec.data.mining.workspace import claim_workspace, open_workspace
from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.ranking.bm25 import K1, B

BM25_IDENTITY = {"name": "BM25", "k1": K1, "b": B}


class Stage(Protocol):
    """Shows people that a part of the work is under way."""

    def __call__(self, description: str, *, total: int | None, unit: str) -> AbstractContextManager[Advance]:
        """Open a part; the body gets a function that it tells how much more is done."""


@dataclass(frozen=True)
class Inputs:
    """What is searched, with what, and where its work is kept.

    Attributes:
        records: Opens the records; called once for every pass over them, and must give the same each time.
        embedder: The model; None for BM25.
        corpus: Opens the texts that a search may return; None for all positives and negatives of the records.
        work: Folder for what a killed run leaves to the next.
        restart: Throw away what a killed run left.
        keep_work: Leave the folder there at the end.
        stage: Shows progress.
    """

    records: Callable[[], Iterable[Record]]
    embedder: KnownEmbedder | None
    corpus: Callable[[], Iterable[str]] | None
    work: Path
    stage: Stage
    restart: bool = False
    keep_work: bool = False

    @property
    def scorer_identity(self) -> dict[str, Any]:
        """The model, or BM25, as reports name it."""
        if self.embedder is None:
            return dict(BM25_IDENTITY)
        return {**self.embedder.identity, "task": self.embedder.task}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Texts and scores, ready.

    Attributes:
        collection: The texts.
        scorer: Scorer of its queries against its documents.
        folder: The work folder.
        resumed: Whether a killed run had left something there.
        truncated: Queries and documents truncated on the way into the model.
    """

    collection: Collection
    scorer: Scorer
    folder: Path
    resumed: bool
    truncated: Mapping[str, int]

    def facts(self, inputs: Inputs) -> dict[str, Any]:
        """What every report says of the texts and the scorer."""
        return {
            "num_records": len(self.collection.query_of),
            "num_queries": len(self.collection.queries),
            "num_candidates": self.collection.num_candidates,
            "num_duplicates": self.collection.num_duplicates,
            "scorer": inputs.scorer_identity,
            "texts_sha256": self.collection.sha256,
            "resumed": self.resumed,
            "num_truncated": dict(self.truncated),
        }


@contextmanager
def prepare(inputs: Inputs, check: Callable[[Collection], None] | None = None) -> Iterator[Prepared]:
    """Do all that comes before the search, or take over what a killed run has done.

    Args:
        inputs: What is searched, and with what.
        check: Sees the texts before anything costly is done with them, and may raise.

    Raises:
        InputError: no records, an empty corpus, a text that the model refuses, or a work folder that belongs to other
            data or another model.
        ModelError: the model gives vectors that cannot be used.
        StorageError: the disk is full.
    """
    with open_workspace(inputs.work, restart=inputs.restart, keep=inputs.keep_work) as folder:
        with inputs.stage("reading", total=None, unit="records") as advance:
            corpus = None if inputs.corpus is None else inputs.corpus()
            collection = collect(inputs.records(), folder, corpus=corpus, advance=advance)
        if check is not None:
            check(collection)
        resumed = claim_workspace(folder, {"texts": collection.sha256, "model": inputs.scorer_identity})
        scorer, truncated = _scorer(inputs, collection, folder)
        yield Prepared(collection, scorer, folder, resumed, truncated)


def same_records(inputs: Inputs, collection: Collection) -> Iterator[Record]:
    """Read the records once more, and see that they are the ones that were collected.

    Raises:
        InputError: they changed meanwhile.
    """
    changed = InputError("the data changed while it was read", expected="the same records", do="run again")
    number = -1
    for number, record in enumerate(inputs.records()):
        if number >= len(collection.query_of):
            raise changed
        if text_id(record.query) != collection.queries.ids[collection.query_of[number]]:
            raise changed
        yield record
    if number + 1 != len(collection.query_of):
        raise changed


def _scorer(inputs: Inputs, collection: Collection, folder: Path) -> tuple[Scorer, Mapping[str, int]]:
    num_documents = len(collection.documents)
    if inputs.embedder is None:
        with inputs.stage("counting words", total=num_documents, unit="documents") as advance:
            return Bm25Scorer(collection, folder, advance=advance), {}
    num_texts = num_documents + len(collection.queries)
    with inputs.stage("embedding", total=num_texts, unit="texts") as advance:
        return embed_collection(inputs.embedder, collection, folder, advance=advance)
