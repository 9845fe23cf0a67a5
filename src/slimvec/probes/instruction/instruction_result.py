"""The instruction probe's findings as a result: answer, metrics, table, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slimvec.probes.figures import Figure, curve, lay_out
from slimvec.probes.instruction.wordings import NONE, OWN
from slimvec.probes.protocol import Probe, answered
from slimvec.probes.results import Metric, ProbeResult
from slimvec.reports.parts import Plot
from slimvec.statistics.intervals import Interval

CHANGE = Figure("change", "score", None, "right instruction")
COSINE = Figure("cosine", "cosine", None, "another query")
SCORE = Figure("ndcg", "score", True)
_PHRASES = {NONE: "without any", "wrong": "with a wrong one", "another language": "in another language"}


@dataclass(frozen=True, eq=False)
class Effect:
    """What a kind of instruction does, against the model's own.

    Attributes:
        kind: As in `WORDINGS`.
        change: Change of nDCG@10, mean over sets.
        cosine: Cosine of a query's vector with that behind the right instruction, mean over sets.
        wordings: nDCG@10 and cosine of each instruction by itself.
    """

    kind: str
    change: Interval
    cosine: Interval
    wordings: Mapping[str, tuple[float, float]]


def make_result(
    probe: Probe,
    effects: Sequence[Effect],
    score: Interval,
    other: Interval,
    num_queries: int,
    *,
    skipped: str,
    details: Mapping[str, str],
) -> ProbeResult:
    """Put the findings together.

    Args:
        probe: Whose they are.
        effects: By kind of instruction.
        score: nDCG@10 with the model's own instruction, mean over sets.
        other: Cosine of a query's vector with that of another query, mean over sets.
        num_queries: Over all sets.
        skipped: What was left out, and why.
        details: Sets, and what the model writes by itself.
    """
    changes = [CHANGE.metric(effect.change, num_queries, effect.kind, baseline=0.0) for effect in effects]
    cosines = [COSINE.metric(effect.cosine, num_queries, effect.kind, baseline=other.value) for effect in effects]
    wordings = [(effect.kind, text, *values) for effect in effects for text, values in effect.wordings.items()]
    table = lay_out(
        "Each instruction by itself",
        "kind | instruction | nDCG@10 | cosine with the right one",
        "{0} | {1} | {2:.3f} | {3:.3f}",
        [(OWN, "(the model's own)", score.value, 1.0), *wordings],
    )
    return answered(
        probe,
        _answer(effects, changes, score, other),
        [*changes, *cosines, SCORE.metric(score, num_queries, OWN)],
        tables=[table],
        plots=_plots(effects, other),
        skipped=skipped,
        details=details,
    )


def _answer(effects: Sequence[Effect], changes: Sequence[Metric], score: Interval, other: Interval) -> str:
    rows = list(zip((effect.kind for effect in effects), changes, strict=True))
    said = [f"{change:+.3f} {_PHRASES.get(kind, kind)}" for kind, change in rows]
    even = [kind for kind, change in rows if not change.is_apart]
    which = "none of this is" if len(even) == len(effects) else f"{', '.join(even)}: not"
    near = min(effects, key=lambda effect: effect.cosine.value)
    return (
        f"nDCG@10 is {score.value:.3f} with the model's own instruction, and changes by {'; '.join(said)}"
        f"{f' ({which} distinguishable from 0)' if even else ''}. Query vectors move furthest when it is {near.kind}: "
        f"to a cosine of {near.cosine.value:.3f}, where two different queries have {other.value:.3f}."
    )


def _plots(effects: Sequence[Effect], other: Interval) -> list[Plot]:
    changes, cosines = [effect.change for effect in effects], [effect.cosine for effect in effects]
    still, others = [Interval(0.0, 0.0, 0.0)] * len(effects), [other] * len(effects)
    drawn = {
        ("What other instructions do to retrieval", "change of nDCG@10"): (
            curve("change", changes),
            curve("right instruction", still, baseline=True),
        ),
        ("How far other instructions move a query's vector", "cosine with the right one"): (
            curve("same query", cosines),
            curve("another query, right instruction", others, baseline=True),
        ),
    }
    kinds = tuple(effect.kind for effect in effects)
    return [
        Plot(title=title, x_label="instruction", y_label=y_label, kind="dots", categories=kinds, curves=curves)
        for (title, y_label), curves in drawn.items()
    ]
