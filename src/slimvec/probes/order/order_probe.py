"""The word order probe: what is asked, and of whom; `slimvec.probes.order.order_result` says what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slimvec.data.templates import KINDS
from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.order.bags import bag_cosines
from slimvec.probes.order.explained import explain, words_of
from slimvec.probes.order.findings import Findings, Separation, make_cells
from slimvec.probes.order.items import (
    LANGUAGES,
    Item,
    bears_shuffling,
    distinct_texts,
    plain_items,
    shuffled_items,
    template_items,
)
from slimvec.probes.order.order_result import make_result
from slimvec.probes.order.outside import NUM_EACH, Pair, outside_items, outside_pairs, plain_sentences, symmetric_pairs
from slimvec.probes.protocol import SHARES, ProbeConfig, embed
from slimvec.probes.registry import PROBES
from slimvec.probes.results import ProbeResult
from slimvec.statistics.estimates import estimate_separation
from slimvec.statistics.resampling import Values, draw_clusters


@dataclass(frozen=True)
class Questions:
    """What a model is asked.

    Attributes:
        items: Items of templates first, then of outside sets.
        plain: Items without a paraphrase.
        pairs: That say the same or not: of symmetric and directed verbs first, then of outside sets.
        explained: Items whose variance is explained.
    """

    items: tuple[Item, ...]
    plain: tuple[Item, ...]
    pairs: tuple[Pair, ...]
    explained: tuple[Item, ...]

    def texts(self) -> list[str]:
        """Give all that has to be embedded, each text and each single word once."""
        items = distinct_texts([*self.items, *self.plain])
        pairs = [text for pair in self.pairs for text in (pair.first, pair.second)]
        return list(dict.fromkeys([*items, *pairs, *words_of(distinct_texts(self.explained))]))


@dataclass(frozen=True)
class OrderProbe:
    """Asks whether a paraphrase is nearer to a sentence than the sentence's own words in another order.

    Attributes:
        languages: Languages of the templates; the first one has the most items, and is the one whose variance is
            explained.
        num_first: Items of each kind in the first language, at full amount: an interval of about 12 points in a cell
            of one half, if items were independent.
        num_other: In each further language.
    """

    languages: tuple[str, ...] = LANGUAGES
    num_first: int = 60
    num_other: int = 24

    name: ClassVar[str] = "order"
    question: ClassVar[str] = "Does it tell a sentence from the same words in another order?"

    def run(self, model: EvaluatedModel, config: ProbeConfig) -> ProbeResult:
        """Ask a model.

        Raises:
            InputError: a language without templates, or an outside set that is malformed.
        """
        asked = self.questions(config)
        texts = asked.texts()
        vectors = dict(zip(texts, embed(model, texts, config), strict=True))

        def compare(first: Sequence[str], second: Sequence[str]) -> Values:
            rows = (np.array([vectors[text] for text in side], dtype=np.float64) for side in (first, second))
            return np.asarray(np.einsum("nd,nd->n", *rows))

        return make_result(
            self,
            Findings(
                cells=tuple(make_cells(asked.items, compare, seed=config.seed)),
                plain=tuple(make_cells(asked.plain, compare, seed=config.seed)),
                separations=_separate(asked.pairs, vectors, seed=config.seed),
                explained=explain(
                    asked.explained,
                    vectors,
                    draw_clusters([item.cluster for item in asked.explained], np.random.default_rng(config.seed)),
                    seed=config.seed,
                ),
                missing=tuple(name for name in PROBES[self.name].sets if config.folder(name) is None),
            ),
        )

    def questions(self, config: ProbeConfig) -> Questions:
        """Draw what is asked. Errors as for `run`."""
        made: list[Item] = []
        for language in self.languages:
            count = config.count(self.num_first if language == self.languages[0] else self.num_other)
            filled = template_items(language, count, seed=config.seed)
            made += [*filled, *shuffled_items(filled, count, seed=config.seed)]
        plain = plain_sentences(config)
        shuffled = plain_items("sib200", plain, seed=config.seed) if plain else _own_plain(made, config.seed)
        num_names = max(2, round(NUM_EACH * SHARES[config.amount]))
        spoken = self.languages[:1] if config.amount == "tiny" else self.languages
        exchanged = symmetric_pairs(spoken, num_names, seed=config.seed)
        explained = [item for item in made if item.language == self.languages[0] and item.kind in KINDS]
        return Questions(
            items=(*made, *outside_items(config)),
            plain=tuple(shuffled),
            pairs=(*exchanged, *outside_pairs(config)),
            explained=tuple(explained),
        )


def _own_plain(items: Sequence[Item], seed: int) -> list[Item]:
    """Make items without a paraphrase of the templates' sentences, one of each template."""
    first = {item.cluster: item for item in items if bears_shuffling(item.anchor)}
    return plain_items("templates", [(item.language, item.anchor) for item in first.values()], seed=seed)


def _separate(pairs: Sequence[Pair], vectors: Mapping[str, Values], *, seed: int) -> tuple[Separation, ...]:
    """Say how well cosines tell pairs that say the same from others, by where they are from and language."""
    found = []
    for group, language in dict.fromkeys((pair.group, pair.language) for pair in pairs):
        own = [pair for pair in pairs if (pair.group, pair.language) == (group, language)]
        first, second = [pair.first for pair in own], [pair.second for pair in own]
        labels = np.array([float(pair.same) for pair in own])
        if len(set(labels.tolist())) < 2:
            continue
        scores = np.array([float(vectors[one] @ vectors[two]) for one, two in zip(first, second, strict=True)])
        counts = draw_clusters([pair.cluster for pair in own], np.random.default_rng(seed))
        bag = estimate_separation(bag_cosines(first, second), labels, counts)
        found.append(Separation(group, language, estimate_separation(scores, labels, counts), bag.value))
    return tuple(found)
