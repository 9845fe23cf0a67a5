"""Passages in rotated order: each stands first, in the middle and last in turn, and its questions are asked each time.

Of n passages n documents are made, which hold the same texts; over them every passage has been at every place once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.facts import make_facts
from slimvec.probes.position.evidence import Paragraphs
from slimvec.probes.protocol import ProbeConfig, embed
from slimvec.statistics.resampling import Values

NUM_PASSAGES = 3
_MOST_FACTS = 5
_FACT_WORDS = 20
"""Room for a fact, in words of prose: it has up to 15, and made names take more tokens than words that are known."""


@dataclass(frozen=True)
class Passage:
    """A text and what it answers."""

    text: str
    questions: tuple[str, ...]


def made_passages(count: int, most_words: float, generator: np.random.Generator) -> list[Passage]:
    """Make passages of five facts each, all of them asked for; of fewer where five are too long, but at least of one.

    Args:
        count: How many.
        most_words: Number of words of a passage, about.
        generator: Draws.
    """
    num_facts = max(1, min(_MOST_FACTS, int(most_words / _FACT_WORDS)))
    facts = make_facts(count * num_facts, generator)
    groups = [facts[start : start + num_facts] for start in range(0, len(facts), num_facts)]
    return [Passage(" ".join(f.text for f in group), tuple(f.question for f in group)) for group in groups]


def read_passages(part: Paragraphs, most_words: float, count: int, generator: np.random.Generator) -> list[Passage]:
    """Take paragraphs with their questions, of those that are short enough.

    Args:
        part: Paragraphs.
        most_words: Number of words of a paragraph.
        count: How many are wanted; there can be fewer.
        generator: Draws which.
    """
    asked: dict[int, list[str]] = {}
    for number, query in zip(part.right.tolist(), part.questions, strict=True):
        asked.setdefault(number, []).append(query.text)
    fitting = [n for n in asked if len(part.documents[n].content.split()) <= most_words]
    chosen = [fitting[n] for n in generator.permutation(len(fitting))[:count]]
    return [Passage(part.documents[n].content, tuple(asked[n])) for n in chosen]


def score_rotations(model: EvaluatedModel, passages: Sequence[Passage], config: ProbeConfig) -> Values:
    """Score sets of three passages.

    Args:
        model: Embeds.
        passages: Three a set; what is left over is not used.
        config: Its `on_progress` is called.

    Returns:
        [S, 3] mean cosine of the questions of a set with the documents in which their passage is first, second, last.
    """
    num_sets = len(passages) // NUM_PASSAGES
    sets = [passages[NUM_PASSAGES * s : NUM_PASSAGES * (s + 1)] for s in range(num_sets)]
    texts = [
        "\n\n".join(group[(shift + place) % NUM_PASSAGES].text for place in range(NUM_PASSAGES))
        for group in sets
        for shift in range(NUM_PASSAGES)
    ]
    questions = [question for group in sets for passage in group for question in passage.questions]
    documents = embed(model, texts, config, role="document", kind="Retrieval").reshape(num_sets, NUM_PASSAGES, -1)
    vectors = iter(embed(model, questions, config, role="query", kind="Retrieval"))
    scores = np.zeros((num_sets, NUM_PASSAGES))
    for s, group in enumerate(sets):
        cosines: list[list[float]] = [[] for _ in range(NUM_PASSAGES)]
        for number, passage in enumerate(group):
            for _ in passage.questions:
                vector = next(vectors)
                for shift in range(NUM_PASSAGES):
                    # In the document that begins with passage `shift`, passage `number` has this place.
                    cosines[(number - shift) % NUM_PASSAGES].append(float(vector @ documents[s, shift]))
        scores[s] = [np.mean(found) for found in cosines]
    return scores
