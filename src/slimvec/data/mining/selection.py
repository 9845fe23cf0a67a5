"""From the documents found to the negatives of a record: rules first, then the choice."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from slimvec.data.duplicates import NearDuplicateIndex
from slimvec.data.mining.settings import MiningSettings
from slimvec.data.mining.texts import TextStore
from slimvec.ranking.words import split_tokens

Rule = Literal["margin", "relative_margin", "near_duplicate"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document within the ranks.

    Attributes:
        rank: From 1, known documents not counted.
        document: Its number.
        score: With the query.
    """

    rank: int
    document: int
    score: float


def choose_negatives(
    candidates: Sequence[Candidate],
    settings: MiningSettings,
    *,
    positive_score: float,
    taken: Sequence[str],
    documents: TextStore,
    seed: str,
) -> tuple[list[Candidate], Counter[Rule]]:
    """Choose the negatives of a record.

    Args:
        candidates: The documents within the ranks, best first.
        settings: Rules and choice.
        positive_score: The lowest score of a positive: a negative must stay below all of them.
        taken: Query and positives; near duplicates of these are no negatives.
        documents: The texts of the candidates; read for near duplicates only.
        seed: Tells this record's choice from those of others.

    Returns:
        The negatives, best first, and how many candidates each rule took out; one that several rules exclude counts
        for the first, in the order margin, relative margin, near duplicate. Near duplicates among the candidates are
        judged in the order in which they would be chosen, and only until there are enough.
    """
    dropped: Counter[Rule] = Counter()
    allowed = []
    for candidate in candidates:
        rule = _margin_rule(candidate.score, positive_score, settings)
        if rule is None:
            allowed.append(candidate)
        else:
            dropped[rule] += 1
    if settings.choice == "sample":
        random.Random(seed).shuffle(allowed)
    if settings.near_duplicates is not None:
        allowed = _without_near_duplicates(allowed, settings, taken, documents, dropped)
    return sorted(allowed[: settings.num_negatives], key=lambda candidate: candidate.rank), dropped


def _margin_rule(score: float, positive: float, settings: MiningSettings) -> Rule | None:
    """The margin that forbids a score, if any."""
    if settings.margin is not None and score > positive - settings.margin:
        return "margin"
    share = settings.relative_margin
    if share is not None and score >= positive - (1 - share) * abs(positive):
        return "relative_margin"
    return None


def _without_near_duplicates(
    allowed: Sequence[Candidate],
    settings: MiningSettings,
    taken: Sequence[str],
    documents: TextStore,
    dropped: Counter[Rule],
) -> list[Candidate]:
    """Enough candidates of which none nearly repeats what is taken or another."""
    assert settings.near_duplicates is not None
    index = NearDuplicateIndex(threshold=settings.near_duplicates)
    for text in taken:
        index.add(split_tokens(text))
    chosen: list[Candidate] = []
    for candidate in allowed:
        if len(chosen) == settings.num_negatives:
            break
        if index.add(split_tokens(documents.read([candidate.document])[0])) is None:
            chosen.append(candidate)
        else:
            dropped["near_duplicate"] += 1
    return chosen
