"""What each sentence weighs in its document's vector: a regression on the vectors of the sentences alone.

    v = sum_i c_i s_i + c_0 m

with v the document's vector, s_i those of its sentences embedded alone, and m the mean vector of all sentences of
other documents, which takes up what any two texts of an anisotropic model share. A model that reads all sentences alike
gives them all the same weight c_i, but for their lengths; so sentences are put in random order first, which makes
length and content independent of the place.

Legend: N documents, S_n sentences of document n.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimvec.errors import ModelError
from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.documents import CutOffError, embed_documents
from slimvec.probes.protocol import ProbeConfig, embed
from slimvec.statistics.intervals import Interval, percentile_intervals
from slimvec.statistics.resampling import Values, draw_counts

MOST = 100.0
"""Largest ratio of first to last that is distinguished from infinity: a model that reads the beginning alone."""
NUM_PLACES = 10


@dataclass(frozen=True, eq=False)
class SentenceWeights:
    """Weights of the sentences of N documents.

    Attributes:
        places: [N] arrays [S_n], middle of each sentence as a share of its document's words.
        weights: [N] arrays [S_n], of mean size 1 in each document.
    """

    places: tuple[Values, ...]
    weights: tuple[Values, ...]

    @classmethod
    def joined(cls, parts: "Sequence[SentenceWeights]") -> "SentenceWeights":
        """Put the documents of several measurements together."""
        places, weights = ([row for part in parts for row in getattr(part, name)] for name in ("places", "weights"))
        return cls(tuple(places), tuple(weights))

    @property
    def num_documents(self) -> int:
        """N."""
        return len(self.weights)

    def by_place(self, num_places: int) -> tuple[Values, Values]:
        """Sum weights and count sentences by place: [N, P] each."""
        sums, counts = np.zeros((2, self.num_documents, num_places))
        for row, (places, weights) in enumerate(zip(self.places, self.weights, strict=True)):
            numbers = np.minimum((places * num_places).astype(np.int64), num_places - 1)
            sums[row] = np.bincount(numbers, weights=weights, minlength=num_places)
            counts[row] = np.bincount(numbers, minlength=num_places)
        return sums, counts

    def curve(self, seed: int) -> list[Interval]:
        """Mean weight of a sentence by tenth of the document, with intervals over documents."""
        return self._over_documents(NUM_PLACES, lambda means: means, seed)

    def first_over_last(self, seed: int) -> Interval:
        """Weight of a sentence in the first third over that of one in the last, at most 100, with its interval."""
        return self._over_documents(3, lambda means: first_over_last(means)[..., None], seed)[0]

    def first_share(self, seed: int) -> Interval:
        """Share of the first third in the weight of the three thirds, with its interval: 1/3 where all are alike."""
        return self._over_documents(3, lambda means: (means[..., 0] / means.sum(axis=-1))[..., None], seed)[0]

    def _over_documents(self, num_places: int, statistic: Callable[[Values], Values], seed: int) -> list[Interval]:
        """Give a statistic of the mean weights by place, from [R, P] to [R, M]; documents are drawn for its interval.

        The mean is 0 at a place that a draw has no sentence of.
        """
        sums, counts = self.by_place(num_places)

        def means(draws: Values) -> Values:
            totals = draws @ counts
            return np.divide(draws @ sums, totals, out=np.zeros_like(totals), where=totals > 0)

        drawn = draw_counts(self.num_documents, np.random.default_rng(seed))
        whole = np.ones((1, self.num_documents))
        return percentile_intervals(statistic(means(whole))[0], statistic(means(drawn)))


def first_over_last(thirds: Values) -> Values:
    """Divide the weight of the first third by that of the last: [..., 3] to [...], from 1/100 to 100."""
    first, last = thirds[..., 0], thirds[..., 2]
    largest = np.maximum(np.maximum(first, last), 1e-12)
    least = largest / MOST
    return np.asarray(np.maximum(first, least) / np.maximum(last, least))


def weigh_sentences(
    documents: Sequence[Sequence[str]], vectors: NDArray[np.floating], sentence_vectors: NDArray[np.floating]
) -> SentenceWeights:
    """Regress the vectors of documents on those of their sentences.

    Args:
        documents: N documents as sentences.
        vectors: [N, D] of the documents.
        sentence_vectors: [sum of S_n, D] of their sentences, document by document.

    Raises:
        ModelError: a document has as many sentences as there are dims, which leaves nothing to fit.
    """
    ends = np.cumsum([len(sentences) for sentences in documents])
    total = sentence_vectors.sum(axis=0)
    places, weights = [], []
    for number, (sentences, end) in enumerate(zip(documents, ends, strict=True)):
        own = sentence_vectors[end - len(sentences) : end]
        if len(own) + 1 >= vectors.shape[1]:
            raise ModelError(
                f"{vectors.shape[1]} dims for a document of {len(own)} sentences",
                expected=f"at least {len(own) + 2} dims, to distinguish the sentences",
            )
        others = len(sentence_vectors) - len(own)
        shared = (total - own.sum(axis=0)) / others if others else np.zeros_like(total)
        basis = np.vstack([own, shared]).astype(np.float64)
        found = np.linalg.lstsq(basis.T, vectors[number].astype(np.float64), rcond=None)[0][:-1]
        lengths = np.array([len(sentence.split()) for sentence in sentences])
        places.append((np.cumsum(lengths) - lengths / 2) / lengths.sum())
        weights.append(found / np.abs(found).mean())
    return SentenceWeights(tuple(places), tuple(weights))


def measure_weights(model: EvaluatedModel, documents: Sequence[Sequence[str]], config: ProbeConfig) -> SentenceWeights:
    """Embed documents and their sentences alone, all on the side of documents, and weigh the sentences.

    Args:
        model: Embeds.
        documents: As sentences, in random order.
        config: Its `on_progress` is called.

    Returns:
        Weights of the documents that the model takes whole: a sentence that is truncated weighs nothing anywhere.

    Raises:
        ModelError: as for `weigh_sentences`, or a vector is not finite.
        CutOffError: every document is truncated.
    """
    found = embed_documents(model, [" ".join(sentences) for sentences in documents], config)
    whole = np.flatnonzero(found.truncated != 1)
    if len(whole) == 0:
        raise CutOffError("every document is truncated", expected="a limit of more tokens")
    documents, vectors = [documents[int(number)] for number in whole], found.vectors[whole]
    alone = [sentence for sentences in documents for sentence in sentences]
    sentence_vectors = embed(model, alone, config, role="document", kind="Retrieval")
    return weigh_sentences(documents, vectors, sentence_vectors)


def shuffled_documents(documents: Sequence[Sequence[str]], generator: np.random.Generator) -> list[tuple[str, ...]]:
    """Put the sentences of each document in random order."""
    return [tuple(sentences[n] for n in generator.permutation(len(sentences))) for sentences in documents]
