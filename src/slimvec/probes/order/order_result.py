"""What the word order probe found, as a result: tables, pictures and sentences of its metrics."""

from collections.abc import Iterable, Mapping

from slimvec.probes.order.findings import ACCURACY, BAG, CHOICE, SYMMETRIC, Findings, all_metrics
from slimvec.probes.protocol import Probe, answered
from slimvec.probes.results import Metric, ProbeResult, curve, lay_out
from slimvec.reports.parts import Plot, Table

_HEADER = "triplet accuracy | bag of words | choice | bag of words | items"
_CELLS = "{1:.0%} | {1.baseline:.0%} | {2:.0%} | {2.baseline:.0%} | {1.num_items:,}"
"""Columns of rows whose second and third parts are the two accuracies."""


def make_result(probe: Probe, found: Findings) -> ProbeResult:
    """Write down what a probe found."""
    metrics = all_metrics(found)
    at = {metric.name: metric for metric in metrics}
    pairs = {
        statistic.name: [statistic.without([cell.pairs for cell in cells]) for cells in found.by_kind.values()]
        for statistic in (ACCURACY, CHOICE)
    }
    return answered(
        probe,
        _answer(at, CHOICE.without([cell.pairs for cell in found.templates])),
        metrics,
        tables=_tables(found, at, pairs),
        plots=_plots(found, at, pairs),
        skipped=f"not at hand: {', '.join(found.missing)}" if found.missing else "",
        details={
            "items": sum(len(cell.items) for cell in found.cells),
            "templates": len({item.cluster for cell in found.templates for item in cell.items}),
        },
    )


def _answer(at: Mapping[str, Metric], pairs: float) -> str:
    """Put the main figures into sentences; `pairs` is the choice of bags of words and of neighbouring pairs."""
    accuracy, choice, words = at["accuracy"], at["choice"], at["explained/words"]
    exchanged = at.get(f"auc/{SYMMETRIC}")
    sentences = [
        f"A paraphrase is nearer to a sentence than that sentence's own words in another order in {accuracy:.0%} of "
        f"{accuracy.num_items:,} items, {_verdict(accuracy)} a bag of words ({accuracy.baseline:.0%}).",
        f"Asked which of two orders a paraphrase says, it is right in {choice:.0%}, {_verdict(choice)} a bag of words "
        f"({choice.baseline:.0%}; one of neighbouring pairs too has {pairs:.0%}).",
        f"The mean of its words' own vectors explains {words:.0%} of the variance of its cosines.",
    ]
    if exchanged is not None:
        sentences.insert(
            2,
            f"Names exchanged around a symmetric verb and around another differ with an AUC of {exchanged:.2f}, "
            f"{_verdict(exchanged)} a bag of words ({exchanged.baseline:.2f}).",
        )
    return " ".join(sentences)


def _verdict(metric: Metric) -> str:
    if not metric.is_apart or metric.baseline is None:
        return "not distinguishable from"
    return "more often than" if metric.value > metric.baseline else "less often than"


def _tables(found: Findings, at: Mapping[str, Metric], pairs: Mapping[str, list[float]]) -> Iterable[Table]:
    """Give the tables: by kind, by language, outside sets, pairs, shuffles, and an example of each kind."""
    yield lay_out(
        "By what is exchanged",
        "exchange | triplet accuracy | bag of words | words and pairs | choice | bag of words | words and pairs | "
        "margin | AUC | items",
        "{0} | {1:.0%} | {1.baseline:.0%} | {5:.0%} | {2:.0%} | {2.baseline:.0%} | {6:.0%} | {3.value:+.3f} | "
        "{4.value:.2f} | {1.num_items:,}",
        [
            (kind, *(at[f"{name}/{kind}"] for name in ("accuracy", "choice", "margin", "auc")), *surface)
            for kind, *surface in zip(found.by_kind, *pairs.values(), strict=True)
        ],
        "Templates, all languages alike. `words and pairs`: a bag of words and of neighbouring pairs, which shows how "
        "much of the order is on the surface.",
    )
    rows = [(code, *(at[f"{name}/language/{code}"] for name in pairs)) for code in found.by_language]
    yield lay_out("By language", f"language | {_HEADER}", f"{{0}} | {_CELLS}", rows)
    if found.outside:
        yield lay_out(
            "Outside sets",
            f"set | exchange | language | {_HEADER}",
            f"{{0[0]}} | {{0[1]}} | {{0[2]}} | {_CELLS}",
            [
                ((group, kind, language), *(at[f"{name}/{group} {kind}/{language}"] for name in pairs))
                for group, kind, language in (cell.key for cell in found.outside)
            ],
            "In sugarcrepe the paraphrase is another caption of the same picture.",
        )
    if found.separations:
        yield lay_out(
            "Pairs that say the same, against pairs of the same words that do not",
            "set | language | AUC | bag of words | pairs",
            "{0.group} | {0.language} | {1:.2f} | {1.baseline:.2f} | {1.num_items:,}",
            [(pairs, at[f"auc/{pairs.group}/{pairs.language}"]) for pairs in found.separations],
        )
    if found.plain:
        yield lay_out(
            "What is left of the likeness after the words are moved",
            "set | language | moved | kept | sentences",
            "{0} | {1} | {2} | {3:.3f} | {3.num_items}",
            [
                (group, language, kind, at[f"kept/{kind}/{group}/{language}"])
                for cells in found.shuffled.values()
                for group, kind, language in (cell.key for cell in cells)
            ],
            "1: the vector does not change at all, as a bag of words has it; 0: as far as an unrelated sentence.",
        )
    examples = [(kind, *cells[0].items[0].texts) for kind, cells in found.by_kind.items()]
    header = "exchange | anchor | paraphrase | negative"
    yield lay_out("An item of each kind", header, "{0} | {1} | {2} | {3}", examples)


def _plots(found: Findings, at: Mapping[str, Metric], pairs: Mapping[str, list[float]]) -> Iterable[Plot]:
    """Give the pictures: both accuracies by kind, and what is kept by language."""
    for name, title in (
        ("accuracy", "The paraphrase is nearer to the anchor than its own words in another order"),
        ("choice", "The paraphrase is nearer to what it says than to the same words in another order"),
    ):
        metrics = [at[f"{name}/{kind}"] for kind in found.by_kind]
        yield Plot(
            title=title,
            x_label="what is exchanged",
            y_label="share of items",
            kind="dots",
            categories=tuple(found.by_kind),
            curves=(
                curve("model", metrics),
                curve(BAG, [metric.baseline or 0.0 for metric in metrics], baseline=True),
                curve("words and neighbouring pairs", pairs[name], baseline=True),
            ),
        )
    kept = {kind: [cell.key for cell in cells] for kind, cells in found.shuffled.items()}
    languages = {tuple(language for _, _, language in keys) for keys in kept.values()}
    if len(languages) == 1 and (codes := languages.pop()):
        yield Plot(
            title="Likeness that is left after the words are moved",
            x_label="language",
            y_label="kept (bag of words: 1)",
            kind="dots",
            categories=codes,
            curves=(
                *(
                    curve(kind, [at[f"kept/{k}/{group}/{code}"] for group, k, code in keys])
                    for kind, keys in kept.items()
                ),
                curve(BAG, [1.0] * len(codes), baseline=True),
            ),
        )
