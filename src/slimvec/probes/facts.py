"""Facts that nobody can know, each a sentence with the question it answers: needles. And hay to put them in.

Names are made of syllables, so no fact is in a model's memory; no two facts share a name, so a question has one answer.
Hay is made of other templates and other words: it shares with the questions what any English shares, and no more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from slimvec.frozen import Frozen
from slimvec.yaml_files import read_own_yaml

Words = Mapping[str, tuple[str, ...]]


class Lists(Frozen):
    """The file `facts.yaml`.

    Attributes:
        syllables: Starts, middles and ends of which names are made.
        fact_words: Words of facts, by kind.
        facts: Templates of sentences, each with its question.
        hay_words: Words of hay, by kind.
        hay: Templates of sentences.
    """

    syllables: Words
    fact_words: Words
    facts: tuple[tuple[str, str], ...]
    hay_words: Words
    hay: tuple[str, ...]


@cache
def read_lists() -> Lists:
    """Read the words and templates."""
    return Lists.model_validate(read_own_yaml(__package__, "facts.yaml"))


@dataclass(frozen=True)
class Fact:
    """A sentence and what it answers.

    Attributes:
        text: The sentence.
        question: Answered by it and by no other.
        template: Number of the template that it fills.
    """

    text: str
    question: str
    template: int


def make_facts(count: int, generator: np.random.Generator) -> list[Fact]:
    """Make facts that share no name."""
    lists, names = read_lists(), _names(generator)
    facts = []
    for _ in range(count):
        words = {"person": next(names), "town": next(names)} | _draw_words(lists.fact_words, generator)
        words["other"] = _draw([name for name in lists.fact_words["good"] if name != words["good"]], generator)
        template = int(generator.integers(len(lists.facts)))
        text, question = lists.facts[template]
        facts.append(Fact(text.format(**words), question.format(**words), template))
    return facts


def make_hay(count: int, generator: np.random.Generator) -> list[str]:
    """Make sentences that answer nothing; a few repeat among thousands."""
    lists = read_lists()
    made = []
    for _ in range(count):
        words = _draw_words(lists.hay_words, generator)
        words |= {f"other_{name}": _draw(lists.hay_words[name], generator) for name in ("plant", "landscape")}
        words["weather_first"] = words["weather"].capitalize()
        made.append(_draw(lists.hay, generator).format(**words))
    return made


def _draw_words(lists: Words, generator: np.random.Generator) -> dict[str, str]:
    """Draw one word of each list."""
    return {name: _draw(words, generator) for name, words in lists.items()}


def _draw(words: Sequence[str], generator: np.random.Generator) -> str:
    """Draw one of some words."""
    return words[int(generator.integers(len(words)))]


def _names(generator: np.random.Generator) -> Iterator[str]:
    """Yield names of two syllables or three, none twice."""
    seen: set[str] = set()
    starts, middles, ends = read_lists().syllables.values()
    while True:
        num_syllables = 2 if generator.random() < 0.5 else 3
        parts = [_draw(starts, generator) + _draw(middles, generator) for _ in range(num_syllables)]
        name = "".join([*parts, _draw(ends, generator)]).capitalize()
        if name not in seen:
            seen.add(name)
            yield name
