"""From records to token sequences, and from vectors back to the batch an objective sees.

Letters: B pairs, N texts in all, D dims.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from slimvec.data.records import Record
from slimvec.data.text_ids import text_ids
from slimvec.objectives.batch import EmbeddedBatch
from slimvec.text.prompts import Prompts, Role
from slimvec.text.tokenizer import TokenizedTexts, Tokenizer
from slimvec.training.batches.targets import PAIR, Groups, KnownAnswers, target_grades, target_scores


class TeacherVectors(Protocol):
    """A model whose vectors, or their cosines, are learnt. It is asked for the texts of a step, step by step."""

    @property
    def identity(self) -> str:
        """What tells it from every other teacher; a run goes on with the same one only."""
        ...

    @property
    def dims(self) -> int:
        """E, the width of its vectors."""
        ...

    def __call__(self, texts: Sequence[str], role: Role, task: str | None) -> NDArray[np.float32]:
        """Embed texts, or look them up where they have been embedded before.

        Args:
            texts: N texts.
            role: `query` or `document`.
            task: As the records name it.

        Returns:
            [N, E] unit vectors.
        """
        ...

    def likelihoods(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Give log p(query | document) a token of the query, or look it up where it has been computed before.

        Args:
            pairs: P queries with a document each.

        Returns:
            [P].

        Raises:
            ModelError: the teacher has no language model.
        """
        ...


OpenTeacher = Callable[[str], TeacherVectors]
"""Gives a teacher by its name in the recipe."""


