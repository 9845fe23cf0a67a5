"""Evaluation during training: which records are held out, and how well the model finds their documents.

Nothing of it touches the course of the run: dropout is off, no gradient is kept, the random state stays as it was.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from slimvec.data.contamination import ScoredTexts, TrainingOverlap, training_overlap
from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError, TrainingError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.ranking.metrics import DEPTH, ndcg, reciprocal_rank
from slimvec.ranking.top_k import rank_vectors
from slimvec.text.batch import plan_batches
from slimvec.text.embeddings import Embeddings, TextEmbedder, Vectors, embed_by_task
from slimvec.text.prompts import Prompts, Role
from slimvec.training.batches.sources import read_sources
from slimvec.training.recipe import Batch, Recipe, Source, Validation

_HASH_RANGE = 1 << 64
Validator = Callable[[TextEmbedder], Mapping[str, float]]
"""An evaluation: measures by name, larger is better. It must not draw random numbers from torch's own generator."""


class TrainingEmbedder:
    """Embeds texts with the weights as they are, under the limits of the training.

    Args:
        model: In training.
        batch: Its longest texts, and how many tokens run at once.
    """

    def __init__(self, model: EmbeddingModel, batch: Batch) -> None:
        self._model, self._budget = model, batch.micro_batch_tokens
        self._tokenizers = {
            "query": model.tokenizer.limited(batch.max_query_tokens),
            "document": model.tokenizer.limited(batch.max_document_tokens),
        }

    @property
    def prompts(self) -> Prompts:
        """The model's."""
        return self._model.spec.prompts

    @property
    def max_tokens(self) -> int:
        """Longest document, in tokens."""
        return self._tokenizers["document"].max_tokens

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role,
        task: str | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Embeddings:
        """Embed N texts in a role. Dropout is as the model has it at the time.

        Raises:
            InputError: a text without tokens, or a task that is not known.
            TrainingError: a vector that is NaN or infinite; its text is named.
        """
        tokenized = self._tokenizers[role].tokenize(texts, prompt=self._model.spec.prompts.render(role, task))
        vectors = np.empty((len(texts), self._model.dims), dtype=np.float32)
        for indices in plan_batches(tokenized.lengths, token_budget=self._budget):
            with torch.no_grad():
                found = F.normalize(self._model(tokenized.pack(indices)), dim=-1)
            vectors[indices] = found.float().cpu().numpy()
            if on_progress is not None:
                on_progress(len(indices))
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist()
        if bad:
            raise TrainingError(
                f"evaluating in training: text {bad[0]} ({texts[bad[0]][:40]!r}) has a vector with NaN or infinity",
                expected="numbers",
                do="the training broke down: lower its learning rate, or go on from an earlier checkpoint",
            )
        return Embeddings(
            vectors,
            np.asarray(tokenized.lengths, dtype=np.int32),
            np.asarray(tokenized.truncated, dtype=np.int8),
            sum(tokenized.lengths),
        )


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


def split_records(records: list[Record], recipe: Recipe) -> TrainingSplit:
    """Hold records out for validation, or none without a section for it.

    Raises:
        InputError: too few are left on either side, or a file of held-out records cannot be read or shares more text
            with the training data than the recipe lets pass.
    """
    settings = recipe.validation
    if settings is None:
        return TrainingSplit(records, list(range(len(records))), [])
    others: list[Record] = []
    if settings.path is not None:
        others, _ = read_sources([Source(path=settings.path)], seed=recipe.run.seed)
    held = split_by_query(records, settings, others)
    if settings.path is None:  # parted by query on purpose: documents may be on both sides
        return held
    shared = training_overlap(held.training, [ScoredTexts.of_records(str(settings.path), others)])
    shared.check(settings.max_shared, setting="validation.max_shared")
    return replace(held, shared_text=shared)
