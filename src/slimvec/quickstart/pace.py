"""How much a quickstart does: documents, lengths and steps that fit the time, from the measured speed of the machine.

Nothing fails for slowness: where the least of it does not fit, the least of it is done and takes longer.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from slimvec.quickstart.questions import ANSWERS
from slimvec.reports.amounts import clock

if TYPE_CHECKING:
    from slimvec.data.retrieval import RetrievalSet
    from slimvec.engine.embedder import Embedder
    from slimvec.training.recipe import Recipe

MIN_DOCUMENTS = 300
"""Fewer held-out documents, and the intervals before and after training may touch by chance."""
_SIZES = (1000, 700, 500, 400, MIN_DOCUMENTS)
_CUTS = (None, 192, 128, 96, 64)
_BATCHES = ((64, 64), (48, 64), (32, 64), (32, 48), (24, 48), (16, 48), (16, 32))
"""Pairs of a batch, and tokens of a document in it; more pairs pay more than longer documents."""
_MIN_STEPS = 35
"""A batch gets smaller before steps get fewer: of as many pairs, studies/quickstart-batches has .72 for 18 steps of 64
and .77 for 37 of 32."""
_SAMPLES, _PAIRS = (1, 4, 12), 16
"""Texts of each kind that are embedded for the measurement, and pairs of the step that is trained."""
_ENOUGH_SECONDS = 2.0
"""A sample that takes so long is measured well, and no larger one follows."""
_SCORING_SHARE = 0.4
"""Share of the time for scoring before and after."""
_OTHER_SECONDS = 45.0
"""Saving, loading, BM25, answers: what is done beside scoring and training."""
_TRAINING_SECONDS = (45.0, 240.0)
"""Least and most time for training: with less, little is learned; with more, little more."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured.

    Attributes:
        embedded: Tokens a second in inference.
        trained: Tokens a second in a step of training.
        documents: Tokens of each held-out document.
        queries: Tokens of each of their queries.
    """

    embedded: float
    trained: float
    documents: Sequence[int]
    queries: Sequence[int]


@dataclass(frozen=True, slots=True)
class Pace:
    """What a quickstart does.

    Attributes:
        num_documents: Held-out documents that are scored.
        cut: Tokens that are left of a longer document; None for all.
        pairs: Pairs of a batch in training.
        document_tokens: Tokens of a document in training, at most.
        training_seconds: Time for training.
        steps: That are expected in it.
        scoring_seconds: Expected of scoring once.
    """

    num_documents: int
    cut: int | None
    pairs: int
    document_tokens: int
    training_seconds: float
    steps: int
    scoring_seconds: float

    @property
    def seconds(self) -> float:
        """What is expected of all of it."""
        return _OTHER_SECONDS + 2 * self.scoring_seconds + self.training_seconds

    def __str__(self) -> str:
        """Say it in words."""
        cut = "" if self.cut is None else f" of at most {self.cut} tokens"
        training = clock(self.training_seconds)
        return f"{self.num_documents:,} documents{cut}, {self.steps} steps of {self.pairs} pairs in {training}"


def choose_pace(speed: Speed, seconds: float) -> Pace:
    """Choose the most that fits; where nothing does, the least there is, which then takes longer.

    Args:
        speed: Speed of the machine, and the texts.
        seconds: That are left for all of it.
    """
    room = _SCORING_SHARE * max(0.0, seconds - _OTHER_SECONDS)
    choices = [(size, cut) for cut in _CUTS for size in (_SIZES if cut is None else _SIZES[-1:])]
    timed = [(size, cut, _scoring_seconds(speed, size, cut)) for size, cut in choices]
    size, cut, scoring = next((choice for choice in timed if 2 * choice[2] <= room), timed[-1])
    least, most = _TRAINING_SECONDS
    training = min(most, max(least, seconds - _OTHER_SECONDS - 2 * scoring))
    counted = [(pairs, tokens, _num_steps(speed, training, pairs, tokens)) for pairs, tokens in _BATCHES]
    pairs, tokens, steps = next((batch for batch in counted if batch[2] >= _MIN_STEPS), counted[-1])
    return Pace(min(size, len(speed.documents)), cut, pairs, tokens, training, max(1, steps), scoring)


def measure_speed(embedder: "Embedder", recipe: "Recipe", heldout: "RetrievalSet") -> Speed:
    """Measure a few forward passes and a step of training, on held-out texts.

    Args:
        embedder: The base.
        recipe: That it is trained with.
        heldout: The documents and queries that may be scored.
    """
    from slimvec.data.records import Record
    from slimvec.engine.fast_training import fast_training
    from slimvec.engine.frozen import open_frozen
    from slimvec.training.run.forecast import step_speed

    documents, queries = [d.content for d in heldout.documents], [query.text for query in heldout.queries]
    tokenize = embedder.tokenizer.tokenize
    embedded = 0.0
    for size in _SAMPLES:
        start = time.perf_counter()
        num_tokens = embedder.embed(documents[:size] + queries[:size]).num_tokens
        seconds = time.perf_counter() - start
        embedded = num_tokens / seconds
        if seconds > _ENOUGH_SECONDS:
            break
    pairs = [Record(query, (document,)) for query, document in zip(queries[:_PAIRS], documents, strict=False)]
    trained = step_speed(recipe, pairs, open_frozen=open_frozen, fast_training=fast_training)
    return Speed(embedded, trained, tokenize(documents).lengths, tokenize(queries).lengths)


def whole_pace(speed: Speed) -> Pace:
    """Give what is done with all the time it takes."""
    return choose_pace(speed, float("inf"))


def minutes_for(pace: Pace, spent: float) -> int:
    """Give the whole minutes to ask for to get this, after so many seconds."""
    scoring = _OTHER_SECONDS + 2 * pace.scoring_seconds / _SCORING_SHARE  # when scoring fits its share
    return ceil((spent + max(scoring, pace.seconds)) / 60)


def scored_part(dataset: "RetrievalSet", pace: Pace, documents: Sequence[int]) -> "RetrievalSet":
    """Give the documents that are scored, those with an answer to a question of the end among them, each cut to size.

    Args:
        dataset: All held-out documents, each with its query.
        pace: How many, and how long.
        documents: Tokens of each.
    """
    lengths = {document.id: tokens for document, tokens in zip(dataset.documents, documents, strict=True)}
    chosen = sorted(dataset.documents, key=lambda document: document.id not in ANSWERS)[: pace.num_documents]
    names = {document.id for document in chosen}
    cut = pace.cut
    return replace(
        dataset,
        documents=tuple(
            document if cut is None else replace(document, text=_shortened(document.text, cut / lengths[document.id]))
            for document in chosen
        ),
        queries=tuple(query for query in dataset.queries if query.id in names),
        qrels={name: grades for name, grades in dataset.qrels.items() if name in names},
    )


def _shortened(text: str, share: float) -> str:
    """Cut a text to a share of its characters, between two words."""
    if share >= 1:
        return text
    kept = text[: int(share * len(text))]
    return kept.rsplit(maxsplit=1)[0] if len(kept.split()) > 1 else kept


def _scoring_seconds(speed: Speed, size: int, cut: int | None) -> float:
    """Time of embedding the first documents and their queries once."""
    tokens = sum(speed.queries[:size])
    tokens += sum(length if cut is None else min(length, cut) for length in speed.documents[:size])
    return tokens / speed.embedded


def _num_steps(speed: Speed, seconds: float, pairs: int, document_tokens: int) -> int:
    """Steps of training that fit the time, with texts as long as the held-out ones."""
    mean = sum(min(length, document_tokens) for length in speed.documents) / len(speed.documents)
    mean += sum(speed.queries) / len(speed.queries)
    return int(seconds * speed.trained / (pairs * mean))
