"""What texts of one kind say of tokenizers, and results that are made of such parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from slimvec.probes.results import Metric, ProbeResult
from slimvec.reports.parts import Plot, Table

QUESTION = "Which scripts and languages can the tokenizer read, and at what price?"


@dataclass(frozen=True)
class Part:
    """What texts of one kind say.

    Attributes:
        definition: How it is measured.
        answer: What came out.
        metrics: The main one first; parts of their names are figure, and script or language.
        tables: Laid out.
        plots: Pictures.
        details: Counts worth keeping.
    """

    definition: str
    answer: str
    metrics: Sequence[Metric]
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    details: Mapping[str, int] = field(default_factory=dict)

    def of(self, name: str) -> "Part":
        """Name the tokenizer: behind the figure in the metrics' names, in front of the answer and of tables' titles."""
        return replace(
            self,
            answer=f"{name}: {self.answer}",
            metrics=named(self.metrics, name),
            tables=[table.model_copy(update={"title": f"{name}: {table.title}"}) for table in self.tables],
        )


def named(metrics: Sequence[Metric], name: str) -> list[Metric]:
    """Put a tokenizer's name behind the figure's in the names of metrics."""
    renamed = []
    for metric in metrics:
        figure, rest = metric.name.split("/", 1)
        renamed.append(metric.model_copy(update={"name": f"{figure}/{name}/{rest}"}))
    return renamed


def joined(
    parts: Sequence[Part],
    *,
    probe: str,
    between: str,
    sources: tuple[str, ...],
    remedies: tuple[str, ...] = (),
    skipped: str = "",
    details: Mapping[str, int] | None = None,
) -> ProbeResult:
    """Make one result of what several kinds of texts say.

    Args:
        parts: In this order.
        probe: Name of the probe.
        between: Stands between the answers.
        sources: As in the result, like `remedies` and `skipped`.
        remedies: What helps.
        skipped: What was not measured.
        details: Stand before those of the parts.
    """
    return ProbeResult(
        probe=probe,
        question=QUESTION,
        definition=" ".join(dict.fromkeys(part.definition for part in parts)),
        sources=sources,
        answer=between.join(part.answer for part in parts),
        measures=tuple(metric for part in parts for metric in part.metrics),
        tables=tuple(table for part in parts for table in part.tables),
        plots=tuple(plot for part in parts for plot in part.plots),
        remedies=remedies,
        skipped=skipped,
        details={**(details or {}), **{name: count for part in parts for name, count in part.details.items()}},
    )
