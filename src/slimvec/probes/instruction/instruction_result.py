"""The instruction probe's findings as a result: answer, measures, table, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slimvec.probes.estimates import estimated, estimated_curve
from slimvec.probes.instruction.wordings import NONE, OWN
from slimvec.probes.protocol import Probe
from slimvec.probes.results import Metric, ProbeResult, Unit
from slimvec.reports.parts import Curve, Plot, Table
from slimvec.statistics.intervals import Interval

DEFINITION = (
    "The same queries are searched for behind the model's own instruction (right), the same task in other words "
    "(paraphrased), the instruction of another task (wrong), the right one in another language, and with nothing in "
    "front (missing); documents stay as they are. Change is nDCG@10 minus that with the right instruction, paired by "
    "query; of a kind with two wordings each query counts with their mean. Cosine is that of a query's vector with its "
    "vector behind the right instruction; its baseline is the cosine of two different queries behind the right one. "
    "Means are over queries, then over sets; intervals are a bootstrap over the queries within each set."
)
SOURCES = (
    "Instructions in front of queries: Su et al. 2023, One Embedder, Any Task (arXiv 2212.09741); Wang et al. 2024 "
    "(arXiv 2401.00368)",
)
REMEDIES = (
    "Where queries come without an instruction: train with batch.instruction_dropout, 0.1 of the queries or more",
    "Where the words of the instruction move the vector: model.pooling.include_prompt: false leaves its tokens out of "
    "the mean (pooling mean, weighted, beta)",
    "Where a wrong instruction costs nothing, the model does not heed it: train on several tasks, each with its own "
    "(data[].task)",
)
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


@dataclass(frozen=True, eq=False)
class Base:
    """How the model does with its own instruction.

    Attributes:
        score: nDCG@10, mean over sets.
        other_query: Cosine of a query's vector with that of another query, mean over sets.
        num_queries: Over all sets.
        sets: Sizes in words.
    """

    score: Interval
    other_query: Interval
    num_queries: int
    sets: tuple[str, ...]


def lay_out(probe: Probe, base: Base, effects: Sequence[Effect], *, skipped: str, own: str) -> ProbeResult:
    """Put the findings together.

    Args:
        probe: Whose they are.
        base: With the model's own instruction.
        effects: By kind of instruction.
        skipped: What was left out, and why.
        own: What the model writes by itself.
    """
    return ProbeResult(
        probe=probe.name,
        question=probe.question,
        definition=DEFINITION,
        sources=SOURCES,
        answer=_answer(base, effects),
        measures=tuple(_measures(base, effects)),
        tables=(_wordings(base, effects),),
        plots=tuple(_plots(base, effects)),
        remedies=REMEDIES,
        skipped=skipped,
        details={"sets": ", ".join(base.sets), "own prompt": repr(own)},
    )


def _answer(base: Base, effects: Sequence[Effect]) -> str:
    changes = [f"{_signed(effect.change)} {_PHRASES.get(effect.kind, effect.kind)}" for effect in effects]
    even = [effect.kind for effect in effects if effect.change.low <= 0 <= effect.change.high]
    which = "none of this is" if len(even) == len(effects) else f"{', '.join(even)}: not"
    near = min(effects, key=lambda effect: effect.cosine.value)
    return (
        f"nDCG@10 is {base.score.value:.3f} with the model's own instruction, and changes by {'; '.join(changes)}"
        f"{f' ({which} distinguishable from 0)' if even else ''}. Query vectors move furthest when it is {near.kind}: "
        f"to a cosine of {near.cosine.value:.3f}, where two different queries have {base.other_query.value:.3f}."
    )


def _signed(change: Interval) -> str:
    return f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"


def _measures(base: Base, effects: Sequence[Effect]) -> list[Metric]:
    """Changes first, then cosines, then the score itself."""
    found = [
        _measure(f"change/{effect.kind}", effect.change, "score", base, 0.0, "right instruction") for effect in effects
    ]
    found += [
        _measure(f"cosine/{effect.kind}", effect.cosine, "cosine", base, base.other_query.value, "another query")
        for effect in effects
    ]
    return [*found, _measure(f"ndcg/{OWN}", base.score, "score", base, None, "")]


def _measure(name: str, found: Interval, unit: Unit, base: Base, baseline: float | None, called: str) -> Metric:
    return estimated(
        name,
        found,
        unit,
        baseline=baseline,
        baseline_name=called,
        num_items=base.num_queries,
        higher_is_better=True if name.startswith("ndcg/") else None,
    )


def _wordings(base: Base, effects: Sequence[Effect]) -> Table:
    """Every instruction by itself."""
    rows = [(OWN, "(the model's own)", f"{base.score.value:.3f}", "1.000")]
    rows += [
        (effect.kind, text, f"{score:.3f}", f"{cosine:.3f}")
        for effect in effects
        for text, (score, cosine) in effect.wordings.items()
    ]
    header = ("kind", "instruction", "nDCG@10", "cosine with the right one")
    return Table(title="Each instruction by itself", header=header, rows=tuple(rows))


def _plots(base: Base, effects: Sequence[Effect]) -> list[Plot]:
    kinds = tuple(effect.kind for effect in effects)
    still = Interval(0.0, 0.0, 0.0)
    return [
        Plot(
            title="What other instructions do to retrieval",
            x_label="instruction",
            y_label="change of nDCG@10",
            kind="dots",
            categories=kinds,
            curves=(
                _curve("change", [effect.change for effect in effects]),
                _curve("right instruction", [still] * len(kinds), baseline=True),
            ),
        ),
        Plot(
            title="How far other instructions move a query's vector",
            x_label="instruction",
            y_label="cosine with the right one",
            kind="dots",
            categories=kinds,
            curves=(
                _curve("same query", [effect.cosine for effect in effects]),
                _curve("another query, right instruction", [base.other_query] * len(kinds), baseline=True),
            ),
        ),
    ]


def _curve(label: str, found: Sequence[Interval], *, baseline: bool = False) -> Curve:
    return estimated_curve(label, [float(number) for number in range(len(found))], found, baseline=baseline)
