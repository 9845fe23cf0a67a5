"""Next-phrase prediction with two towers: every phrase boundary of a text is a query for the phrase behind it.

One causal pass over a passage gives the states s_1 ... s_n. At a boundary b the query is pooled from the states before
it, and the phrase behind it, x_b ... x_c, is embedded by itself:

    q_b = mean of s_{b-W+1} ... s_b    or    q_b = sum_{t<=b} w_t s_t / sum_{t<=b} w_t    (the model's own pooling)
    p_b = pool(states of x_b ... x_c alone)
    L   = InfoNCE(q, p) over all phrases of the step  +  lm_weight * mean over t > 1 of -log softmax(W s_{t-1})[x_t]

Left out of the negatives of q_b are the phrases of its own text that begin before p_b ends or up to `near_tokens`
behind its beginning, and phrases equal to a right one. In the pass that gives q_b, the states of the phrase would have
seen what the query saw; a test shows how that gives the answer away. The next-token loss is the same task with phrases
of length one and the vocabulary as candidates (arXiv 2307.06962).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.head import finish
from slimvec.model.lm_head import LMHead
from slimvec.model.pooling import pool
from slimvec.model.running_pooling import running_pool, window_pool
from slimvec.model.spec import ModelSpec
from slimvec.objectives.batch import EmbeddedBatch
from slimvec.objectives.losses import Objective
from slimvec.text.batch import PackedBatch, plan_batches
from slimvec.training.batches.deals import TextDeal
from slimvec.training.batches.passages import Frame, Passage, last_border, read_passages
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.objectives import NextPhrase
from slimvec.training.step.contrastive import step_seed
from slimvec.training.step.distributed import mean_over_processes, over_processes
from slimvec.training.step.gradients import Embed, Output, Run, backward_runs, empty_run, equally_many
from slimvec.training.step.steps import DealtSteps, Step, describe_texts

WHOLE_TEXT = 1 << 60
"""A horizon behind everything."""


@dataclass(frozen=True, eq=False)
class Phrases:
    """A passage and where its phrases are.

    Attributes:
        passage: The passage.
        borders: K + 1 of them, rising: phrase k goes from border k to border k + 1. The first phrase has nothing before
            it, so there are K - 1 pairs.
    """

    passage: Passage
    borders: tuple[int, ...]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Begin and end of each phrase that is asked for, in tokens."""
        return list(zip(self.borders[1:-1], self.borders[2:], strict=True))


def draw_phrases(passage: Passage, settings: NextPhrase, dice: np.random.Generator) -> Phrases:
    """Part a passage into phrases as the settings have it."""
    low, high = settings.phrase_tokens
    size = len(passage)
    if settings.boundaries == "one":
        border = _near_word(passage, low, size - low, low + int(dice.random() * (size - 2 * low + 1)))
        return Phrases(passage, (0, border, min(border + high, size)))
    borders = [0]
    while (left := size - borders[-1]) >= 2 * low:
        first, last = borders[-1] + low, min(borders[-1] + high, size - low)
        if settings.boundaries == "tokens":
            if left <= high and dice.random() < 0.5:
                break
            borders.append(_near_word(passage, first, last, first + int(dice.random() * (last - first + 1))))
            continue
        if left <= high and not passage.sentences[first : last + 1].any():
            break
        borders.append(_sentence(passage, first, last))
    return Phrases(passage, (*borders, min(size, borders[-1] + high)))