@dataclass(frozen=True, eq=False)
class StepTexts:
    """All texts of a step: B queries, B positives, then the negatives pair by pair.

    Attributes:
        tokenized: N token sequences in that order.
        ids: [N] int64, equal for equal texts.
        negative_counts: By pair, how many negatives it has.
        contrast_counts: By pair, how many of them are contrasts, the last ones.
        answer_ids: [B, P] int64, as in `EmbeddedBatch`; None where no query is known to have several answers.
        group_ids: [N] int64, equal for texts of one group, as `Groups.ids` gives them; None for no groups.
        scores: [B, 1 + K], as in `EmbeddedBatch`.
        grades: [B], as in `EmbeddedBatch`.
        teacher: [N, E] unit vectors of the texts as a teacher embeds them, or None; zero for contrasts, of which no
            teacher is asked.
        seed: Random seed for what the loss draws in this step.
    """

    tokenized: TokenizedTexts
    ids: Tensor
    negative_counts: tuple[int, ...]
    contrast_counts: tuple[int, ...]
    scores: Tensor
    grades: Tensor
    answer_ids: Tensor | None = None
    group_ids: Tensor | None = None
    teacher: Tensor | None = None
    seed: int = 0

    @property
    def num_tokens(self) -> int:
        """Tokens of all texts."""
        return sum(self.tokenized.lengths)

    def assemble(self, vectors: Tensor) -> EmbeddedBatch:
        """Sort the vectors of the texts, [N, D] in their order, into a batch. Gradients flow through.

        They are scaled to unit length here, for the models that leave it to their users.
        """
        query_ids, positive_ids, negative_ids = self._parts(self.ids.to(vectors.device))
        groups, _, negative_groups = (
            (None, None, None) if self.group_ids is None else self._parts(self.group_ids.to(vectors.device))
        )
        return replace(
            self._batch(F.normalize(vectors, dim=-1)),
            query_ids=query_ids,
            positive_ids=positive_ids,
            negative_ids=negative_ids,
            answer_ids=None if self.answer_ids is None else self.answer_ids.to(vectors.device),
            group_ids=groups,
            negative_group_ids=negative_groups,
            scores=self.scores.to(vectors.device),
            grades=self.grades.to(vectors.device),
            teacher=None if self.teacher is None else self._batch(self.teacher.to(vectors.device)),
            seed=self.seed,
        )

    def _batch(self, vectors: Tensor) -> EmbeddedBatch:
        """Sort vectors into a batch of nothing but vectors."""
        query, positive, negatives = self._parts(vectors)
        if negatives is None:
            return EmbeddedBatch(query, positive)
        mask = self._mask().to(vectors.device)
        return EmbeddedBatch(query, positive, negatives, mask, contrast_mask=self._contrasts(mask))

    def _parts(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Part what there is of each text, [N, ...], into [B, ...], [B, ...] and [B, K, ...]; None for K = 0."""
        pairs, mask = len(self.negative_counts), self._mask()
        query, positive, mined = rows[:pairs], rows[pairs : 2 * pairs], rows[2 * pairs :]
        if not mask.shape[1]:
            return query, positive, None
        # Places without a negative point to the first one, and the mask hides them.
        starts = torch.tensor([0, *accumulate(self.negative_counts)][:-1])
        places = torch.where(mask, torch.arange(mask.shape[1])[None, :] + starts[:, None], 0)
        return query, positive, mined[places.to(rows.device)]

    def _mask(self) -> Tensor:
        """Which negatives are there: [B, K]."""
        counts = torch.tensor(self.negative_counts)
        return torch.arange(max(self.negative_counts, default=0))[None, :] < counts[:, None]

    def _contrasts(self, mask: Tensor) -> Tensor | None:
        """Which of them are contrasts: [B, K]; None for none."""
        if not any(self.contrast_counts):
            return None
        mined = torch.tensor(self.negative_counts) - torch.tensor(self.contrast_counts)
        places = torch.arange(mask.shape[1])[None, :] >= mined[:, None]
        return mask & places.to(mask.device)


class Collator:
    """Writes prompts in front of texts and tokenises them.

    Args:
        tokenizer: The model's.
        prompts: The model's.
        max_query_tokens: Longest query, prompt included; at most the tokenizer's own limit counts.
        max_document_tokens: Longest document.
        max_negatives: Negatives used of each pair: its contrasts, and so many of the mined ones, the first, as there is
            room for.
        teacher: Its vectors of the same texts come with them.
        by_likelihood: Its scores of a query's own candidates come with them instead.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompts: Prompts,
        *,
        max_query_tokens: int,
        max_document_tokens: int,
        max_negatives: int,
        teacher: TeacherVectors | None = None,
        by_likelihood: bool = False,
    ) -> None:
        limits = {"query": max_query_tokens, "document": max_document_tokens}
        self._tokenizers = {role: tokenizer.limited(limit) for role, limit in limits.items()}
        self._prompts = prompts
        self._max_negatives = max_negatives
        self._teacher, self._by_likelihood = teacher, by_likelihood

    def __call__(
        self,
        records: Sequence[Record],
        *,
        epoch: int,
        kinds: Sequence[int] | None = None,
        groups: Groups | None = None,
        answers: KnownAnswers | None = None,
        stands_for: Mapping[str, str] | None = None,
        without_prompt: Sequence[bool] | None = None,
        seed: int = 0,
    ) -> StepTexts:
        """Tokenise the texts of B records.

        Args:
            records: The batch, which can be empty. Of several positives, each epoch takes the next one.
            epoch: Number of the epoch.
            kinds: Which records are graded pairs, as `slimvec.training.batches.targets` numbers them; default none.
            groups: Groups of all records of the run; default those of the batch.
            answers: Answers of all records of the run; default those of the batch.
            stands_for: By a text that replaced one of the data (see `augmentation` beside this), that one: it is
                what the text is compared by, and what a teacher is asked for.
            without_prompt: By record, whether its query goes without a prompt; by default none does. See
                `slimvec.training.step.contrastive`.
            seed: Random seed for what the loss draws.

        Raises:
            InputError: a text without tokens, or a task that is not known.
        """
        contrasts = [record.contrasts[: self._max_negatives] for record in records]
        judged = [r.negatives[: self._max_negatives - len(own)] for r, own in zip(records, contrasts, strict=True)]
        mined = [(*texts, *own) for texts, own in zip(judged, contrasts, strict=True)]
        counts = tuple(map(len, mined))
        taken = [epoch % len(record.positives) for record in records]
        documents = [(record.positives[place], record.task) for record, place in zip(records, taken, strict=True)]
        documents += [(text, r.task) for r, texts in zip(records, mined, strict=True) for text in texts]
        queries = [(record.query, record.task) for record in records]
        known = {text: text for text, _ in [*queries, *documents]} | dict(stands_for or {})
        compared = [[(known[text], task) for text, task in part] for part in (queries, documents)]
        parts = [self._tokenize("query", queries, without_prompt), self._tokenize("document", documents)]
        ids = text_ids(text for part in compared for text, _ in part)
        pairs = len(records)
        scores = target_scores(records, taken, [len(texts) for texts in judged])
        if self._by_likelihood:
            candidates = [[r.positives[place], *own] for r, place, own in zip(records, taken, judged, strict=True)]
            scores = self._judge([r.query for r in records], candidates, known)
        known_answers = KnownAnswers(records) if answers is None else answers
        return StepTexts(
            tokenized=TokenizedTexts(
                [sequence for part in parts for sequence in part.sequences],
                [length for part in parts for length in part.prefix_lengths],
                [cut for part in parts for cut in part.truncated],
            ),
            ids=torch.tensor(ids, dtype=torch.int64),
            answer_ids=known_answers.ids(ids[:pairs], ids[pairs : 2 * pairs]),
            negative_counts=counts,
            contrast_counts=tuple(map(len, contrasts)),
            scores=_widened(scores, max(counts, default=0)),
            grades=target_grades(records, kinds or [PAIR] * len(records)),
            group_ids=(Groups(records) if groups is None else groups).ids(
                records, [[known[text] for text in texts] for texts in mined]
            ),
            teacher=self._teach(compared[0], compared[1], skipped=_contrast_places(counts, contrasts)),
            seed=seed,
        )

    def _teach(
        self,
        queries: Sequence[tuple[str, str | None]],
        documents: Sequence[tuple[str, str | None]],
        *,
        skipped: Collection[int],
    ) -> Tensor | None:
        """Ask the teacher for its vectors of (text, task) pairs, queries first: [N, E]; zero for those skipped."""
        if self._teacher is None or self._by_likelihood:
            return None
        found = torch.zeros(len(queries) + len(documents), self._teacher.dims)
        asked: dict[tuple[Role, str | None], list[int]] = {}
        for number, (_, task) in enumerate([*queries, *documents]):
            if number in skipped:
                continue
            role: Role = "query" if number < len(queries) else "document"
            asked.setdefault((role, task), []).append(number)
        texts = [text for text, _ in [*queries, *documents]]
        for (role, task), numbers in asked.items():
            vectors = self._teacher([texts[number] for number in numbers], role, task)
            found[numbers] = torch.from_numpy(vectors)
        return F.normalize(found, dim=-1)

    def _judge(self, queries: Sequence[str], candidates: Sequence[Sequence[str]], known: Mapping[str, str]) -> Tensor:
        """Ask the teacher how likely each query is given its candidates, the positive first: [B, 1 + K].

        NaN where there is no candidate, and for queries with nothing beside the positive to be told from it.
        """
        assert self._teacher is not None
        found = torch.full((len(queries), max(map(len, candidates), default=1)), torch.nan)
        rows = [row for row, own in enumerate(candidates) if len(own) > 1]
        pairs = [(known[queries[row]], known[text]) for row in rows for text in candidates[row]]
        values = torch.from_numpy(self._teacher.likelihoods(pairs)) if pairs else torch.empty(0)
        for row, own in zip(rows, torch.split(values, [len(candidates[row]) for row in rows]), strict=True):
            found[row, : len(own)] = own
        return found

    def _tokenize(
        self, role: Role, texts: Sequence[tuple[str, str | None]], without_prompt: Sequence[bool] | None = None
    ) -> TokenizedTexts:
        """Tokenise (text, task) pairs, those of one prompt together, and give them in their own order."""
        by_prompt: dict[str, list[int]] = {}
        for number, (_, task) in enumerate(texts):
            prompt = "" if without_prompt is not None and without_prompt[number] else self._prompts.render(role, task)
            by_prompt.setdefault(prompt, []).append(number)
        found: dict[int, tuple[list[int], int, bool]] = {}
        for prompt, numbers in by_prompt.items():
            part = self._tokenizers[role].tokenize([texts[n][0] for n in numbers], prompt=prompt)
            rows = zip(part.sequences, part.prefix_lengths, part.truncated, strict=True)
            found.update(zip(numbers, rows, strict=True))
        ordered = [found[number] for number in range(len(texts))]
        return TokenizedTexts([row[0] for row in ordered], [row[1] for row in ordered], [row[2] for row in ordered])


def _contrast_places(counts: Sequence[int], contrasts: Sequence[Sequence[str]]) -> set[int]:
    """Give the numbers of the contrasts among the texts of a step: the last of each pair's negatives.

    Args:
        counts: By pair, how many negatives it has, contrasts included.
        contrasts: By pair, its contrasts.
    """
    ends = accumulate(counts, initial=2 * len(counts))
    next(ends)
    return {place for end, own in zip(ends, contrasts, strict=True) for place in range(end - len(own), end)}


def _widened(scores: Tensor, count: int) -> Tensor:
    """Give scores, [B, 1 + k], places for `count` negatives; nobody has judged the further ones."""
    return F.pad(scores, (0, 1 + count - scores.shape[1]), value=torch.nan)
