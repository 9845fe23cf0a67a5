"""From mteb's scores and predictions to a value for each sample, whose mean is the score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slimvec.evaluation.results import Method, Unit
from slimvec.statistics.jackknife import average_precision_values, spearman_values
from slimvec.statistics.resampling import Values

TOLERANCE = 2e-5
"""mteb rounds the measures of retrieval to five decimals; nothing else may differ."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """Values of samples, whose mean is a score.

    Attributes:
        unit: What a sample is.
        method: How its value came about.
        values: [N].
        ids: By sample; None for their numbers.
    """

    unit: Unit
    method: Method
    values: Values
    ids: tuple[str, ...] | None = None

    def checked(self, score: float) -> "Contributions":
        """Give itself if the mean is the score.

        Raises:
            ValueError: it is not, so that the values would not say what the score says.
        """
        if abs(float(self.values.mean()) - score) > TOLERANCE:
            raise ValueError(f"values of {self.unit} with mean {self.values.mean():.6f} for a score of {score:.6f}")
        return self


def of_queries(by_query: Mapping[str, Mapping[str, float]], measure: str) -> Contributions:
    """Values of queries, as pytrec_eval gave them to mteb.

    Raises:
        KeyError: the measure is not among them.
    """
    name, _, depth = measure.rpartition("_at_")
    names = {"ndcg": "ndcg_cut_", "map": "map_cut_", "recall": "recall_", "precision": "P_", "hit_rate": "success_"}
    key = names[name] + depth
    ids = tuple(by_query)
    return Contributions("queries", "mean", np.array([by_query[query][key] for query in ids]), ids)


def of_similarities(predictions: Mapping[str, Sequence[float]], gold: Sequence[float], measure: str) -> Contributions:
    """Values of pairs for a rank correlation of STS.

    Raises:
        KeyError: a measure other than Spearman's.
    """
    sides = {
        "cosine_spearman": "cosine_scores",
        "spearman": "similarity_scores",
        "euclidean_spearman": "euclidean_distances",
        "manhattan_spearman": "manhattan_distances",
    }
    predicted = np.asarray(predictions[sides[measure]], dtype=np.float64)
    return Contributions("pairs", "pseudo-values", spearman_values(predicted, np.asarray(gold, dtype=np.float64)))


def of_decisions(predictions: Mapping[str, Sequence[float]], labels: Sequence[int], measure: str) -> Contributions:
    """Values of pairs for average precision; for `max_ap` those of the similarity with the highest.

    Raises:
        KeyError: a measure other than average precision.
    """
    sides = {
        "similarity_ap": ("similarity_scores", 1),
        "cosine_ap": ("cosine_scores", 1),
        "dot_ap": ("dot_scores", 1),
        "euclidean_ap": ("euclidean_distances", -1),
        "manhattan_ap": ("manhattan_distances", -1),
    }
    chosen = list(sides.values()) if measure == "max_ap" else [sides[measure]]
    truth = np.asarray(labels, dtype=np.int64)
    found = [average_precision_values(sign * np.asarray(predictions[name]), truth) for name, sign in chosen]
    return Contributions("pairs", "pseudo-values", max(found, key=lambda values: float(values.mean())))


def of_classifications(predictions: Sequence[Sequence[int]], labels: Sequence[int], measure: str) -> Contributions:
    """Values of texts for accuracy: the share of experiments that classified it rightly.

    Raises:
        KeyError: a measure other than accuracy.
    """
    if measure != "accuracy":
        raise KeyError(measure)
    hits = np.asarray(predictions) == np.asarray(labels)[None, :]
    return Contributions("texts", "mean", hits.mean(axis=0))


def of_matches(neighbours: Sequence[Mapping[str, Any]], measure: str) -> Contributions:
    """Values of sentences for the F1 or the accuracy of bitext mining, where sentence i belongs to sentence i.

    mteb's F1 is that of each translation weighted by its one appearance: 2 / (1 + n) for a right match of a sentence
    that n sentences chose, and 0 for a wrong one.

    Raises:
        KeyError: another measure.
    """
    chosen = np.asarray([int(row["corpus_id"]) for row in neighbours])
    right = (chosen == np.arange(len(chosen))).astype(np.float64)
    if measure in ("accuracy", "recall"):
        return Contributions("sentences", "mean", right)
    if measure != "f1":
        raise KeyError(measure)
    return Contributions("sentences", "mean", right * 2 / (1 + np.bincount(chosen, minlength=len(chosen))[chosen]))


def of_experiments(scores: Mapping[str, Any], measure: str) -> Contributions:
    """Values of mteb's experiments, where it keeps none of samples: clusterings, and classifiers by another measure.

    Raises:
        KeyError: there are none.
    """
    if measure == "v_measure" and "v_measures" in scores:
        levels = scores["v_measures"]
        flat = np.array(
            [value for level in levels.values() for value in level] if isinstance(levels, Mapping) else levels
        )
    else:
        flat = np.array([experiment[measure] for experiment in scores["scores_per_experiment"]])
    return Contributions("experiments", "mean", flat.astype(np.float64))
