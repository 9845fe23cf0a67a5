"""The probe of length: do long texts still differ, and is what they say still found?

A needle by the length of what it is in: documents that only grow, the same needles in them, at places drawn once. Long
texts of one language share more words than short ones, so some of the growth of their likeness is honest: how alike the
same texts are as bags of words is the floor to hold it against.

Letters: B documents, K needles each, L lengths.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.documents import count_tokens, cut_sentences, embed_documents, gather_documents, tokens_a_word
from slimvec.probes.facts import make_facts
from slimvec.probes.geometry.spread import mean_cosine
from slimvec.probes.order.bags import word_counts
from slimvec.probes.position.needles import insert
from slimvec.probes.protocol import Probe, ProbeConfig, answered, embed, skipped
from slimvec.probes.results import Figure, ProbeResult, curve, lay_out
from slimvec.ranking.metrics import DEPTH, single_ndcg
from slimvec.reports.parts import Plot
from slimvec.statistics.intervals import Interval, bootstrap_intervals, percentile_interval
from slimvec.statistics.pairs import drawn_pair_means, pair_mean
from slimvec.statistics.resampling import Values
from slimvec.text.embeddings import Embeddings

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
    """Scores of needles by length.

    Attributes:
        tokens: [L] mean tokens of a document, prompt included.
        ndcg: [L, B, K] nDCG@10 of the right document among all B x K of its length.
        gains: [L, B, K] cosine of the needle's question with its document, less that with the document without it.
        bare: L times [B, D] vectors of the documents without needles, unit length.
        texts: L times B documents without needles.
        truncated: [L] share of documents that were truncated; NaN where nobody knows.
        source: Where the documents are from.
    """

    tokens: Values
    ndcg: Values
    gains: Values
    bare: tuple[Values, ...]
    texts: tuple[tuple[str, ...], ...]
    truncated: Values
    source: str


def score_lengths(
    model: EvaluatedModel, lengths: Sequence[int], config: ProbeConfig, *, num_documents: int, num_needles: int
) -> LengthScores:
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
    rows = []
    for length in lengths:
        num_words = round((_ROOM * length - needle_tokens) / a_word)
        background = [cut_sentences(sentences, max(1, num_words)) for sentences in documents]
        texts = tuple(" ".join(sentences) for sentences in background)
        filled = [insert(background[b], fact.text, d) for b, fact, d in zip(owners, facts, depths, strict=True)]
        bare = embed_documents(model, texts, config).vectors
        found = embed_documents(model, filled, config)
        full = found.vectors
        ndcg = single_ndcg(questions @ full.T, np.arange(len(facts)))
        gains = (questions * full).sum(axis=1) - (questions * bare[owners]).sum(axis=1)
        rows.append((count_tokens(found, filled).mean(), ndcg, gains, bare, texts, _share_cut(found)))
    tokens, ndcgs, all_gains, bares, all_texts, truncated = zip(*rows, strict=True)
    shape = (len(lengths), len(documents), -1)
    return LengthScores(
        tokens=np.array(tokens),
        ndcg=np.array(ndcgs).reshape(shape),
        gains=np.array(all_gains, dtype=np.float64).reshape(shape),
        bare=tuple(vectors.astype(np.float64) for vectors in bares),
        texts=all_texts,
        truncated=np.array(truncated),
        source=gathered.source,
    )


def _share_cut(found: Embeddings) -> float:
    """Share of texts that were truncated; NaN where nobody knows."""
    return float((found.truncated == 1).mean()) if (found.truncated >= 0).all() else float("nan")


def summarise(probe: Probe, lengths: Sequence[int], scores: LengthScores, *, seed: int) -> ProbeResult:
    """Put the result together.

    Args:
        probe: Which one.
        lengths: L lengths in tokens, at most, from the shortest to the longest.
        scores: What came out at each.
        seed: Random seed for the bootstraps.
    """
    words, by_document = [word_counts(texts) for texts in scores.texts], scores.ndcg.mean(axis=2)
    needles = bootstrap_intervals(by_document.T, seed=seed)
    gains = bootstrap_intervals(scores.gains.mean(axis=2).T, seed=seed)
    likeness = [mean_cosine(vectors, seed=seed) for vectors in scores.bare]
    floors = [mean_cosine(counts, seed=seed).value for counts in words]
    fall = bootstrap_intervals((by_document[-1] - by_document[0])[:, None], seed=seed)[0]
    (grown, drawn), (said, drawn_said) = _growth(scores.bare, seed), _growth(words, seed)
    growth, excess = percentile_interval(grown, drawn), percentile_interval(grown - said, drawn - drawn_said)
    floor = floors[-1] - floors[0]
    chance, num_documents = _chance(scores.ndcg[0].size), by_document.shape[1]
    truncated = ["unknown" if np.isnan(share) else f"{share:.0%}" for share in scores.truncated]
    return answered(
        probe,
        (
            f"From {lengths[0]:,} to {lengths[-1]:,} tokens nDCG@10 of a needle goes from {needles[0].value:.3f} to "
            f"{needles[-1].value:.3f} ({_change(fall)}). Unrelated texts become more alike by {growth:+.3f}, "
            f"{_compared(excess)} ({floor:+.3f})."
        ),
        (
            NEEDLE.metric(needles[-1], num_documents, baseline=chance),
            FALL.metric(fall, num_documents, baseline=0.0),
            LIKENESS.metric(likeness[-1], num_documents, baseline=floors[-1]),
            GROWTH.metric(growth, num_documents, baseline=floor),
            REACH.metric(float(_reach(lengths, needles, chance)), num_documents),
        ),
        tables=(
            lay_out(
                "Needles and likeness by length",
                "at most | tokens | needle nDCG@10 | gain in cosine | likeness | as bags of words | truncated",
                "{0:,} | {1:,.0f} | {2:.3f} | {3:.3f} | {4:.3f} | {5:.3f} | {6}",
                zip(lengths, scores.tokens, needles, gains, likeness, floors, truncated, strict=True),
            ),
        ),
        plots=_plots(scores.tokens, needles, chance, likeness, floors),
        details={"documents": scores.source, "longest": lengths[-1]},
        num=num_documents,
    )


def _plots(
    tokens: Values, needles: Sequence[Interval], chance: float, likeness: Sequence[Interval], floors: Sequence[float]
) -> Iterable[Plot]:
    """Draw both over length."""
    yield Plot(
        title="A needle by the length of the text",
        x_label="tokens",
        y_label="nDCG@10",
        curves=(
            curve("needle", needles, tokens),
            curve("chance", [chance, chance], (tokens[0], tokens[-1]), baseline=True),
        ),
        x_log=True,
    )
    yield Plot(
        title="Likeness of unrelated texts by length",
        x_label="tokens",
        y_label="cosine",
        curves=(curve("unrelated texts", likeness, tokens), curve("bag of words", floors, tokens, baseline=True)),
        x_log=True,
    )


def _reach(lengths: Sequence[int], needles: Sequence[Interval], chance: float) -> int:
    """Longest length up to which needles keep half of what they are above chance at the shortest; 0 for none."""
    least = chance + (needles[0].value - chance) / 2
    reach = 0
    for length, found in zip(lengths, needles, strict=True):
        if found.value < least or found.value <= chance:
            break
        reach = length
    return reach


def _growth(vectors: Sequence[Values], seed: int) -> tuple[float, Values]:
    """Likeness at the longest less that at the shortest length, and the same in each draw of documents: [R]."""
    longest, shortest = (part @ part.T for part in (vectors[-1], vectors[0]))
    drawn = drawn_pair_means(longest, seed=seed) - drawn_pair_means(shortest, seed=seed)
    return pair_mean(longest) - pair_mean(shortest), drawn


def _chance(num_candidates: int) -> float:
    """Mean nDCG@10 of an order by chance."""
    ranks = np.arange(1, min(DEPTH, num_candidates) + 1)
    return float((1 / np.log2(1 + ranks)).sum() / num_candidates)


def _change(fall: Interval) -> str:
    return "not distinguishable from no change" if fall.low <= 0 <= fall.high else f"{fall:+.3f}"


def _compared(excess: Interval) -> str:
    if excess.low <= 0 <= excess.high:
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
        scores = score_lengths(model, lengths, config, num_documents=self.num_documents, num_needles=self.num_needles)
        return summarise(self, lengths, scores, seed=config.seed)

    def lengths(self, model: EvaluatedModel, config: ProbeConfig) -> list[int]:
        """Give the lengths in tokens: doubling, and the longest that the model takes and the amount allows."""
        asked = config.max_tokens or self.max_tokens
        most = min({"tiny": 256, "quick": 1024, "full": asked}[config.amount], asked, model.card.max_tokens or asked)
        found = [_SHORTEST]
        while found[-1] * 2 < most:
            found.append(found[-1] * 2)
        return [*found, most] if most > found[-1] else found
