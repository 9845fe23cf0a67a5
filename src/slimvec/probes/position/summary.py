"""From the scores of the position probe to its result: metrics, tables, plots and sentences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slimvec.probes.position.evidence import EvidenceScores
from slimvec.probes.position.needles import NeedleScores
from slimvec.probes.position.regression import NUM_PLACES, SentenceWeights
from slimvec.probes.position.sensitivity import SMALLEST_GROUP, Sensitivity, group_places, measure_sensitivity
from slimvec.probes.protocol import Probe, answered
from slimvec.probes.results import Figure, Metric, ProbeResult, curve, lay_out
from slimvec.reports.parts import Curve, Plot, Table
from slimvec.statistics.intervals import bootstrap_intervals, crossed_intervals, shown_ends
from slimvec.statistics.resampling import Values

NUM_GROUPS = 5
FIFTHS = np.linspace(0, 1, NUM_GROUPS + 1)
TOKEN_BORDERS = np.array([0.0, 32.0, 64.0, 128.0, 256.0, np.inf])

PSI = Figure("psi", "ratio", False, "shuffled positions")
NEEDLE = Figure("needle/first third less last", "cosine", None, "equal reading")
ROTATION = Figure("rotation/first less last", "cosine", None, "equal reading")
SHARE = Figure("weight/first third", "share", None, "equal reading")
RATIO = Figure("weight/first over last", "ratio", None, "equal reading")


@dataclass(frozen=True, eq=False)
class Findings:
    """What was scored.

    Attributes:
        buckets: Names of the K lengths.
        evidence: Evidence of XQuAD, where it is at hand.
        needles: K scores.
        weights: K weights of sentences.
        rotations: [S, 3].
        sources: What texts were taken from.
    """

    buckets: tuple[str, ...]
    evidence: EvidenceScores | None
    needles: tuple[NeedleScores, ...]
    weights: tuple[SentenceWeights, ...]
    rotations: Values
    sources: Mapping[str, str]


def summarise(probe: Probe, found: Findings, seed: int) -> ProbeResult:
    """Put a result together."""
    scores = found.evidence
    fifths = {} if scores is None else by_place(scores, scores.places, FIFTHS, seed)
    evidence = {name: one for name, one in fifths.items() if len(one.groups) > 1}
    needles, whole = NeedleScores.joined(found.needles), SentenceWeights.joined(found.weights)
    needle = needle_sensitivity(needles, seed)
    metrics = [*_psi_metrics(found, evidence, needle, seed), *_reading_metrics(found, needles, whole, seed)]
    few = f"fewer than two fifths of the paragraphs have {SMALLEST_GROUP} questions"
    left_out = "" if evidence else f"PSI by place of the evidence: {few}"
    sentences = [_psi_sentence("answers in paragraphs", evidence["model"])] if evidence else []
    ratio = next(metric for metric in metrics if metric.name == RATIO.name)
    counts = {
        "questions left out, paragraph cut off": 0 if scores is None else scores.num_cut,
        "documents with needles left out, cut off": needles.num_cut,
    }
    return answered(
        probe,
        " ".join([*sentences, _psi_sentence("needles in documents", needle), _weight_sentence(ratio)]),
        metrics,
        tables=_tables(found, fifths, seed),
        plots=_plots(found, evidence, seed),
        skipped="retrieval by place of the evidence: --data has no xquad" if scores is None else left_out,
        details={
            **found.sources,
            "documents regressed": whole.num_documents,
            **{what: count for what, count in counts.items() if count},
        },
        num_depths=len(found.needles[0].depths),
    )


def by_place(scores: EvidenceScores, places: Values, borders: Values, seed: int) -> dict[str, Sensitivity]:
    """Measure the model, and BM25 on the same questions, between borders; nothing where no group is large enough."""
    kept, groups = group_places(places, borders)
    both = {"model": scores.ndcg, "BM25": scores.lexical} if len(kept) else {}
    units = scores.units[kept]
    return {name: measure_sensitivity(values[kept], groups, units, seed=seed) for name, values in both.items()}


def needle_sensitivity(scores: NeedleScores, seed: int) -> Sensitivity:
    """Measure PSI over fifths of the depths."""
    num_depths, (documents, templates) = len(scores.depths), scores.items
    fifths = np.minimum((scores.depths * NUM_GROUPS).astype(np.int64), NUM_GROUPS - 1)
    return measure_sensitivity(
        scores.ndcg.ravel(),
        np.tile(fifths, len(documents)),
        np.repeat(documents, num_depths),
        kinds=np.repeat(templates, num_depths),
        blocks=np.repeat(np.arange(len(documents)), num_depths),
        seed=seed,
    )


def _psi_metrics(
    found: Findings, evidence: Mapping[str, Sensitivity], needle: Sensitivity, seed: int
) -> Iterable[Metric]:
    """Give PSI by place of what is looked for, beside what it is by chance."""
    rows = {("evidence", *([] if name == "model" else [name])): one for name, one in evidence.items()}
    rows[("needle",)] = needle
    buckets = zip(found.buckets, found.needles, strict=True)
    rows |= {("needle", bucket): needle_sensitivity(part, seed) for bucket, part in buckets}
    for parts, one in rows.items():
        yield PSI.metric(one, int(one.counts.sum()), *parts, baseline=one.chance.value)


def _reading_metrics(found: Findings, needles: NeedleScores, whole: SentenceWeights, seed: int) -> Iterable[Metric]:
    """Give what a text counts by its place, beside what it is for a model that reads all of a text alike."""
    first, last = (needles.gains[:, :, at].mean(axis=2) for at in (needles.depths <= 1 / 3, needles.depths >= 2 / 3))
    gained = crossed_intervals((first - last).reshape(-1, 1), *needles.items, seed=seed)[0]
    yield NEEDLE.metric(gained, len(needles.templates), baseline=0.0)
    turned = bootstrap_intervals((found.rotations[:, 0] - found.rotations[:, 2])[:, None], seed=seed)[0]
    yield ROTATION.metric(turned, len(found.rotations), baseline=0.0)
    yield SHARE.metric(whole.first_share(seed), whole.num_documents, baseline=1 / 3)
    yield RATIO.metric(whole.first_over_last(seed), whole.num_documents, baseline=1.0)
    for bucket, part in zip(found.buckets, found.weights, strict=True):
        yield RATIO.metric(part.first_over_last(seed), part.num_documents, bucket, baseline=1.0)


def _psi_sentence(what: str, found: Sensitivity) -> str:
    verdict = (
        f"p = {found.p:.4f}" if found.is_distinguishable else f"not distinguishable from chance, p = {found.p:.2f}"
    )
    return f"PSI of {what} is {found:.3f}; shuffled positions give {found.chance:.3f} ({verdict})."


def _weight_sentence(ratio: Metric) -> str:
    weight = "the beginning counts more" if ratio.value > 1 else "the end counts more"
    verdict = weight if ratio.is_apart else "not distinguishable from equal reading"
    bound = "at least " if ratio.value >= 100 else ""
    ends = shown_ends(ratio.low, ratio.high, form=".2f")
    return f"A sentence in the first third weighs {bound}{ratio.value:.2f} times one in the last{ends}: {verdict}."


def _tables(found: Findings, fifths: Mapping[str, Sensitivity], seed: int) -> Iterable[Table]:
    """Lay the scores out by place."""
    if found.evidence is not None:
        before = by_place(found.evidence, found.evidence.tokens, TOKEN_BORDERS, seed)
        yield _evidence_table(found.evidence, "relative place", fifths, FIFTHS)
        yield _evidence_table(found.evidence, "tokens before it", before, TOKEN_BORDERS)
    yield lay_out(
        "nDCG@10 of needles by depth",
        " | ".join(["length", *(f"depth {low:.1f}-{high:.1f}" for low, high in pairwise(FIFTHS))]),
        " | ".join(["{0}", *(f"{{{place}:.3f}}" for place in range(1, NUM_GROUPS + 1))]),
        [
            (bucket, *(part.ndcg[:, :, at].mean() for at in _fifths(part.depths)))
            for bucket, part in zip(found.buckets, found.needles, strict=True)
        ],
    )
    yield lay_out(
        "Cosine of a passage's questions by its place of three",
        "place | cosine",
        "{0} | {1:.3f}",
        zip(("first", "middle", "last"), bootstrap_intervals(found.rotations, seed=seed), strict=True),
    )


def _evidence_table(scores: EvidenceScores, label: str, found: Mapping[str, Sensitivity], borders: Values) -> Table:
    """Lay nDCG out by place of the answer."""
    rows: Iterable[Sequence[object]] = ()
    if found:
        model, lexical = found.values()
        ends = [(borders[group], borders[group + 1]) for group in model.groups]
        spans = [f"{low:g} and more" if np.isinf(high) else f"{low:g}-{high:g}" for low, high in ends]
        rows = zip(spans, model.counts, model.by_group, lexical.by_group, strict=True)
    return lay_out(
        f"nDCG@10 of questions by {label} of the answer",
        f"{label} | questions | model | BM25",
        "{0} | {1} | {2:.3f} | {3:.3f}",
        rows,
        f"XQuAD in {', '.join(scores.languages)}; intervals over paragraphs.",
    )


def _fifths(depths: Values) -> list[NDArray[np.bool_]]:
    """Tell which depths are in which fifth; a fifth without one has the nearest."""
    found = []
    for low, high in pairwise(FIFTHS):
        inside = (depths >= low) & ((depths < high) | (high == 1))
        found.append(inside if inside.any() else np.abs(depths - (low + high) / 2).argmin() == np.arange(len(depths)))
    return found


def _plots(found: Findings, evidence: Mapping[str, Sensitivity], seed: int) -> Iterable[Plot]:
    """Draw scores by place."""
    if evidence:
        curves = tuple(
            curve(name, one.by_group, (one.groups + 0.5) / NUM_GROUPS, baseline=name == "BM25")
            for name, one in evidence.items()
        )
        yield Plot(title="Where the answer stands", x_label="place in the paragraph", y_label="nDCG@10", curves=curves)
    gains = [
        crossed_intervals(part.gains.reshape(-1, len(part.depths)), *part.items, seed=seed) for part in found.needles
    ]
    drawn = zip(found.buckets, gains, found.needles, strict=True)
    needles = tuple(curve(bucket, gain, part.depths) for bucket, gain, part in drawn)
    yield Plot(title="What a needle adds", x_label="depth", y_label="gain in cosine", curves=needles)
    places = (np.arange(NUM_PLACES) + 0.5) / NUM_PLACES
    weights = [
        curve(bucket, part.curve(seed), places) for bucket, part in zip(found.buckets, found.weights, strict=True)
    ]
    equal = Curve(label="equal reading", xs=(0.05, 0.95), ys=(1.0, 1.0), baseline=True)
    yield Plot(
        title="What a sentence weighs",
        x_label="place in the document",
        y_label="weight, mean size 1",
        curves=(*weights, equal),
    )
