"""Evaluation during training: which records are held out, and how well the model finds their documents.

Nothing of it touches the course of the run: dropout is off, no gradient is kept, the random state stays as it was.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.data.contamination import TrainingOverlap
from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.ranking.metrics import DEPTH, ndcg, reciprocal_rank
from slimvec.ranking.top_k import rank_vectors
from slimvec.text.embeddings import TextEmbedder, Vectors, embed_by_task
from slimvec.text.prompts import Role
from slimvec.training.recipe import Validation

_HASH_RANGE = 1 << 64

Validator = Callable[[TextEmbedder], Mapping[str, float]]
"""An evaluation: measures by name, larger is better. It must not draw random numbers from torch's own generator."""


@dataclass(frozen=True)
class TrainingSplit:
    """Records split into those to train on and those to validate on.

    Attributes:
        training: Records to train on.
        numbers: Positions of the training records among all records.
        validation: Records to score on; no query of theirs is among those of `training`.
        shared_text: What the two share, where the held-out records are a file of their own.
    """

    training: list[Record]
    numbers: list[int]
    validation: list[Record]
    shared_text: TrainingOverlap | None = None


def split_by_query(records: Sequence[Record], settings: Validation, others: Sequence[Record] = ()) -> TrainingSplit:
    """Split records by query, as the recipe says.

    A query is held out, with all of its records, for the hash of its text: the same ones in every stage, for every
    seed and in whatever order the records come. Documents may be on both sides.

    Args:
        records: The training data.
        settings: How many.
        others: Records held out instead, for settings with a path.

    Raises:
        InputError: too few are left on either side.
    """
    keys = [text_id(record.query) for record in records]
    if settings.path is not None:
        taken = {text_id(record.query) for record in others}
    elif settings.share is not None:
        taken = {key for key in keys if _place(key) < settings.share * _HASH_RANGE}
    else:
        taken = _first_queries(keys, settings.count or 0)
    numbers = [number for number, key in enumerate(keys) if key not in taken]
    held = list(others) or [record for record, key in zip(records, keys, strict=True) if key in taken]
    if len(numbers) < 2 or len(held) < 2:
        raise InputError(
            f"validation leaves {len(numbers)} records to train on and {len(held)} to score on",
            expected="at least 2 of each",
            do="change validation.count or validation.share",
        )
    return TrainingSplit([records[number] for number in numbers], numbers, held)


def _first_queries(keys: Sequence[int], count: int) -> set[int]:
    """Give the queries with the lowest hashes that have `count` records together, or a few more."""
    numbers: dict[int, int] = {}
    for key in keys:
        numbers[key] = numbers.get(key, 0) + 1
    taken: set[int] = set()
    for key in sorted(numbers, key=_place):
        if count <= 0:
            break
        taken.add(key)
        count -= numbers[key]
    return taken


def _place(key: int) -> int:
    """Place of a query among all that could be, 0 to 2^64; unrelated to other uses of its number."""
    return int.from_bytes(hashlib.blake2b(key.to_bytes(8), digest_size=8, person=b"held out").digest())


class HeldOutRetrieval:
    """How well each held-out query finds its positives among all documents of the held-out records.

    Args:
        records: Held out. Negatives are documents too; records with the same query are one query.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._documents: dict[int, tuple[str, str | None]] = {}
        self._queries: dict[int, tuple[str, str | None]] = {}
        relevant: dict[int, set[int]] = {}
        for record in records:
            query = text_id(record.query)
            self._queries.setdefault(query, (record.query, record.task))
            for text in (*record.positives, *record.negatives, *record.contrasts):
                self._documents.setdefault(text_id(text), (text, record.task))
            relevant.setdefault(query, set()).update(map(text_id, record.positives))
        places = {key: place for place, key in enumerate(self._documents)}
        self._relevant = [{places[key] for key in relevant[query]} for query in self._queries]

    def __call__(self, embedder: TextEmbedder) -> Mapping[str, float]:
        """Score: `ndcg_at_10` and `mrr_at_10`, and `mean_cosine`, of two documents picked at random."""
        queries = _embed(embedder, self._queries, "query")
        documents = _embed(embedder, self._documents, "document")
        in_order = [f"{place:012d}" for place in range(len(documents))]  # of equal documents the later comes first
        top = rank_vectors(queries, documents, in_order, num_kept=DEPTH).top
        gains = np.array(
            [[float(place in relevant) for place in row] for row, relevant in zip(top, self._relevant, strict=True)]
        )
        grades = [[1] * len(relevant) for relevant in self._relevant]
        return {
            "ndcg_at_10": float(ndcg(gains, grades, depth=DEPTH).mean()),
            "mrr_at_10": float(reciprocal_rank(gains, depth=DEPTH).mean()),
            "mean_cosine": _mean_cosine(documents),
        }


def _embed(embedder: TextEmbedder, texts: Mapping[int, tuple[str, str | None]], role: Role) -> Vectors:
    """Embed texts with their tasks: [N, D]."""
    own, tasks = zip(*texts.values(), strict=True)
    return embed_by_task(embedder, own, tasks, role=role).vectors


def _mean_cosine(vectors: Vectors) -> float:
    """Mean cosine of two different rows: (|sum|^2 - N) / (N (N - 1)) for N unit vectors."""
    count = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - count) / (count * (count - 1))) if count > 1 else 0.0
