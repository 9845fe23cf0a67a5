"""Generative retrieval: a language model writes n-grams that occur in the corpus, and documents are found by them.

The model is asked for a passage that answers the query, and a beam search keeps to tokens that go on with an n-gram of
the corpus (SEAL, arXiv 2204.10628). With F occurrences of an n-gram among T tokens, P(n) = F / T; with P(n | q) by the
model behind the query, and P(n | -) behind the prompt without one:

    beams by  log P(n | q) + g (log P(n | q) - log P(n | -))
    w(n, q)   = max(0, log P(n | q) (1 - U(n)) - log U(n) (1 - P(n | q))),   U(n) = max(P(n), P(n | -))
    W(d, q)   = sum over n-grams of d, the heaviest first, of w^a (1 - b + b |new tokens of n| / |tokens of n|)

where a token is new that no heavier n-gram of the document has. P(n | -) is ours: a model that was not trained for this
begins with "This is a" whatever is asked, and only what the query makes likelier says something. Nothing is trained: a
document that is added is found as soon as its n-grams are sorted in.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slimvec.engine.fused import FusedDecoder, KeyValues
from slimvec.engine.language_model import LanguageModel
from slimvec.errors import InputError
from slimvec.ranking.fusion import fuse_scores
from slimvec.ranking.ngrams import MAX_LENGTH, NGram, NGramIndex
from slimvec.text.batch import PackedBatch
from slimvec.text.generative_prompt import PROMPT, GenerativePrompt, continuation_ids

_BEST_COSINES = 100
"""Candidates that the cosine brings when both are fused."""


@dataclass(frozen=True, slots=True)
class GenerativeSettings:
    """How n-grams are written and weighed.

    Attributes:
        prompt: What stands around the query.
        num_beams: N-grams kept at every length.
        max_length: Longest n-gram in tokens.
        guidance: g.
        power: a.
        new_share: b.
    """

    prompt: GenerativePrompt = PROMPT
    num_beams: int = 8
    max_length: int = 5
    guidance: float = 1.0
    power: float = 2.0
    new_share: float = 0.8


@dataclass(frozen=True, slots=True)
class WrittenNGram:
    """An n-gram that the model wrote.

    Attributes:
        ngram: Where it occurs.
        log_probability: log P(n | q).
        usual: log P(n | -).
        weight: w(n, q).
    """

    ngram: NGram
    log_probability: float = 0.0
    usual: float = 0.0
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class GenerativeHit:
    """A document found.

    Attributes:
        document: Its number, in the order in which documents were added.
        score: W(d, q), or fused with the cosine.
        ngrams: The n-grams it was found by, the heaviest first.
    """

    document: int
    score: float
    ngrams: tuple[str, ...]


class GenerativeIndex:
    """Documents that are found by the n-grams a language model writes.

    Args:
        language: Writes.
        settings: How.
        ngrams: Ngrams of the documents; default none yet.

    Attributes:
        settings: As given, or the default.
        ngrams: As given, or empty.

    Raises:
        InputError: no beams, or n-grams that are too long or empty.
    """

    def __init__(
        self,
        language: LanguageModel,
        *,
        settings: GenerativeSettings | None = None,
        ngrams: NGramIndex | None = None,
    ) -> None:
        self.settings = settings or GenerativeSettings()
        if not 1 <= self.settings.max_length <= MAX_LENGTH or self.settings.num_beams < 1:
            found = f"{self.settings.num_beams} beams of {self.settings.max_length} tokens"
            raise InputError(found, expected=f"at least 1 beam, and 1 to {MAX_LENGTH} tokens")
        self._language, self.ngrams = language, ngrams or NGramIndex()

    def add(self, documents: Sequence[str]) -> None:
        """Add documents, whole, numbered on from those that are there.

        Raises:
            InputError: an empty document.
        """
        self.ngrams.add(continuation_ids(self._language.tokenizer, documents))

    def write(self, query: str) -> list[WrittenNGram]:
        """Have the model write n-grams of the corpus: all that a beam search came by, the heaviest first.

        Raises:
            InputError: no documents, or an empty query.
        """
        if not self.ngrams.num_documents:
            raise InputError("a search of no documents", expected="some", do="add them first")
        tokenizer, chosen = self._language.tokenizer, self.settings
        asked, unasked = chosen.prompt.asked(tokenizer, query), chosen.prompt.unasked(tokenizer)
        writers = _Writer(self._language, asked), _Writer(self._language, unasked)
        beams, found = [WrittenNGram(self.ngrams.everything())], list[WrittenNGram]()
        with self._language.lock:
            while beams and len(beams[0].ngram.tokens) < chosen.max_length:
                beams = self._longer(*writers, beams)
                found += beams
        return sorted((one for one in found if one.weight > 0), key=lambda one: -one.weight)

    def scores(self, query: str) -> NDArray[np.float32]:
        """Score every document: [N], 0 for those without an n-gram that the model wrote. Errors as for `write`."""
        values = np.zeros(self.ngrams.num_documents, dtype=np.float32)
        for document, (value, _) in self._by_document(self.write(query)).items():
            values[document] = value
        return values

    def search(
        self, query: str, *, top: int = 10, cosines: NDArray[np.floating] | None = None, weight: float = 0.5
    ) -> list[GenerativeHit]:
        """Find documents.

        Args:
            query: The question.
            top: How many at most.
            cosines: [N], of all documents with the query, to be fused; default n-grams alone.
            weight: Share of the n-grams where both are fused, standardised over the candidates of either.

        Raises:
            InputError: as for `write`, or cosines that do not fit.
        """
        if cosines is not None and len(cosines) != self.ngrams.num_documents:
            raise InputError(f"{len(cosines)} cosines", expected=f"one a document, {self.ngrams.num_documents}")
        by_document = self._by_document(self.write(query))
        values = {document: value for document, (value, _) in by_document.items()}
        if cosines is not None:
            values = _fused(values, cosines, weight)
        best = sorted(values.items(), key=lambda item: (-item[1], item[0]))[:top]
        return [
            GenerativeHit(document, value, self._texts(by_document[document][1] if document in by_document else ()))
            for document, value in best
        ]

    def _texts(self, ngrams: Sequence[WrittenNGram]) -> tuple[str, ...]:
        """Give n-grams in letters."""
        decode = self._language.tokenizer.backend.decode
        return tuple(str(decode(list(one.ngram.tokens))) for one in ngrams)

    def _longer(self, asked: "_Writer", unasked: "_Writer", beams: Sequence[WrittenNGram]) -> list[WrittenNGram]:
        """Make the beams a token longer: the best of all that occur in the corpus."""
        texts, guidance = [one.ngram.tokens for one in beams], self.settings.guidance
        given, usual = asked.log_probabilities(texts), unasked.log_probabilities(texts)
        candidates: list[tuple[float, int, int]] = []
        for number, one in enumerate(beams):
            allowed = torch.from_numpy(self.ngrams.following(one.ngram).astype(np.int64))
            so_far = one.log_probability + guidance * (one.log_probability - one.usual)
            gains = given[number, allowed] + guidance * (given[number, allowed] - usual[number, allowed])
            best = gains.topk(min(self.settings.num_beams, len(allowed)))
            candidates += [
                (so_far + gain, number, int(allowed[place]))
                for gain, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
        kept = sorted(candidates, key=lambda one: (-one[0], one[1], one[2]))[: self.settings.num_beams]
        return [
            self._weighed(
                self.ngrams.extend(beams[number].ngram, token),
                beams[number].log_probability + float(given[number, token]),
                beams[number].usual + float(usual[number, token]),
            )
            for _, number, token in kept
        ]

    def _weighed(self, ngram: NGram, log_probability: float, usual: float) -> WrittenNGram:
        """Weigh an n-gram by how much likelier the query makes it."""
        given = min(log_probability, -1e-9)
        before = min(max(log(ngram.count / self.ngrams.num_tokens), usual), -1e-9)
        weight = given + log(-expm1(before)) - before - log(-expm1(given))
        return WrittenNGram(ngram, log_probability, usual, max(0.0, weight))

    def _by_document(self, written: Sequence[WrittenNGram]) -> dict[int, tuple[float, list[WrittenNGram]]]:
        """Score the documents that hold an n-gram, by those n-grams."""
        held: dict[int, list[WrittenNGram]] = defaultdict(list)
        for one in written:  # the heaviest first
            for document in self.ngrams.documents(one.ngram).tolist():
                held[document].append(one)
        return {document: (self._sum(ngrams), ngrams) for document, ngrams in held.items()}

    def _sum(self, ngrams: Sequence[WrittenNGram]) -> float:
        """Sum the weights of a document's n-grams; what says again what a heavier one says counts less."""
        share, total, covered = self.settings.new_share, 0.0, set[int]()
        for one in ngrams:
            tokens = set(one.ngram.tokens)
            total += one.weight**self.settings.power * (1 - share + share * len(tokens - covered) / len(tokens))
            covered |= tokens
        return total


