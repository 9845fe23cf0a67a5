"""The probe of length: do long texts still differ, and is what they say still found?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slimvec.evaluation.intervals import Interval, bootstrap_intervals
from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.documents import gather_documents, tokens_a_word
from slimvec.probes.estimates import estimated, estimated_cell, estimated_curve
from slimvec.probes.facts import make_facts
from slimvec.probes.length.likeness import drawn_cosines, mean_cosine, word_counts
from slimvec.probes.length.needles import LengthScores, score_lengths
from slimvec.probes.position.ranks import DEPTH
from slimvec.probes.probe import Setting, skipped
from slimvec.probes.readings import Curve, Measure, Plot, Reading, Table

Values = NDArray[np.float64]

DEFINITION = (
    "Ten documents of different content are cut to 32, 64, 128, ... tokens, up to max_tokens and what the model takes. "
    "Likeness: mean cosine of two of them; as bags of words (cosine of word counts) the same texts are as alike as the "
    "baseline says. Needle: two made facts are put into each document at a depth drawn once, documents and needle "
    "together being as long as is said; nDCG@10 of a fact's question among all documents with needles of that length, "
    "and the gain in cosine over the document without it. Bootstrap over documents."
)
SOURCES = (
    "Needle in a haystack, on embeddings, and collapse of long texts: as published (docs/probes.md)",
    "YaRN: arXiv 2309.00071",
)
REMEDIES = (
    "stretch rotary positions: slimvec adjust --rope sweep, or --rope yarn:4",
    "embed long texts in windows: Embedder.embed_long, Embedder.embed_chunks",
)
_SHORTEST = 32


@dataclass(frozen=True)
class LengthProbe:
    """How a model bears long texts.

    Attributes:
        max_tokens: Longest document where the setting asks for none; up to 32,768 make sense. At most 1,024 are
            embedded for `quick` and 256 for `tiny`, whatever is asked for.
        num_documents: Of different content.
        num_needles: In each of them.
    """

    max_tokens: int = 4096
    num_documents: int = 10
    num_needles: int = 2

    name: ClassVar[str] = "length"
    question: ClassVar[str] = "Do long texts still differ, and is what they say still found?"

    def run(self, model: EvaluatedModel, setting: Setting) -> Reading:
        """Put the question to a model.

        Raises:
            InputError: an outside set that is there and malformed.
        """
        lengths = self.lengths(model, setting)
        if len(lengths) < 2:
            return skipped(self, f"a model of {model.card.max_tokens} tokens has no two lengths to compare")
        generator = np.random.default_rng(setting.seed)
        num_documents = setting.count(self.num_documents)
        hay = gather_documents(setting, num_documents, lengths[-1], generator)
        scores = score_lengths(
            model,
            hay.documents,
            make_facts(num_documents * self.num_needles, generator),
            lengths,
            a_word=tokens_a_word(model, hay.documents[0]),
            generator=generator,
            setting=setting,
        )
        return _summarise(self, lengths, scores, hay.source, setting.seed)

    def lengths(self, model: EvaluatedModel, setting: Setting) -> list[int]:
        """Give the lengths in tokens: doubling, and the longest that the model takes and the amount allows."""
        asked = setting.max_tokens or self.max_tokens
        most = min({"tiny": 256, "quick": 1024, "full": asked}[setting.amount], asked, model.card.max_tokens or asked)
        found = [_SHORTEST]
        while found[-1] * 2 < most:
            found.append(found[-1] * 2)
        return [*found, most] if most > found[-1] else found


def _summarise(probe: LengthProbe, lengths: list[int], scores: LengthScores, source: str, seed: int) -> Reading:
    """Put the reading together."""
    likeness = [mean_cosine(vectors, seed=seed) for vectors in scores.bare]
    words = [word_counts(texts) for texts in scores.texts]
    floors = [mean_cosine(counts, seed=seed) for counts in words]
    by_document = scores.ndcg.mean(axis=2)
    needles = bootstrap_intervals(by_document.T, seed=seed)
    gains = bootstrap_intervals(scores.gains.mean(axis=2).T, seed=seed)
    fall = bootstrap_intervals((by_document[-1] - by_document[0])[:, None], seed=seed)[0]
    growth, floor = _growth(scores.bare, seed), floors[-1].value - floors[0].value
    excess = _excess(scores.bare, words, seed)
    chance = _chance(scores.ndcg[0].size)
    num = by_document.shape[1]
    measures = (
        estimated(
            "needle/longest",
            needles[-1],
            "score",
            baseline=chance,
            baseline_name="chance",
            num_items=num,
            higher_is_better=True,
        ),
        estimated(
            "needle/longest less shortest",
            fall,
            "score",
            baseline=0.0,
            baseline_name="equal at all lengths",
            num_items=num,
            higher_is_better=True,
        ),
        estimated(
            "likeness/longest",
            likeness[-1],
            "cosine",
            baseline=floors[-1].value,
            baseline_name="bag of words",
            num_items=num,
            higher_is_better=False,
        ),
        estimated(
            "likeness/longest less shortest",
            growth,
            "cosine",
            baseline=floor,
            baseline_name="bag of words",
            num_items=num,
            higher_is_better=False,
        ),
        Measure(
            name="reach",
            value=_reach(lengths, needles, chance),
            unit="tokens",
            num_items=num,
            higher_is_better=True,
        ),
    )
    return Reading(
        probe=probe.name,
        question=probe.question,
        definition=DEFINITION,
        sources=SOURCES,
        answer=_answer(lengths, needles, fall, growth, floor, excess),
        measures=measures,
        tables=(_table(lengths, scores, likeness, floors, needles, gains),),
        plots=_plots(scores.tokens, likeness, floors, needles, chance),
        remedies=REMEDIES,
        details={"documents": source, "longest": lengths[-1]},
    )


def _growth(vectors: Sequence[Values], seed: int) -> Interval:
    """Likeness at the longest less that at the shortest length, with its interval over the same draws of documents."""
    return _spread(vectors, _grown(vectors, seed))


def _excess(vectors: Sequence[Values], words: Sequence[Values], seed: int) -> Interval:
    """What likeness grows by beyond that of the words, with its interval over the same draws of documents."""
    found, floor = (_spread(part, _grown(part, seed)).value for part in (vectors, words))
    low, high = np.quantile(_grown(vectors, seed) - _grown(words, seed), [0.025, 0.975])
    return Interval(found - floor, float(low), float(high))


def _grown(vectors: Sequence[Values], seed: int) -> Values:
    """Likeness at the longest less that at the shortest length in each draw."""
    return drawn_cosines(vectors[-1], seed=seed) - drawn_cosines(vectors[0], seed=seed)


def _spread(vectors: Sequence[Values], drawn: Values) -> Interval:
    """Put the growth and the ends of its draws together."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = mean_cosine(vectors[-1], seed=0).value - mean_cosine(vectors[0], seed=0).value
    return Interval(value, float(low), float(high))


