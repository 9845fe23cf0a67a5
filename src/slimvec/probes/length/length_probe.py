"""The probe of length: do long texts still differ, and is what they say still found?

A needle by the length of what it is in: documents that only grow, the same needles in them, at places drawn once. Long
texts of one language share more words than short ones, so some of the growth of their likeness is honest: how alike the
same texts are as bags of words is the floor to hold it against.

Letters: B documents, K needles each, L lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.documents import count_tokens, cut_sentences, embed_documents, gather_documents, tokens_a_word
from slimvec.probes.facts import make_facts
from slimvec.probes.geometry.spread import mean_cosine
from slimvec.probes.order.bags import word_counts
from slimvec.probes.position.needles import insert
from slimvec.probes.protocol import ProbeConfig, answered, embed, skipped
from slimvec.probes.results import Figure, ProbeResult, curve, lay_out
from slimvec.ranking.metrics import DEPTH, single_ndcg
from slimvec.reports.parts import Plot
from slimvec.statistics.intervals import Interval, bootstrap_intervals
from slimvec.statistics.pairs import pair_interval
from slimvec.statistics.resampling import Values

_ROOM = 0.92
"""Share of a length that is filled: how many tokens a sentence has is an estimate, and the limit is none."""
NEEDLE = Figure("needle/longest", "score", True, "chance")
FALL = Figure("needle/longest less shortest", "score", True, "equal at all lengths")
LIKENESS = Figure("likeness/longest", "cosine", False, "bag of words")
GROWTH = Figure("likeness/longest less shortest", "cosine", False, "bag of words")
REACH = Figure("reach", "tokens", True)
_SHORTEST = 32


@dataclass(frozen=True, eq=False)
class LengthScores:
    """Scores of needles in documents of one length.

    Attributes:
        tokens: Mean tokens of a document with its needle, prompt included.
        ndcg: [B, K] nDCG@10 of the right document among all B x K of its length.
        gains: [B, K] cosine of the needle's question with its document, less that with the document without it.
        bare: [B, D] vectors of the documents without needles, unit length.
        texts: B documents without needles.
        truncated: Share of documents that were truncated, as it is shown.
        source: Where the documents are from.
    """

    tokens: float
    ndcg: Values
    gains: Values
    bare: Values
    texts: tuple[str, ...]
    truncated: str
    source: str


def score_lengths(
    model: EvaluatedModel, lengths: Sequence[int], config: ProbeConfig, *, num_documents: int, num_needles: int
) -> list[LengthScores]:
    """Score needles in documents of several lengths; documents, needles and depths are the same at all lengths.

    Args:
        model: Embeds.
        lengths: L lengths in tokens, rising.
        config: Its data may have `longdocs`; its seed draws.
        num_documents: B at full amount.
        num_needles: K.

    Raises:
        InputError: `longdocs` is there and malformed.
    """
    generator = np.random.default_rng(config.seed)
    gathered = gather_documents(config, config.count(num_documents), lengths[-1], generator)
    documents = gathered.documents
    facts = make_facts(len(documents) * num_needles, generator)
    a_word = tokens_a_word(model, documents[0])
    owners = np.repeat(np.arange(len(documents)), num_needles)
    depths = generator.random(len(facts))
    questions = embed(model, [fact.question for fact in facts], config, role="query", kind="Retrieval")
    needle_tokens = a_word * max(len(fact.text.split()) for fact in facts)
    found = []
    for length in lengths:
        num_words = round((_ROOM * length - needle_tokens) / a_word)
        background = [cut_sentences(sentences, max(1, num_words)) for sentences in documents]
        texts = tuple(" ".join(sentences) for sentences in background)
        filled = [insert(background[b], fact.text, d) for b, fact, d in zip(owners, facts, depths, strict=True)]
        bare, full = (embed_documents(model, each, config) for each in (texts, filled))
        gains = (questions * full.vectors).sum(axis=1) - (questions * bare.vectors[owners]).sum(axis=1)
        known = (full.truncated >= 0).all()
        found.append(
            LengthScores(
                tokens=float(count_tokens(full, filled).mean()),
                ndcg=single_ndcg(questions @ full.vectors.T, np.arange(len(facts))).reshape(len(documents), -1),
                gains=gains.astype(np.float64).reshape(len(documents), -1),
                bare=bare.vectors.astype(np.float64),
                texts=texts,
                truncated=f"{(full.truncated == 1).mean():.0%}" if known else "unknown",
                source=gathered.source,
            )
        )
    return found


def _reach(lengths: Sequence[int], needles: Sequence[Interval], chance: float) -> int:
    """Longest length up to which needles keep half of what they are above chance at the shortest; 0 for none."""
    least = chance + (needles[0].value - chance) / 2
    reach = 0
    for length, found in zip(lengths, needles, strict=True):
        if found.value < least or found.value <= chance:
            break
        reach = length
    return reach


def _chance(num_candidates: int) -> float:
    """Mean nDCG@10 of an order by chance."""
    ranks = np.arange(1, min(DEPTH, num_candidates) + 1)
    return float((1 / np.log2(1 + ranks)).sum() / num_candidates)


def _compared(excess: Interval) -> str:
    if not excess.is_apart:
        return "not distinguishable from what their words do"
    return "more than their words do" if excess.value > 0 else "less than their words do"


@dataclass(frozen=True)
class LengthProbe:
    """How a model bears long texts.

    Attributes:
        max_tokens: Longest document where the setting asks for none; up to 32,768 make sense. At most 1,024 are
            embedded for `quick` and 256 for `tiny`, whatever is asked for.
        num_documents: Number of documents of different content.
        num_needles: In each of them.
    """

    max_tokens: int = 4096
    num_documents: int = 10
    num_needles: int = 2

    name: ClassVar[str] = "length"
    question: ClassVar[str] = "Do long texts still differ, and is what they say still found?"

    def run(self, model: EvaluatedModel, config: ProbeConfig) -> ProbeResult:
        """Put the question to a model.

        Raises:
            InputError: an outside set that is there and malformed.
        """
        lengths = self.lengths(model, config)
        if len(lengths) < 2:
            return skipped(self, f"a model of {model.card.max_tokens} tokens has no two lengths to compare")
        settings = {"num_documents": self.num_documents, "num_needles": self.num_needles}
        return self._result(lengths, score_lengths(model, lengths, config, **settings), seed=config.seed)

    def _result(self, lengths: Sequence[int], scores: Sequence[LengthScores], *, seed: int) -> ProbeResult:
        """Say what came out at each length, from the shortest to the longest."""
        words, tokens = [word_counts(one.texts) for one in scores], [one.tokens for one in scores]
        by_document = np.array([one.ndcg.mean(axis=1) for one in scores]).T
        needles = bootstrap_intervals(by_document, seed=seed)
        gains = bootstrap_intervals(np.array([one.gains.mean(axis=1) for one in scores]).T, seed=seed)
        likeness = [mean_cosine(one.bare, seed=seed) for one in scores]
        floors = [mean_cosine(counts, seed=seed).value for counts in words]
        fall = bootstrap_intervals((by_document[:, -1] - by_document[:, 0])[:, None], seed=seed)[0]
        change = f"{fall:+.3f}" if fall.is_apart else "not distinguishable from no change"
        grids = [found @ found.T for found in (scores[-1].bare, scores[0].bare, words[-1], words[0])]
        growth = pair_interval(grids[:2], lambda last, first: last - first, seed=seed)
        excess = pair_interval(grids, lambda *means: (means[0] - means[1]) - (means[2] - means[3]), seed=seed)
        floor, chance, num_documents = floors[-1] - floors[0], _chance(scores[0].ndcg.size), len(by_document)
        return answered(
            self,
            (
                f"From {lengths[0]:,} to {lengths[-1]:,} tokens nDCG@10 of a needle goes from {needles[0].value:.3f} "
                f"to {needles[-1].value:.3f} ({change}). Unrelated texts become more alike by {growth:+.3f}, "
                f"{_compared(excess)} ({floor:+.3f})."
            ),
            (
                NEEDLE.metric(needles[-1], num_documents, baseline=chance),
                FALL.metric(fall, num_documents, baseline=0.0),
                LIKENESS.metric(likeness[-1], num_documents, baseline=floors[-1]),
                GROWTH.metric(growth, num_documents, baseline=floor),
                REACH.metric(float(_reach(lengths, needles, chance)), num_documents),
            ),
            tables=[
                lay_out(
                    "Needles and likeness by length",
                    "at most | tokens | needle nDCG@10 | gain in cosine | likeness | as bags of words | truncated",
                    "{0:,} | {1:,.0f} | {2:.3f} | {3:.3f} | {4:.3f} | {5:.3f} | {6}",
                    zip(lengths, tokens, needles, gains, likeness, floors, (s.truncated for s in scores), strict=True),
                )
            ],
            plots=[
                Plot(
                    title="A needle by the length of the text",
                    x_label="tokens",
                    y_label="nDCG@10",
                    curves=(
                        curve("needle", needles, tokens),
                        curve("chance", [chance, chance], (tokens[0], tokens[-1]), baseline=True),
                    ),
                    x_log=True,
                ),
                Plot(
                    title="Likeness of unrelated texts by length",
                    x_label="tokens",
                    y_label="cosine",
                    curves=(
                        curve("unrelated texts", likeness, tokens),
                        curve("bag of words", floors, tokens, baseline=True),
                    ),
                    x_log=True,
                ),
            ],
            details={"documents": scores[0].source, "longest": lengths[-1]},
            num=num_documents,
        )

    def lengths(self, model: EvaluatedModel, config: ProbeConfig) -> list[int]:
        """Give the lengths in tokens: doubling, and the longest that the model takes and the amount allows."""
        asked = config.max_tokens or self.max_tokens
        most = min({"tiny": 256, "quick": 1024, "full": asked}[config.amount], asked, model.card.max_tokens or asked)
        found = [_SHORTEST]
        while found[-1] * 2 < most:
            found.append(found[-1] * 2)
        return [*found, most] if most > found[-1] else found
