"""n-grams of the documents that answer a query, written by the language model (SEAL, arXiv 2204.10628).

For a query q in the prompt of generative retrieval and a target g_1 ... g_k, an n-gram of a positive or its title:

    L = mean over all g and i of -log p(g_i | q, g_1 ... g_{i-1})

by the language-model head. Targets are drawn as `slimvec.training.batches.ngram_targets` says, from the run's seed, the
epoch and the record's number, alike in any process.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.model.lm_head import LMHead
from slimvec.ranking.ngrams import MAX_LENGTH
from slimvec.text.generative_prompt import PROMPT
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.deals import EvenDeal
from slimvec.training.batches.filling import TargetFilling, is_plain
from slimvec.training.batches.ngram_targets import TargetDocument, read_targets
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.objectives import NGrams
from slimvec.training.step.gradients import Embed
from slimvec.training.step.prediction import Prediction, Tokens, predict_backward
from slimvec.training.step.steps import DealtSteps, Step


@dataclass(frozen=True, eq=False)
class _Example:
    """A record, ready to be drawn from.

    Attributes:
        asked: Tokens of its query between the prompts; None for a plain text, which asks with spans of its own.
        truncated: Whether the query was.
        query: The query, as n-grams are compared with it.
        documents: Its positives.
        titles: Their titles, as tokens: as many as can be searched for.
    """

    asked: list[int] | None
    truncated: bool
    query: str
    documents: tuple[TargetDocument, ...]
    titles: tuple[Tokens, ...]


@dataclass(frozen=True, eq=False)
class Target:
    """A target and what asks for it.

    Attributes:
        asked: Tokens of the query or span between the prompts.
        tokens: [k], the target.
        truncated: Whether the query was truncated.
    """

    asked: list[int]
    tokens: Tokens
    truncated: bool

    @property
    def prediction(self) -> Prediction:
        """The target as it is predicted, token by token; its last one is not run."""
        seen = [*self.asked, *self.tokens[:-1].tolist()]
        return Prediction(seen, np.arange(len(self.asked) - 1, len(seen)), self.tokens)


class NGramSteps(DealtSteps):
    """The steps of the module's objective.

    Args:
        records: To learn from.
        recipe: With an objective of this kind.
        tokenizer: The model's.
        head: The language model's.

    Attributes:
        filling: Queries and targets of its steps.

    Raises:
        InputError: no room for a query, or a text without tokens.
    """

    def __init__(self, records: Sequence[Record], recipe: Recipe, *, tokenizer: Tokenizer, head: LMHead) -> None:
        assert isinstance(recipe.objective, NGrams)
        super().__init__(recipe)
        self._settings, self._head = recipe.objective, head
        self._reader = _QueryReader(tokenizer, recipe)
        self._examples = self._read(records, tokenizer)
        self.filling = TargetFilling.of(records, recipe.objective)
        self._deal = EvenDeal(len(self._examples), size=self._settings.queries, seed=recipe.run.seed, stream="ngrams")

    def backward(self, number: int, embed: Embed) -> Step:
        """Add the gradient of step `number`, counted from 0, and describe it."""
        targets, epochs = self._targets(number)
        predictions = [target.prediction for target in targets]
        (total,) = self._processes.add([sum(len(one.wanted) for one in predictions)])
        loss = predict_backward(
            predictions, int(total), embed, self._head, micro_batch_tokens=self._recipe.batch.micro_batch_tokens
        )
        counts = [sum(len(one.seen) for one in predictions), sum(target.truncated for target in targets)]
        tokens, truncated, whole = self._processes.add([*counts, loss])
        return Step(epoch=epochs, loss=whole, tokens=int(tokens), truncated=int(truncated))

    def _targets(self, number: int) -> tuple[list[Target], float]:
        """Draw this process's share of a step's targets, and give the epochs done after it."""
        chosen, epoch, epochs = self._deal.step(number)
        drawn: list[Target] = []
        for index in self._share(chosen.tolist()):
            dice = self._dice(epoch, index)
            drawn += [self._draw(self._examples[index], dice) for _ in range(self._settings.targets)]
        return drawn, epochs

    def _draw(self, example: _Example, dice: np.random.Generator) -> Target:
        """Draw a target of a record, and what asks for it."""
        settings = self._settings
        by_span, by_title = (dice.random() < share for share in (settings.span_share, settings.title_share))
        document = example.documents[int(dice.random() * len(example.documents))]
        title = example.titles[int(dice.random() * len(example.titles))] if by_title and example.titles else None
        if example.asked is None or by_span:
            span, ngram = document.draw_pair(dice, tokens=settings.tokens)
            asked, truncated = self._reader.read(span)
            return Target(asked, ngram if title is None else title, truncated)
        ngram = document.draw(dice, tokens=settings.tokens, query=example.query, bias=settings.overlap)
        return Target(example.asked, ngram if title is None else title, example.truncated)

    def _read(self, records: Sequence[Record], tokenizer: Tokenizer) -> list[_Example]:
        """Tokenise the records.

        Raises:
            InputError: a text without tokens.
        """
        texts = list(dict.fromkeys(text for record in records for text in record.positives))
        documents = dict(zip(texts, read_targets(texts, tokenizer), strict=True))
        names = list(dict.fromkeys(title for record in records for title in record.titles))
        titles = {
            name: found.ids[:MAX_LENGTH] for name, found in zip(names, read_targets(names, tokenizer), strict=True)
        }
        examples = []
        for record in records:
            asked, truncated = (None, False) if is_plain(record) else self._reader.read(record.query)
            answers = tuple(documents[text] for text in record.positives)
            known = tuple(titles[name] for name in record.titles)
            examples.append(_Example(asked, truncated, record.query, answers, known))
        return examples


class _QueryReader:
    """Puts queries between the prompts, within the recipe's limit.

    Args:
        tokenizer: The model's.
        recipe: Says how long a query may be, the prompt included.

    Raises:
        InputError: that is no longer than the prompt.
    """

    def __init__(self, tokenizer: Tokenizer, recipe: Recipe) -> None:
        self._tokenizer = tokenizer
        self._most = min(recipe.batch.max_query_tokens, tokenizer.max_tokens - MAX_LENGTH)
        alone = len(PROMPT.asked(tokenizer, "a"))
        if alone > self._most:
            raise InputError(
                f"{self._most} tokens for a query with its prompt",
                expected=f"at least {alone}",
                do="raise batch.max_query_tokens or model.max_tokens",
            )

    def read(self, query: str) -> tuple[list[int], bool]:
        """Give the tokens of a query between the prompts, and whether it had to be truncated."""
        kept = query.strip()
        tokens = PROMPT.asked(self._tokenizer, kept)
        truncated = len(tokens) > self._most
        while len(tokens) > self._most and len(kept) > 1:
            kept = kept[: max(len(kept) * self._most // len(tokens), 1)].rstrip()
            tokens = PROMPT.asked(self._tokenizer, kept)
        return tokens, truncated