def _chance(num_candidates: int) -> float:
    """Mean nDCG@10 of an order by chance."""
    ranks = np.arange(1, min(DEPTH, num_candidates) + 1)
    return float((1 / np.log2(1 + ranks)).sum() / num_candidates)


def _reach(lengths: list[int], needles: list[Interval], chance: float) -> float:
    """Longest length up to which needles keep half of what they are above chance at the shortest; 0 for none above."""
    least = chance + (needles[0].value - chance) / 2
    reach = 0
    for length, found in zip(lengths, needles, strict=True):
        if found.value < least or found.value <= chance:
            break
        reach = length
    return float(reach)


def _answer(
    lengths: list[int], needles: list[Interval], fall: Interval, growth: Interval, floor: float, excess: Interval
) -> str:
    """Say what came out."""
    same = fall.low <= 0 <= fall.high
    change = "not distinguishable from no change" if same else f"{fall.value:+.3f} [{fall.low:+.3f}, {fall.high:+.3f}]"
    if excess.low <= 0 <= excess.high:
        verdict = "not distinguishable from what their words do"
    else:
        verdict = "more than their words do" if excess.value > 0 else "less than their words do"
    return (
        f"From {lengths[0]:,} to {lengths[-1]:,} tokens nDCG@10 of a needle goes from {needles[0].value:.3f} to "
        f"{needles[-1].value:.3f} ({change}). Unrelated texts become more alike by {growth.value:+.3f} "
        f"[{growth.low:+.3f}, {growth.high:+.3f}], {verdict} ({floor:+.3f})."
    )


def _table(
    lengths: list[int],
    scores: LengthScores,
    likeness: list[Interval],
    floors: list[Interval],
    needles: list[Interval],
    gains: list[Interval],
) -> Table:
    """Lay everything out by length."""
    rows = tuple(
        (
            f"{length:,}",
            f"{scores.tokens[number]:,.0f}",
            estimated_cell(needles[number]),
            estimated_cell(gains[number]),
            estimated_cell(likeness[number]),
            f"{floors[number].value:.3f}",
            "unknown" if np.isnan(scores.truncated[number]) else f"{scores.truncated[number]:.0%}",
        )
        for number, length in enumerate(lengths)
    )
    header = ("at most", "tokens", "needle nDCG@10", "gain in cosine", "likeness", "as bags of words", "cut off")
    return Table(title="Needles and likeness by length", header=header, rows=rows)


def _plots(
    tokens: Values, likeness: list[Interval], floors: list[Interval], needles: list[Interval], chance: float
) -> tuple[Plot, ...]:
    """Draw both over length."""
    ends = (float(tokens[0]), float(tokens[-1]))
    by_chance = Curve(label="chance", xs=ends, ys=(chance, chance), baseline=True)
    words = Curve(label="bag of words", xs=tuple(tokens.tolist()), ys=tuple(f.value for f in floors), baseline=True)
    found = (
        estimated_curve("needle", tokens.tolist(), needles),
        estimated_curve("unrelated texts", tokens.tolist(), likeness),
    )
    return (
        Plot(
            title="A needle by the length of the text",
            x_label="tokens",
            y_label="nDCG@10",
            curves=(found[0], by_chance),
            x_log=True,
        ),
        Plot(
            title="Likeness of unrelated texts by length",
            x_label="tokens",
            y_label="cosine",
            curves=(found[1], words),
            x_log=True,
        ),
    )
