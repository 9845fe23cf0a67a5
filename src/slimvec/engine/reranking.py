"""Documents put in order for a query, by the likelihood of the query given each, by the cosine, or by both."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slimvec.engine.arguments import check_texts
from slimvec.errors import InputError
from slimvec.ranking.fusion import fuse_scores

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder
    from slimvec.engine.language_model import LanguageModel

WEIGHT = 0.6
"""Share of the likelihood: beside slimvec-en's cosines, from 0.5 to 0.8 the mean of four whole sets is within .009 of
its best for SmolLM2-135M (200 queries, benchmarks/results/reranking-whole.json; the best is 0.7, among 250 documents a
set 0.5). Beside MiniLM-L6's, which need less help, it is 0.4."""


@dataclass(frozen=True, slots=True)
class RerankedDocument:
    """A document in its new place.

    Attributes:
        index: Its number among those given.
        score: What it is ordered by: comparable within one query alone.
        cosine: With the query; None where it was not needed.
        likelihood: log p(query | document) for each token of the query; None where it was not needed.
    """

    index: int
    score: float
    cosine: float | None
    likelihood: float | None


@dataclass(frozen=True, slots=True)
class Reranking(Sequence[RerankedDocument]):
    """Documents in their new order, best first.

    Attributes:
        documents: All of them.
        weight: Share of the likelihood.
        num_tokens: Tokens of query and documents, for both judges.
        num_computed: Tokens that were run.
        num_truncated: Documents that were longer than the limit and were cut off.
    """

    documents: tuple[RerankedDocument, ...]
    weight: float
    num_tokens: int
    num_computed: int
    num_truncated: int

    def __getitem__(self, place: int) -> RerankedDocument:  # type: ignore[override]
        """Give the document at a place."""
        return self.documents[place]

    def __len__(self) -> int:
        """Count the documents."""
        return len(self.documents)

    def __iter__(self) -> Iterator[RerankedDocument]:
        """Go through the documents, best first."""
        return iter(self.documents)


def rerank(
    embedder: "Embedder",
    query: str,
    documents: Sequence[str],
    *,
    weight: float = WEIGHT,
    task: str | None = None,
    cosines: Sequence[float] | None = None,
    max_document_tokens: int | None = None,
    language_model: "LanguageModel | None" = None,
    on_progress: Callable[[int], None] | None = None,
) -> Reranking:
    """Put documents in order for a query.

    Args:
        embedder: Gives cosines, and likelihoods unless another language model does.
        query: The question.
        documents: Candidates, mostly the best few of a search.
        weight: Share of the likelihood: 1 is the likelihood alone, 0 the cosine alone. Between them both are
            standardised over the candidates. The default was fitted on sets of questions; docs/reranking.md says how.
        task: As for `Embedder.embed`.
        cosines: Cosines of the documents with the query, where they are known, so that nothing is embedded again.
        max_document_tokens: Where documents are cut for the likelihood; default as for vectors.
        language_model: Gives likelihoods in place of the embedder's own: of an encoder, say.
        on_progress: Told how many more documents have a likelihood.

    Returns:
        All documents, best first; equal ones in the order given.

    Raises:
        InputError: no documents, an empty text, a weight outside 0 to 1, or cosines that do not fit.
        ModelError: there is no language model, and the weight asks for one.
        FetchError: its base has to be fetched and cannot be.
    """
    check_texts(documents)
    documents = list(documents)
    if not documents:
        raise InputError("no documents", expected="a list of documents")
    if not 0 <= weight <= 1:
        raise InputError(f"weight {weight:g}", expected="0 (cosine alone) to 1 (likelihood alone)")
    if cosines is not None and len(cosines) != len(documents):
        raise InputError(f"{len(cosines)} cosines for {len(documents)} documents", expected="one a document")
    likelihoods = near = None
    num_tokens = num_computed = num_truncated = 0
    if weight > 0:
        model = language_model or embedder.language_model
        found = model.log_likelihood(
            [query], documents, max_document_tokens=max_document_tokens, on_progress=on_progress
        )
        likelihoods = found.values[0]
        num_tokens, num_computed, num_truncated = found.num_tokens, found.num_computed, found.num_truncated
    if weight < 1 and cosines is not None:
        near = np.asarray(cosines, dtype=np.float32)
    elif weight < 1:
        asked, answers = embedder.embed([query], role="query", task=task), embedder.embed(documents, task=task)
        near = embedder.similarity(asked.vectors, answers.vectors)[0]
        num_tokens += asked.num_tokens + answers.num_tokens
        num_computed += asked.num_computed + answers.num_computed
        num_truncated = max(num_truncated, answers.num_truncated)
    blank = np.zeros(len(documents), dtype=np.float32)
    scores = fuse_scores(blank if near is None else near, blank if likelihoods is None else likelihoods, weight)
    ordered = tuple(
        RerankedDocument(index, float(scores[index]), _at(near, index), _at(likelihoods, index))
        for index in np.argsort(-scores, kind="stable").tolist()
    )
    return Reranking(ordered, weight, num_tokens, num_computed, num_truncated)


def _at(values: NDArray[np.float32] | None, index: int) -> float | None:
    return None if values is None else float(values[index])
