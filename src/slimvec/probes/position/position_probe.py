"""The probe of positions: is what stands in the middle and at the end of a text seen as well as what begins it?

Passages in rotated order: each stands first, in the middle and last in turn, and its questions are asked each time.

Of n passages n documents are made, which hold the same texts; over them every passage has been at every place once.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.documents import cut_sentences, gather_documents, tokens_a_word
from slimvec.probes.facts import make_facts
from slimvec.probes.position.evidence import Paragraphs, read_paragraphs, score_evidence
from slimvec.probes.position.needles import score_needles
from slimvec.probes.position.regression import measure_weights, shuffled_documents
from slimvec.probes.position.summary import Findings, summarise
from slimvec.probes.protocol import ProbeConfig, embed
from slimvec.probes.results import ProbeResult
from slimvec.statistics.resampling import Values

NUM_PASSAGES = 3
_MOST_FACTS = 5
_FACT_WORDS = 20
"""Room for a fact, in words of prose: it has up to 15, and made names take more tokens than words that are known."""
Bucket = tuple[int, int]
_ROOM = 0.9
"""Share of a model's limit that texts of an estimated length may fill."""
_USUAL_LIMIT = 512


@dataclass(frozen=True)
class Passage:
    """A text and what it answers."""

    text: str
    questions: tuple[str, ...]


def made_passages(count: int, most_words: float, generator: np.random.Generator) -> list[Passage]:
    """Make passages of five facts each, all of them asked for; of fewer where five are too long; at least of one."""
    num_facts = max(1, min(_MOST_FACTS, int(most_words / _FACT_WORDS)))
    facts = make_facts(count * num_facts, generator)
    groups = [facts[start : start + num_facts] for start in range(0, len(facts), num_facts)]
    return [Passage(" ".join(f.text for f in group), tuple(f.question for f in group)) for group in groups]


def read_passages(part: Paragraphs, most_words: float, count: int, generator: np.random.Generator) -> list[Passage]:
    """Draw paragraphs that are short enough, with their questions: as many as are wanted, or all there are."""
    asked: dict[int, list[str]] = {}
    for number, query in zip(part.right.tolist(), part.questions, strict=True):
        asked.setdefault(number, []).append(query.text)
    fitting = [n for n in asked if len(part.documents[n].content.split()) <= most_words]
    chosen = [fitting[n] for n in generator.permutation(len(fitting))[:count]]
    return [Passage(part.documents[n].content, tuple(asked[n])) for n in chosen]