class NextPhraseSteps(DealtSteps):
    """The steps of the module's objective.

    Args:
        texts: To learn from.
        recipe: With an objective of this kind.
        model: Gives tokenizer, prompts, pooling and head; its states come through the steps' `embed`.
        objective: The loss on the pairs.
        lm_head: The language-model head; asked for with `lm_weight` only.

    Raises:
        InputError: a model that is not causal, or whose pooling has no running form; or texts that are too few or too
            short.
    """

    def __init__(
        self,
        texts: Sequence[str],
        recipe: Recipe,
        *,
        model: EmbeddingModel,
        objective: Objective,
        lm_head: LMHead | None = None,
    ) -> None:
        assert isinstance(recipe.objective, NextPhrase)
        super().__init__(recipe)
        self._settings, self._model, self._lm_head = recipe.objective, model, lm_head
        _check_model(model.spec, self._settings, recipe)
        self._losses_of = over_processes(objective)
        self._query = Frame.of(model.tokenizer, model.spec.prompts, "query")
        self._document = Frame.of(model.tokenizer, model.spec.prompts, "document")
        most = min(self._settings.max_tokens, model.tokenizer.max_tokens - len(self._query.head))
        least = 2 * self._settings.phrase_tokens[0]
        self._passages = read_passages(texts, model.tokenizer, least=least, most=most)
        self._deal = TextDeal(
            list(map(len, self._passages)), step_tokens=self._settings.step_tokens, seed=recipe.run.seed
        )

    def phrases(self, number: int) -> tuple[list[Phrases], float]:
        """Give the passages of a step with their phrases, and the epochs done after it."""
        chosen, epoch, epochs = self._deal.step(number)
        return [draw_phrases(self._passages[i], self._settings, self._dice(epoch, i)) for i in chosen.tolist()], epochs

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        everything, epochs = self.phrases(number)
        own = self._share(everything)
        queries = [self._query.head + phrases.passage.ids.tolist() for phrases in own]
        documents = [
            self._document.around(phrases.passage.ids[start:end].tolist())
            for phrases in own
            for start, end in phrases.pairs
        ]
        num_predicted = sum(len(phrases.passage) - (not self._query.head) for phrases in everything)
        query_parts, document_parts = (self._parts(list(map(len, rows))) for rows in (queries, documents))
        runs: list[Run] = [
            partial(self._run_passages, embed, [own[i] for i in part], self._processes.num / num_predicted)
            for part in query_parts
        ]
        runs += [partial(self._run_documents, embed, [documents[i] for i in part]) for part in document_parts]
        order = _order(own, query_parts, document_parts)
        batch = partial(self._batch, own, order, step_seed(self._recipe.run.seed, number))
        tokens = sum(map(len, queries)) + sum(map(len, documents))
        found = backward_runs(
            runs,
            lambda vectors: self._losses_of(batch(vectors)),
            keep=tokens <= self._recipe.batch.graph_tokens,
        )
        step = describe_texts(found, batch(found.vectors), self._processes, epoch=epochs, tokens=tokens)
        return step if self._lm_head is None else self._with_next_token(step, found.own_loss)

    def _with_next_token(self, step: Step, own_loss: float) -> Step:
        """Add the next-token loss to what is said of a step."""
        mean = float(mean_over_processes(torch.tensor([own_loss], dtype=torch.float64)))
        losses = {**step.losses, "next-token": mean / self._settings.lm_weight}
        return replace(step, loss=step.loss + mean, losses=losses)

    def _parts(self, lengths: list[int]) -> list[list[int]]:
        """Part sequences into what is run at once."""
        return equally_many(plan_batches(lengths, token_budget=self._recipe.batch.micro_batch_tokens))

    def _run_passages(self, embed: Embed, passages: Sequence[Phrases], lm_scale: float) -> Output:
        """Run passages for the queries at their boundaries."""
        if not passages:
            return Output(self._finish(empty_run(embed).float()))
        head, prefix = self._query.head, self._query.prefix_length
        rows = [head + phrases.passage.ids.tolist() for phrases in passages]
        states = embed(PackedBatch.from_sequences(rows, [prefix] * len(rows)))
        if self._settings.query == "window":
            pooled = self._pool_windows(states, passages)
        else:
            pooled = self._pool_beginnings(states, passages)
        own_loss = partial(self._next_token_loss, states, rows, lm_scale) if self._lm_head is not None else None
        return Output(self._finish(pooled), own_loss)

    def _pool_windows(self, states: Tensor, passages: Sequence[Phrases]) -> Tensor:
        """Pool the last tokens before each boundary."""
        offset, starts, ends = 0, list[int](), list[int]()
        for phrases in passages:
            offset += len(self._query.head)
            for border, _ in phrases.pairs:
                starts.append(offset + max(0, border - self._settings.window_tokens))
                ends.append(offset + border)
            offset += len(phrases.passage)
        return window_pool(states, *(torch.tensor(places, device=states.device) for places in (starts, ends)))

    def _pool_beginnings(self, states: Tensor, passages: Sequence[Phrases]) -> Tensor:
        """Pool what is before each boundary from the beginning of the passage."""
        size, pooling = len(self._query.head), self._model.spec.pooling
        start = 0 if pooling.include_prompt else self._query.prefix_length
        found = []
        for phrases, own in zip(passages, torch.split(states, [size + len(p.passage) for p in passages]), strict=True):
            pooled = running_pool(own, pooling, start=start)
            found.append(pooled[[size + border - 1 - start for border, _ in phrases.pairs]])
        return torch.cat(found)

    def _next_token_loss(self, states: Tensor, rows: Sequence[Sequence[int]], scale: float) -> Tensor:
        """Give the weighted share of some passages in the mean next-token loss; prompts are not predicted."""
        assert self._lm_head is not None
        first = max(len(self._query.head), 1)
        starts = accumulate(map(len, rows), initial=0)
        read = np.concatenate(
            [start + np.arange(first, len(row)) - 1 for start, row in zip(starts, rows, strict=False)]
        )
        wanted = torch.tensor([token for row in rows for token in row[first:]], device=states.device)
        chosen = states[torch.from_numpy(read).to(states.device)]
        return self._lm_head.loss(chosen, wanted) * (scale * self._settings.lm_weight)

    def _run_documents(self, embed: Embed, rows: Sequence[Sequence[int]]) -> Output:
        """Embed phrases by themselves."""
        if not rows:
            return Output(self._finish(empty_run(embed).float()))
        batch = PackedBatch.from_sequences(rows, [self._document.prefix_length] * len(rows))
        states = embed(batch)
        return Output(self._finish(pool(states, batch.to(states.device), self._model.spec.pooling)))

    def _finish(self, pooled: Tensor) -> Tensor:
        """Take pooled states through the model's head."""
        return finish(pooled, self._model.head, self._model.spec)

    def _batch(self, own: Sequence[Phrases], order: Tensor, seed: int, vectors: Tensor) -> EmbeddedBatch:
        """Make a batch of pairs from the vectors of all runs."""
        query, document = F.normalize(vectors[order.to(vectors.device)], dim=-1).chunk(2)
        near = self._settings.near_tokens
        window = self._settings.window_tokens if self._settings.query == "window" else WHOLE_TEXT
        queries, documents, groups, places = [], [], [], []
        for phrases in own:
            passage = phrases.passage
            for start, end in phrases.pairs:
                queries.append(text_id(passage.characters(max(0, start - window), start)))
                documents.append(text_id(passage.characters(start, end)))
                groups.append(passage.text_id)
                places.append(passage.start + start)
        found = {
            "query_ids": queries,
            "positive_ids": documents,
            "group_ids": groups,
            "places": places,
            "horizons": [WHOLE_TEXT if near is None else place + near for place in places],
        }
        numbers = {name: torch.tensor(rows, dtype=torch.int64, device=vectors.device) for name, rows in found.items()}
        return EmbeddedBatch(query, document, seed=seed, **numbers)  # type: ignore[arg-type]


