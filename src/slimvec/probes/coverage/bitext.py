"""Whether a model finds a sentence's English counterpart, by language, and how that goes with its tokens.

Names and numbers are the same in many languages, and more so in those that a tokenizer reads well: BM25 over the shared
words is the floor of both, of the accuracy and of its relation to the tokens.

Letters: Q sentences looked for in each language, L languages beside English, C English sentences to find them among.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.coverage.counting import (
    COVERAGE,
    ENGLISH,
    FERTILITY,
    PIECES,
    Measured,
    ParallelSentences,
    Ratio,
)
from slimvec.probes.protocol import Probe, ProbeConfig, answered, embed
from slimvec.probes.results import Figure, Metric, ProbeResult, curve
from slimvec.ranking.bm25 import lexical_words, rank_lexically
from slimvec.reports.parts import Plot
from slimvec.statistics.intervals import Interval, bootstrap_intervals
from slimvec.statistics.jackknife import spearman_values
from slimvec.statistics.resampling import Numbers, Values

RELATED = (FERTILITY, PIECES, COVERAGE)
RELATION = "rank correlation with bitext accuracy"
WORDS = "shared words, BM25"
ACCURACY = Figure("bitext accuracy", "share", True, WORDS)
_MIN_LANGUAGES = 4


@dataclass(frozen=True, eq=False)
class Bitext:
    """How a model did.

    Attributes:
        languages: Codes of the L languages.
        found: [Q, L], 1 where the nearest English sentence is the counterpart.
        by_words: [Q, L], 1 where BM25 ranks the counterpart first; chance, 1 / C, where no word is shared.
        num_candidates: C.
    """

    languages: tuple[str, ...]
    found: Values
    by_words: Values
    num_candidates: int


def find_counterparts(
    model: EvaluatedModel, sentences: ParallelSentences, config: ProbeConfig, *, num_queries: int
) -> Bitext:
    """Look for the English counterparts of the first Q sentences of each language, by the cosine of their vectors.

    All English sentences are candidates.
    """
    languages = sentences.others
    candidates = sentences.texts[ENGLISH]
    looked_for = [text for language in languages for text in sentences.texts[language][:num_queries]]
    english = embed(model, candidates, config, kind="BitextMining")
    vectors = embed(model, looked_for, config, kind="BitextMining")
    right = np.tile(np.arange(num_queries), len(languages))
    found = ((vectors @ english.T).argmax(axis=1) == right).astype(np.float64)
    shape = (len(languages), num_queries)
    by_words = _found_by_words(looked_for, candidates, right)
    return Bitext(languages, found.reshape(shape).T, by_words.reshape(shape).T, len(candidates))


def _found_by_words(looked_for: Sequence[str], candidates: Sequence[str], right: Numbers) -> Values:
    """Whether BM25 finds the right ones: [Q x L]. Without a shared word all are alike to it: chance."""
    first = rank_lexically(looked_for, candidates, [str(i) for i in range(len(candidates))], num_kept=1).top[:, 0]
    known = {word for text in candidates for word in lexical_words(text)}
    shares = np.array([not known.isdisjoint(lexical_words(text)) for text in looked_for])
    return np.where(shares, (first == right).astype(np.float64), 1 / len(candidates))


def accuracy_metrics(bitext: Bitext, sentences: ParallelSentences, *, seed: int) -> list[Metric]:
    """Give the accuracy over all languages and by script, with intervals over the sentences and BM25 beside it."""
    groups = {"all languages": list(range(len(bitext.languages)))}
    for script, members in sentences.by_script().items():
        places = [bitext.languages.index(member) for member in members if member != ENGLISH]
        groups |= {script: places} if places else {}
    columns = np.stack([bitext.found[:, places].mean(axis=1) for places in groups.values()], axis=1)
    rows = zip(groups.items(), bootstrap_intervals(columns, seed=seed), strict=True)
    return [
        ACCURACY.metric(found, len(bitext.found), name, baseline=float(bitext.by_words[:, places].mean()))
        for (name, places), found in rows
    ]


def relation_metrics(bitext: Bitext, measured: Measured, *, seed: int) -> list[Metric]:
    """Give Spearman's rank correlation of figures with the accuracy over languages, with intervals over languages.

    One for each figure; none where there is nothing to rank: fewer than four languages, or one value for all.
    """
    metrics = []
    for figure in RELATED:
        values = figure_values(figure, bitext, measured)
        pseudo_values, floor = _relation(values, bitext.found), _relation(values, bitext.by_words)
        if pseudo_values is None:
            continue
        found = bootstrap_intervals(pseudo_values[:, None], seed=seed)[0]
        inside = Interval(found.value, max(-1.0, found.low), min(1.0, found.high))
        related = Figure(RELATION, "score", baseline_name="no relation" if floor is None else WORDS)
        baseline = 0.0 if floor is None else float(floor.mean())
        metrics.append(related.metric(inside, len(values), figure.name, baseline=baseline))
    return metrics


def figure_values(figure: Ratio, bitext: Bitext, measured: Measured) -> Values:
    """A figure of the languages that were looked for, in their order: [L]."""
    languages = measured.sentences.languages
    return measured.values[figure.name][[languages.index(language) for language in bitext.languages]]


def bitext_part(
    probe: Probe, bitext: Bitext, sentences: ParallelSentences, measured: Measured, *, seed: int
) -> ProbeResult:
    """Say how the model did, and how that goes with its tokens, beside what shared words alone bring."""
    accuracy, related = accuracy_metrics(bitext, sentences, seed=seed), relation_metrics(bitext, measured, seed=seed)
    fertility = figure_values(FERTILITY, bitext, measured).tolist()
    said = [
        f"Of {bitext.num_candidates} English sentences, the model takes the right one for {accuracy[0]:.1%} of the "
        f"foreign ones ({WORDS}: {accuracy[0].baseline:.1%}, chance: {1 / bitext.num_candidates:.1%})",
        *(
            f"rank correlation with {one.name.split('/')[1]} {one:.2f}, "
            f"{'' if one.is_apart else 'not distinguishable from '}{one.baseline:.2f} ({one.baseline_name})"
            for one in related
        ),
    ]
    return answered(
        probe,
        f"{'; '.join(said)}.",
        [*related, *accuracy],
        part="bitext",
        plots=[
            Plot(
                title="Bitext accuracy against tokens, a point a language",
                x_label="tokens for the same sentence, English = 1",
                y_label="accuracy (share)",
                curves=tuple(
                    curve(label, found.mean(axis=0).tolist(), fertility)
                    for label, found in (("the model", bitext.found), (WORDS, bitext.by_words))
                ),
                kind="points",
                x_log=True,
            )
        ],
        candidates=bitext.num_candidates,
        queries=len(bitext.found),
    )


def _relation(values: Values, found: Values) -> Values | None:
    """Values with mean Spearman's correlation of a figure and an accuracy: [L]; None where there is nothing to rank."""
    accuracy = found.mean(axis=0)
    if len(values) < _MIN_LANGUAGES or np.ptp(values) == 0 or np.ptp(accuracy) == 0:
        return None
    return spearman_values(values, accuracy)
