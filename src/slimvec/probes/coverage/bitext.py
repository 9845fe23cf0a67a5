"""Whether a model finds a sentence's English counterpart, by language, and how that goes with its tokens.

Letters: Q sentences looked for in each language, L languages beside English, C English sentences to find them among.
"""

from dataclasses import dataclass

import numpy as np

from slimvec.evaluation.intervals import Interval, bootstrap_intervals
from slimvec.evaluation.jackknife import spearman_values
from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.coverage.counting import COVERAGE, FERTILITY, PIECES, Array, Estimates, Figure
from slimvec.probes.coverage.sentences import ENGLISH, ParallelSentences
from slimvec.probes.probe import Setting, embed
from slimvec.probes.readings import Curve, Measure, Plot

RELATED = (FERTILITY, PIECES, COVERAGE)
_MIN_LANGUAGES = 4


@dataclass(frozen=True, eq=False)
class Bitext:
    """How a model did.

    Attributes:
        languages: Codes of the L languages.
        found: [Q, L], 1 where the nearest English sentence is the counterpart.
        num_candidates: C.
    """

    languages: tuple[str, ...]
    found: Array
    num_candidates: int

    @property
    def accuracy(self) -> Array:
        """Share of the sentences that are found, by language: [L]."""
        result: Array = self.found.mean(axis=0)
        return result


def find_counterparts(
    model: EvaluatedModel, sentences: ParallelSentences, setting: Setting, *, num_queries: int
) -> Bitext:
    """Look for the English counterparts of sentences, by the cosine of their vectors.

    Args:
        model: Embeds.
        sentences: All English ones are candidates.
        setting: Told of the progress.
        num_queries: Q; the first sentences of each language are looked for.
    """
    languages = tuple(language for language in sentences.languages if language != ENGLISH)
    english = embed(model, sentences.texts[ENGLISH], setting, kind="BitextMining")
    looked_for = [text for language in languages for text in sentences.texts[language][:num_queries]]
    vectors = embed(model, looked_for, setting, kind="BitextMining").reshape(len(languages), -1, english.shape[1])
    nearest = (vectors @ english.T).argmax(axis=2)
    found = nearest == np.arange(vectors.shape[1])
    return Bitext(languages, found.T.astype(np.float64), len(english))


def accuracy_measures(bitext: Bitext, sentences: ParallelSentences, *, seed: int) -> list[Measure]:
    """Give the accuracy over all languages and by script, with intervals over the sentences and chance beside it."""
    groups = {"all languages": list(range(len(bitext.languages)))}
    for script, members in sentences.by_script().items():
        places = [bitext.languages.index(member) for member in members if member != ENGLISH]
        groups |= {script: places} if places else {}
    columns = np.stack([bitext.found[:, places].mean(axis=1) for places in groups.values()], axis=1)
    intervals = bootstrap_intervals(columns, seed=seed)
    return [
        Measure(
            name=f"bitext accuracy/{name}",
            value=interval.value,
            low=interval.low,
            high=interval.high,
            unit="share",
            baseline=1 / bitext.num_candidates,
            baseline_name="chance",
            num_items=len(bitext.found),
            higher_is_better=True,
        )
        for name, interval in zip(groups, intervals, strict=True)
    ]


def relation(bitext: Bitext, sentences: ParallelSentences, estimates: Estimates, *, seed: int) -> Interval | None:
    """Give Spearman's rank correlation of a figure with the accuracy over languages, with an interval over languages.

    Args:
        bitext: Accuracy.
        sentences: What the estimates were made on.
        estimates: Of the figure that ranks the languages, on the languages of `sentences`.
        seed: Of the bootstrap.

    Returns:
        None where there is nothing to rank: fewer than four languages, or one value for all of them.
    """
    values = figure_values(bitext, sentences, estimates)
    accuracy = bitext.accuracy
    if len(accuracy) < _MIN_LANGUAGES or np.ptp(values) == 0 or np.ptp(accuracy) == 0:
        return None
    found = bootstrap_intervals(spearman_values(values, accuracy)[:, None], seed=seed)[0]
    return Interval(found.value, max(-1.0, found.low), min(1.0, found.high))


def relation_measure(figure: Figure, interval: Interval, num_languages: int) -> Measure:
    """Name a correlation."""
    return Measure(
        name=f"rank correlation with bitext accuracy/{figure.name}",
        value=interval.value,
        low=interval.low,
        high=interval.high,
        unit="score",
        baseline=0.0,
        baseline_name="no relation",
        num_items=num_languages,
    )


def relation_plot(bitext: Bitext, sentences: ParallelSentences, estimates: Estimates) -> Plot:
    """Draw accuracy against fertility, a point a language."""
    values = figure_values(bitext, sentences, estimates)
    return Plot(
        title="Bitext accuracy against tokens, a point a language",
        x_label="tokens for the same sentence, English = 1",
        y_label="accuracy (share)",
        curves=(Curve(label="languages", xs=tuple(values.tolist()), ys=tuple(bitext.accuracy.tolist())),),
        kind="points",
        x_log=True,
    )


def figure_values(bitext: Bitext, sentences: ParallelSentences, estimates: Estimates) -> Array:
    """A figure of the languages that were looked for, in their order: [L]."""
    return estimates.values[[sentences.languages.index(language) for language in bitext.languages]]


def describe_bitext(accuracy: Measure, related: dict[str, Interval], bitext: Bitext) -> str:
    """Say how the model did, and how that goes with its tokens."""
    chance = 1 / bitext.num_candidates
    parts = [
        f"Of {bitext.num_candidates} English sentences, the model takes the right one for "
        f"{accuracy.value:.1%} [{accuracy.low:.1%}, {accuracy.high:.1%}] of the foreign ones (chance {chance:.1%})"
    ]
    for name, found in related.items():
        certain = found.low > 0 or found.high < 0
        verdict = "" if certain else ", not distinguishable from no relation"
        parts.append(f"rank correlation with {name} {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]{verdict}")
    return "; ".join(parts) + "."
