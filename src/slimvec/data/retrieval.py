"""Retrieval sets: documents, queries and which document answers which query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from random import Random
from typing import TypeVar

from slimvec.errors import InputError
from slimvec.ranking.words import normal_form

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be found.

    Attributes:
        id: Its name within the set.
        text: The text; may be empty when there is a title.
        title: The title, or empty.
        language: Language code, when the set says.
        align: Equal for the same document in several languages, when the set says.
    """

    id: str
    text: str
    title: str = ""
    language: str | None = None
    align: str | None = None

    @property
    def content(self) -> str:
        """What is embedded: title and text with a space between, as mteb joins them."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Query:
    """A text to search with; attributes as in `Document`."""

    id: str
    text: str
    language: str | None = None
    align: str | None = None


@dataclass(frozen=True, eq=False)
class RetrievalSet:
    """Documents, queries and judgements.

    Attributes:
        name: Name of the task.
        documents: All documents; ids are unique.
        queries: The queries that have a relevant document, and only they: the others cannot be scored.
        qrels: Grade by document id by query id, for every query above; grades above 0 are relevant.
        num_unjudged: Queries left out because no document is relevant to them.
        num_regraded: Judgements whose grade a later line of the file changed.
        num_empty: Documents left out because they have no text.
        num_missing: Judgements left out because their query or document is not there, or is empty.

    Raises:
        InputError: no document, no query that can be scored, an id that occurs twice or is not known, or a query
            with nothing relevant.
    """

    name: str
    documents: tuple[Document, ...]
    queries: tuple[Query, ...]
    qrels: Mapping[str, Mapping[str, int]]
    num_unjudged: int = 0
    num_regraded: int = 0
    num_empty: int = 0
    num_missing: int = 0

    def __post_init__(self) -> None:
        if not self.documents:
            raise InputError(f"{self.name} has no documents", expected="at least one")
        if not self.queries:
            raise InputError(f"{self.name} has no query with a relevant document", expected="at least one")
        document_ids = _unique(self.name, "document", [document.id for document in self.documents])
        for query_id in _unique(self.name, "query", [query.id for query in self.queries]):
            grades = self.qrels.get(query_id, {})
            if not any(grade > 0 for grade in grades.values()):
                raise InputError(f"{self.name}: query {query_id} has no relevant document", expected="at least one")
            unknown = grades.keys() - document_ids
            if unknown:
                raise InputError(f"{self.name}: query {query_id} is judged on unknown document {min(unknown)}")

    @property
    def left_out(self) -> str:
        """What the files hold and this does not, in words; empty when that is nothing."""
        counts = {
            "empty documents": self.num_empty,
            "judgements of queries or documents that are not there": self.num_missing,
        }
        said = " and ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        return f"{self.name}: {said} left out" if said else ""

    @cached_property
    def leaves_out_own(self) -> bool:
        """Whether the queries are documents of the set themselves, as in ArguAna: then none is to find itself.

        BEIR and mteb leave a query's own document out where ids are equal. Equal ids alone may be mere numbers, or name
        the right answer; so this asks too that no document of a query's id is judged relevant to it, and that at least
        half of those queries stand in that document, word for word.
        """
        contents = {document.id: normal_form(document.content) for document in self.documents}
        own = [query for query in self.queries if query.id in contents]
        if any(self.qrels[query.id].get(query.id, 0) > 0 for query in own):
            return False
        inside = sum(normal_form(query.text) in contents[query.id] for query in own)
        return bool(own) and 2 * inside >= len(own)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over everything a score depends on, whatever the order of the rows."""
        lines = [f"d\t{document.id}\t{document.content}" for document in self.documents]
        lines += [f"q\t{query.id}\t{query.text}" for query in self.queries]
        lines += [f"r\t{q}\t{d}\t{grade}" for q, grades in self.qrels.items() for d, grade in grades.items()]
        return sha256("\0".join(sorted(lines)).encode()).hexdigest()

    def sample(self, *, num_queries: int | None, num_documents: int | None, seed: int) -> "RetrievalSet":
        """Choose a smaller set, named the same: some queries, what is judged for them, and other documents by chance.

        Scores on it compare with each other, not with those on the whole set: fewer documents are easier.

        Args:
            num_queries: Queries kept at most; default all.
            num_documents: Documents kept; more where more are judged for the queries kept. Default all.
            seed: Random seed for both choices.
        """
        generator = Random(f"{seed}/{self.name}")
        queries = _choose(self.queries, num_queries, generator)
        qrels = {query.id: self.qrels[query.id] for query in queries}
        judged = {document_id for grades in qrels.values() for document_id in grades}
        others = [document for document in self.documents if document.id not in judged]
        room = None if num_documents is None else max(0, num_documents - len(judged))
        kept = judged | {document.id for document in _choose(others, room, generator)}
        documents = tuple(document for document in self.documents if document.id in kept)
        return replace(self, documents=documents, queries=queries, qrels=qrels)

    def by_language(self) -> dict[str, "RetrievalSet"]:
        """Split into one set for each language, named `name/language`, where documents and queries both say theirs.

        Each holds the documents, the queries and the judgements of one language, so that searching is monolingual;
        judgements across languages are left out. A set in one language, or one that does not say its languages on both
        sides, is given back whole, under its own name.
        """
        languages = {document.language for document in self.documents}
        if None in languages or len(languages) < 2 or {query.language for query in self.queries} - languages:
            return {self.name: self}
        parts = {language: self._monolingual(language) for language in sorted(filter(None, languages))}
        return {part.name: part for part in parts.values() if part is not None}

    def _monolingual(self, language: str) -> "RetrievalSet | None":
        documents = tuple(document for document in self.documents if document.language == language)
        ids = {document.id for document in documents}
        queries = [query for query in self.queries if query.language == language]
        qrels = {q.id: {d: g for d, g in self.qrels[q.id].items() if d in ids} for q in queries}
        judged = tuple(query for query in queries if any(grade > 0 for grade in qrels[query.id].values()))
        if not judged:
            return None
        return replace(
            self,
            name=f"{self.name}/{language}",
            documents=documents,
            queries=judged,
            qrels={query.id: qrels[query.id] for query in judged},
            num_unjudged=len(queries) - len(judged),
        )


def _choose(items: Sequence[Item], limit: int | None, generator: Random) -> tuple[Item, ...]:
    """Take at most `limit` items, in their order."""
    if limit is None or limit >= len(items):
        return tuple(items)
    return tuple(items[number] for number in sorted(generator.sample(range(len(items)), limit)))


def _unique(name: str, kind: str, ids: list[str]) -> set[str]:
    seen: set[str] = set()
    for id_ in ids:
        if id_ in seen:
            raise InputError(f"{name}: {kind} {id_} occurs twice", expected="ids that occur once")
        seen.add(id_)
    return seen