def score_rotations(model: EvaluatedModel, passages: Sequence[Passage], config: ProbeConfig) -> Values:
    """Score sets of three passages; what is left over is not used.

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
    asked = [
        (s, number, question)
        for s, group in enumerate(sets)
        for number, passage in enumerate(group)
        for question in passage.questions
    ]
    documents = embed(model, texts, config, role="document", kind="Retrieval").reshape(num_sets, NUM_PASSAGES, -1)
    vectors = embed(model, [question for _, _, question in asked], config, role="query", kind="Retrieval")
    cosines: dict[tuple[int, int], list[float]] = defaultdict(list)
    for (s, number, _), vector in zip(asked, vectors, strict=True):
        for shift in range(NUM_PASSAGES):
            # In the document that begins with passage `shift`, passage `number` has this place.
            cosines[s, (number - shift) % NUM_PASSAGES].append(float(vector @ documents[s, shift]))
    return np.array([[np.mean(cosines[s, place]) for place in range(NUM_PASSAGES)] for s in range(num_sets)])


@dataclass(frozen=True)
class PositionProbe:
    """Where in a text a model looks.

    Attributes:
        languages: Languages of XQuAD, where it is at hand. Three whose words most tokenizers know; a language of
            unknown tokens measures the tokenizer.
        buckets: Lengths of documents in tokens, at least and less than; those beyond the model's limit are left out.
            Fewer of them, the first ones, where less than everything is drawn.
        num_paragraphs: Number of paragraphs of XQuAD, in each language; it has 240.
        num_documents: With needles, in each bucket.
        num_needles: In each of them.
        num_depths: Where a needle is put.
        num_sets: Number of sets of three passages that are rotated.
        num_regressed: Documents whose vectors are explained by their sentences', in each bucket.
    """

    languages: tuple[str, ...] = ("en", "de", "es")
    buckets: tuple[Bucket, ...] = ((64, 128), (128, 256), (256, 512))
    num_paragraphs: int = 240
    num_documents: int = 16
    num_needles: int = 2
    num_depths: int = 20
    num_sets: int = 40
    num_regressed: int = 60

    name: ClassVar[str] = "position"
    question: ClassVar[str] = "Does it matter where in a text the evidence stands?"

    def run(self, model: EvaluatedModel, config: ProbeConfig) -> ProbeResult:
        """Put the question to a model.

        Raises:
            InputError: an outside set that is there and malformed.
            CutOffError: the model cuts off every document, such as one of 64 tokens.
        """
        generator = np.random.default_rng(config.seed)
        buckets, num_regressed = self._buckets(model, config), config.count(self.num_regressed)
        each = self.num_documents + num_regressed  # none for two buckets
        longest = max(high for _, high in buckets)  # no tokenizer makes fewer tokens than words
        background = gather_documents(config, len(buckets) * each, longest, generator)
        a_word = tokens_a_word(model, background.documents[0])
        paragraphs = self._read_paragraphs(config)
        num_depths = max(3, round(self.num_depths * {"tiny": 0.3, "quick": 0.5, "full": 1.0}[config.amount]))
        needles, weights = [], []
        for number, bucket in enumerate(buckets):
            own = background.documents[number * each : (number + 1) * each]
            num_words = round(sum(bucket) / 2 / a_word)
            facts = make_facts(self.num_documents * self.num_needles, generator)
            hay, regressed = own[: self.num_documents], own[self.num_documents :]
            needles.append(score_needles(model, hay, facts, num_words=num_words, num_depths=num_depths, config=config))
            cut = [cut_sentences(sentences, num_words) for sentences in regressed]
            weights.append(measure_weights(model, shuffled_documents(cut, generator), config))
        passages, passages_from = self._passages(model, paragraphs, a_word, config, generator)
        findings = Findings(
            buckets=tuple(f"{low}-{high} tokens" for low, high in buckets),
            evidence=score_evidence(model, paragraphs, config) if paragraphs else None,
            needles=tuple(needles),
            weights=tuple(weights),
            rotations=score_rotations(model, passages, config),
            sources={"documents": background.source, "passages": passages_from},
        )
        return summarise(self, findings, config.seed)

    def _buckets(self, model: EvaluatedModel, config: ProbeConfig) -> tuple[Bucket, ...]:
        """Choose lengths that the model takes; of a model that takes none of them, the second half of what it does."""
        num = {"tiny": 1, "quick": 2, "full": len(self.buckets)}[config.amount]
        limit = model.card.max_tokens or max(high for _, high in self.buckets)
        fitting = tuple(bucket for bucket in self.buckets if bucket[1] <= limit)[:num]
        return fitting or ((limit // 2, limit),)

    def _read_paragraphs(self, config: ProbeConfig) -> list[Paragraphs]:
        """Read XQuAD where it is at hand; the first language alone where less than everything is drawn."""
        folder = config.folder("xquad")
        if folder is None:
            return []
        languages = self.languages if config.amount == "full" else self.languages[:1]
        return read_paragraphs(folder, languages, config.count(self.num_paragraphs))

    def _passages(
        self,
        model: EvaluatedModel,
        paragraphs: list[Paragraphs],
        a_word: float,
        config: ProbeConfig,
        generator: np.random.Generator,
    ) -> tuple[list[Passage], str]:
        """Give passages of which three fit the model's limit, real ones where there are enough that do."""
        count = NUM_PASSAGES * config.count(self.num_sets)
        most = _ROOM * (model.card.max_tokens or _USUAL_LIMIT) / NUM_PASSAGES / a_word
        if paragraphs:
            found = read_passages(paragraphs[0], most, count, generator)
            if len(found) >= NUM_PASSAGES * 8:
                return found, "xquad"
        return made_passages(count, most, generator), "made facts"