def _order(own: Sequence[Phrases], query_parts: list[list[int]], document_parts: list[list[int]]) -> Tensor:
    """Give the row among the vectors of all runs of each query, then of each document: [2 B]."""
    firsts = list(accumulate((len(phrases.pairs) for phrases in own), initial=0))
    queries = [pair for part in query_parts for i in part for pair in range(firsts[i], firsts[i + 1])]
    documents = [pair for part in document_parts for pair in part]
    rows = [torch.argsort(torch.tensor(pairs, dtype=torch.int64)) for pairs in (queries, documents)]
    return torch.cat([rows[0], rows[1] + len(queries)])


def _near_word(passage: Passage, first: int, last: int, wanted: int) -> int:
    """Give the token from `first` to `last` that begins a word and is nearest to a wanted one, or else that one."""
    places = first + np.flatnonzero(passage.words[first : last + 1])
    return int(places[np.abs(places - wanted).argmin()]) if len(places) else wanted


def _sentence(passage: Passage, first: int, last: int) -> int:
    """Give the first token from `first` to `last` that begins a sentence, or else the last that begins a word."""
    places = np.flatnonzero(passage.sentences[first : last + 1])
    return first + int(places[0]) if len(places) else last_border(passage, first, last)


def _check_model(spec: ModelSpec, settings: NextPhrase, recipe: Recipe) -> None:
    """Refuse models that give no query at a boundary.

    Raises:
        InputError: then.
    """
    if spec.attention != "causal":
        raise InputError(
            f"next-phrase training of {recipe.base.name}, which is {spec.attention}",
            expected="causal attention: queries must not see the phrases behind them",
            do="set model.attention=causal",
        )
    mode = spec.pooling.standard_mode()
    if mode == "cls" or (mode == "last" and settings.query == "window"):
        raise InputError(
            f"next-phrase training with {mode} pooling and query {settings.query}",
            expected="a pooling over several tokens",
            do="set model.pooling=mean" + ("" if mode == "cls" else ", or objective.query=beginning"),
        )
