"""From the scores of the position probe to its result: measures, tables, plots and a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slimvec.probes.estimates import estimated, estimated_cell, estimated_curve
from slimvec.probes.position.evidence import EvidenceScores
from slimvec.probes.position.needles import NeedleScores
from slimvec.probes.position.regression import NUM_PLACES, SentenceWeights
from slimvec.probes.position.sensitivity import SMALLEST_GROUP, Sensitivity, group_places, measure_sensitivity
from slimvec.probes.protocol import ProbeConfig
from slimvec.probes.results import Metric, ProbeResult, Unit
from slimvec.reports.parts import Curve, Plot, Table
from slimvec.statistics.intervals import Interval, bootstrap_intervals, crossed_intervals

Values = NDArray[np.float64]

NUM_GROUPS = 5
TOKEN_BORDERS = np.array([0.0, 32.0, 64.0, 128.0, 256.0, np.inf])

DEFINITION = (
    "Evidence: XQuAD's questions among the paragraphs of their language, nDCG@10 by fifth of the paragraph in which "
    "the answer begins; PSI = 1 - min/max over fifths of at least 8 questions, bootstrap over paragraphs, "
    "and PSI with shuffled places. Needle: a made fact at {num_depths} depths of a document; gain is the cosine of its "
    "question with the document less that without the fact, nDCG@10 is among all documents with other needles at the "
    "same depth; places are shuffled within a needle; bootstrap over documents and over the templates of needles. "
    "Texts that the model cuts off are left out. Rotation: three passages in their "
    "three rotations, cosine of their questions by place; bootstrap over sets. Weight: coefficients of the sentences' "
    "vectors in their document's vector (least squares, with the mean sentence of other documents beside them), "
    "sentences in random order, by third of the document; bootstrap over documents."
)
SOURCES = (
    "PSI and its cut by position-balanced training, as published (docs/probes.md)",
    "XQuAD: arXiv 1910.11856",
    "Regression on sentences and PSI under shuffled places: derived here (docs/probes.md)",
)
REMEDIES = (
    "train with data[].rearrange: {rotate: 1} or {permute: 1}, which balances positions",
    "choose beta pooling by the probe: slimvec adjust MODEL --beta fit",
    "give late keys their share of attention: Embedder.load(..., recency=...), by slimvec adjust MODEL --recency",
)


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


def summarise(name: str, question: str, found: Findings, config: ProbeConfig) -> ProbeResult:
    """Put a result together."""
    seed = config.seed
    evidence = None if found.evidence is None else evidence_sensitivity(found.evidence.ndcg, found.evidence, seed)
    needle = needle_sensitivity(found.needles, seed)
    apart, num_documents = needle_differences(found.needles, seed)
    thirds = combined(found.weights)
    ratio = thirds.first_over_last(seed)
    measures = [
        *_evidence_measures(found.evidence, evidence, seed),
        psi_measure("psi/needle", needle),
        *(
            psi_measure(f"psi/needle/{bucket}", needle_sensitivity((part,), seed))
            for bucket, part in zip(found.buckets, found.needles, strict=True)
        ),
        _equal_reading("needle/first third less last", apart, "cosine", 0.0, num_documents),
        _difference("rotation/first less last", found.rotations[:, 0] - found.rotations[:, 2], "cosine", seed),
        _share(thirds, seed),
        _ratio("weight/first over last", thirds, seed),
        *(
            _ratio(f"weight/first over last/{bucket}", part, seed)
            for bucket, part in zip(found.buckets, found.weights, strict=True)
        ),
    ]
    return ProbeResult(
        probe=name,
        question=question,
        definition=DEFINITION.format(num_depths=len(found.needles[0].depths)),
        sources=SOURCES,
        answer=_answer(evidence, needle, ratio),
        measures=tuple(measures),
        tables=_tables(found, seed),
        plots=_plots(found, evidence, seed),
        remedies=REMEDIES,
        skipped=_left_out(found.evidence, evidence),
        details={**found.sources, "documents regressed": thirds.num_documents, **_cut(found)},
    )


def _cut(found: Findings) -> dict[str, int]:
    """Count what is left out because the model cuts it off; nothing where nothing is."""
    counts = {
        "questions left out, paragraph cut off": 0 if found.evidence is None else found.evidence.num_cut,
        "documents with needles left out, cut off": sum(part.num_cut for part in found.needles),
    }
    return {what: count for what, count in counts.items() if count}


def _left_out(scores: EvidenceScores | None, found: Sensitivity | None) -> str:
    """Say why nothing is reported of the evidence; empty where something is."""
    if scores is None:
        return "retrieval by place of the evidence: --data has no xquad"
    few = f"fewer than two fifths of the paragraphs have {SMALLEST_GROUP} questions"
    return f"PSI by place of the evidence: {few}" if found is None else ""


def combined(parts: tuple[SentenceWeights, ...]) -> SentenceWeights:
    """Put the documents of several measurements together."""
    return SentenceWeights(
        tuple(row for part in parts for row in part.places), tuple(row for part in parts for row in part.weights)
    )


def evidence_sensitivity(values: Values, scores: EvidenceScores, seed: int) -> Sensitivity | None:
    """Measure PSI over fifths of the paragraph; None where fewer than two of them have enough questions."""
    found = _by_place(values, scores.places, np.linspace(0, 1, NUM_GROUPS + 1), scores.units, seed)
    return found[1] if found is not None and len(found[0]) > 1 else None


def _by_place(
    values: Values, places: Values, borders: Values, units: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], Sensitivity] | None:
    """Measure scores by place; with the numbers of the groups that are large enough, None where there are none."""
    kept, groups = group_places(places, borders)
    if len(kept) == 0:
        return None
    there, numbers = np.unique(groups, return_inverse=True)
    own_units = np.unique(units[kept], return_inverse=True)[1]
    return there, measure_sensitivity(values[kept], numbers, own_units, seed=seed)


def needle_sensitivity(parts: tuple[NeedleScores, ...], seed: int) -> Sensitivity:
    """Measure PSI over fifths of the depths, needles of all lengths together."""
    values, groups, units, kinds, blocks = [], [], [], [], []
    num_units = num_blocks = 0
    for part in parts:
        num_documents, num_needles, num_depths = part.ndcg.shape
        fifths = np.minimum((part.depths * NUM_GROUPS).astype(np.int64), NUM_GROUPS - 1)
        values.append(part.ndcg.ravel())
        groups.append(np.tile(fifths, num_documents * num_needles))
        units.append(num_units + np.repeat(np.arange(num_documents), num_needles * num_depths))
        kinds.append(np.repeat(part.templates.ravel(), num_depths))
        blocks.append(num_blocks + np.repeat(np.arange(num_documents * num_needles), num_depths))
        num_units, num_blocks = num_units + num_documents, num_blocks + num_documents * num_needles
    numbers = np.unique(np.concatenate(groups), return_inverse=True)[1]
    return measure_sensitivity(
        np.concatenate(values),
        numbers,
        np.concatenate(units),
        kinds=np.concatenate(kinds),
        blocks=np.concatenate(blocks),
        seed=seed,
    )


def needle_differences(parts: tuple[NeedleScores, ...], seed: int) -> tuple[Interval, int]:
    """Give the gain in the first third of the depths less that in the last, and the number of documents it is from."""
    values, units, kinds, num_units = [], [], [], 0
    for part in parts:
        first, last = (part.gains[:, :, there].mean(axis=2) for there in (part.depths <= 1 / 3, part.depths >= 2 / 3))
        documents, templates = part.items
        values.append((first - last).ravel())
        units.append(num_units + documents)
        kinds.append(templates)
        num_units += len(part.templates)
    rows = np.concatenate(values)[:, None]
    return crossed_intervals(rows, np.concatenate(units), np.concatenate(kinds), seed=seed)[0], num_units


def psi_measure(name: str, found: Sensitivity) -> Metric:
    """Give a PSI with what it is by chance."""
    return estimated(
        name,
        found,
        "ratio",
        baseline=found.shuffled,
        baseline_name="shuffled positions",
        num_items=int(found.counts.sum()),
        higher_is_better=False,
    )


def _evidence_measures(scores: EvidenceScores | None, found: Sensitivity | None, seed: int) -> list[Metric]:
    """Give PSI of the model and of BM25 on the same questions."""
    if scores is None or found is None:
        return []
    lexical = evidence_sensitivity(scores.lexical, scores, seed)
    assert lexical is not None
    return [psi_measure("psi/evidence", found), psi_measure("psi/evidence/BM25", lexical)]


def _difference(name: str, values: Values, unit: Unit, seed: int) -> Metric:
    """Give a mean difference that is 0 for a model that reads all alike."""
    found = bootstrap_intervals(values[:, None], seed=seed)[0]
    return _equal_reading(name, found, unit, 0.0, len(values))


def _share(weights: SentenceWeights, seed: int) -> Metric:
    return _equal_reading("weight/first third", weights.first_share(seed), "share", 1 / 3, weights.num_documents)


def _ratio(name: str, weights: SentenceWeights, seed: int) -> Metric:
    return _equal_reading(name, weights.first_over_last(seed), "ratio", 1.0, weights.num_documents)


def _equal_reading(name: str, found: Interval, unit: Unit, equal: float, num_items: int) -> Metric:
    """Give a measure beside what it is for a model that reads all of a text alike."""
    return estimated(name, found, unit, baseline=equal, baseline_name="equal reading", num_items=num_items)


def _answer(evidence: Sensitivity | None, needle: Sensitivity, ratio: Interval) -> str:
    """Say what came out."""
    parts = [] if evidence is None else [_psi_sentence("answers in paragraphs", evidence)]
    parts.append(_psi_sentence("needles in documents", needle))
    if ratio.low <= 1 <= ratio.high:
        weight = "not distinguishable from equal reading"
    else:
        weight = "the beginning counts more" if ratio.value > 1 else "the end counts more"
    bound = "at least " if ratio.value >= 100 else ""
    parts.append(
        f"A sentence in the first third weighs {bound}{ratio.value:.2f} times one in the last "
        f"[{ratio.low:.2f}, {ratio.high:.2f}]: {weight}."
    )
    return " ".join(parts)


def _psi_sentence(what: str, found: Sensitivity) -> str:
    """Put a PSI into words."""
    chance = f"shuffled positions give {found.shuffled:.3f} [{found.shuffled_low:.3f}, {found.shuffled_high:.3f}]"
    verdict = (
        f"p = {found.p:.4f}" if found.is_distinguishable else f"not distinguishable from chance, p = {found.p:.2f}"
    )
    head = f"PSI of {what} is {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
    return f"{head}; {chance} ({verdict})."


def _tables(found: Findings, seed: int) -> tuple[Table, ...]:
    """Lay the scores out by place."""
    tables = []
    if found.evidence is not None:
        tables += [
            _evidence_table(found.evidence, "relative place", found.evidence.places, np.linspace(0, 1, 6), seed),
            _evidence_table(found.evidence, "tokens before it", found.evidence.tokens, TOKEN_BORDERS, seed),
        ]
    rows = [
        (bucket, *(f"{part.ndcg[:, :, at].mean():.3f}" for at in _fifths(part.depths)))
        for bucket, part in zip(found.buckets, found.needles, strict=True)
    ]
    header = ("length", *(f"depth {low:.1f}-{low + 0.2:.1f}" for low in np.arange(5) / 5))
    tables.append(Table(title="nDCG@10 of needles by depth", header=header, rows=tuple(rows)))
    means = bootstrap_intervals(found.rotations, seed=seed)
    places = ("first", "middle", "last")
    cells = tuple((p, estimated_cell(mean)) for p, mean in zip(places, means, strict=True))
    tables.append(
        Table(title="Cosine of a passage's questions by its place of three", header=("place", "cosine"), rows=cells)
    )
    return tuple(tables)


def _evidence_table(scores: EvidenceScores, label: str, places: Values, borders: Values, seed: int) -> Table:
    """Lay nDCG out by place of the answer."""
    rows = []
    both = [_by_place(values, places, borders, scores.units, seed) for values in (scores.ndcg, scores.lexical)]
    parts = [part for part in both if part is not None]
    for number, group in enumerate(parts[0][0] if parts else ()):
        high = borders[group + 1]
        span = f"{borders[group]:g} and more" if np.isinf(high) else f"{borders[group]:g}-{high:g}"
        cells = (estimated_cell(part.interval(number)) for _, part in parts)
        rows.append((span, str(parts[0][1].counts[number]), *cells))
    return Table(
        title=f"nDCG@10 of questions by {label} of the answer",
        header=(label, "questions", "model", "BM25"),
        rows=tuple(rows),
        note=f"XQuAD in {', '.join(scores.languages)}; intervals over paragraphs.",
    )


def _fifths(depths: Values) -> list[NDArray[np.bool_]]:
    """Tell which depths are in which fifth; a fifth without one has the nearest."""
    borders = [*pairwise(np.linspace(0, 1, NUM_GROUPS + 1))]
    found = []
    for low, high in borders:
        inside = (depths >= low) & ((depths < high) | (high == 1))
        found.append(inside if inside.any() else np.abs(depths - (low + high) / 2).argmin() == np.arange(len(depths)))
    return found


def _plots(found: Findings, evidence: Sensitivity | None, seed: int) -> tuple[Plot, ...]:
    """Draw scores by place."""
    plots = []
    if found.evidence is not None and evidence is not None:
        lexical = evidence_sensitivity(found.evidence.lexical, found.evidence, seed)
        assert lexical is not None
        groups = np.unique(group_places(found.evidence.places, np.linspace(0, 1, NUM_GROUPS + 1))[1])
        xs = tuple((groups + 0.5) / NUM_GROUPS)
        curves = (_curve("model", xs, evidence), _curve("BM25", xs, lexical, baseline=True))
        plots.append(
            Plot(title="Where the answer stands", x_label="place in the paragraph", y_label="nDCG@10", curves=curves)
        )
    needles = tuple(
        estimated_curve(
            bucket,
            part.depths.tolist(),
            crossed_intervals(part.gains.reshape(-1, len(part.depths)), *part.items, seed=seed),
        )
        for bucket, part in zip(found.buckets, found.needles, strict=True)
    )
    plots.append(Plot(title="What a needle adds", x_label="depth", y_label="gain in cosine", curves=needles))
    places = (np.arange(NUM_PLACES) + 0.5) / NUM_PLACES
    weights = [
        estimated_curve(bucket, places.tolist(), part.curve(seed))
        for bucket, part in zip(found.buckets, found.weights, strict=True)
    ]
    equal = Curve(label="equal reading", xs=(0.05, 0.95), ys=(1.0, 1.0), baseline=True)
    plots.append(
        Plot(
            title="What a sentence weighs",
            x_label="place in the document",
            y_label="weight, mean size 1",
            curves=(*weights, equal),
        )
    )
    return tuple(plots)


def _curve(label: str, xs: tuple[float, ...], found: Sensitivity, *, baseline: bool = False) -> Curve:
    ends = {"lows": tuple(found.lows), "highs": tuple(found.highs)}
    return Curve(label=label, xs=xs, ys=tuple(found.means), baseline=baseline, **ends)