class _Writer:
    """Gives the model's probabilities behind a prompt, which is run once where the backbone keeps it.

    Args:
        language: The model.
        prompt: At least one token.
    """

    def __init__(self, language: LanguageModel, prompt: Sequence[int]) -> None:
        self._model, self._prompt = language.causal_lm, list(prompt)
        self._kv: KeyValues | None = None
        self._last: Tensor | None = None

    def log_probabilities(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Give log P of every token behind the prompt and each of B texts: [B, V] float32 on the CPU."""
        with torch.inference_mode():
            return self._model.head.logits(self._states(texts)).log_softmax(dim=-1).cpu()

    def _states(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Give the last state of the prompt and each text: [B, H]."""
        decoder = self._model.backbone
        if not isinstance(decoder, FusedDecoder):
            batch = PackedBatch.from_sequences([[*self._prompt, *text] for text in texts])
            states = decoder(batch)
            return states[batch.cu_seqlens[1:].long().to(states.device) - 1]
        if self._kv is None or self._last is None:
            states, self._kv = decoder.forward(PackedBatch.from_sequences([self._prompt]), return_kv=True)
            self._last = states[-1:]
        if not any(texts):
            return self._last.expand(len(texts), -1)
        batch = PackedBatch.from_sequences(texts)
        return decoder.forward(batch, self._kv)[batch.cu_seqlens[1:].long() - 1]


def _fused(values: dict[int, float], cosines: NDArray[np.floating], weight: float) -> dict[int, float]:
    """Fuse the scores of documents with their cosines, over the best of either."""
    near = np.argsort(-cosines, kind="stable")[:_BEST_COSINES].tolist()
    candidates = sorted({*values, *near})
    written = np.array([values.get(document, 0.0) for document in candidates])
    both = fuse_scores(cosines[candidates], written, weight)
    return {document: float(value) for document, value in zip(candidates, both, strict=True)}
