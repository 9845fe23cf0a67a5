"""What the word order probe found, as a result: measures, tables, pictures and a sentence."""

from slimvec.probes.order.findings import ACCURACY, CHOICE, Findings, all_measures, symmetric_measure
from slimvec.probes.order.layout import all_plots, all_tables, percent
from slimvec.probes.results import Metric, ProbeResult
from slimvec.statistics.intervals import ends_of, shown_ends

DEFINITION = (
    "Items are an anchor, a paraphrase of it and a negative: the anchor's words in another order (numbers, persons, "
    "places, events or sides exchanged; denied; all words shuffled; neighbours swapped). Triplet accuracy is the share "
    "of items with cos(anchor, paraphrase) > cos(anchor, negative); choice accuracy that with cos(paraphrase, anchor) "
    "> cos(paraphrase, negative), one half for a bag of words where both have the same words. Cosines closer than 1e-6 "
    "are ties and count half. Margin is the mean of the first difference, AUC the chance that the first cosine of one "
    "item is above the second of another. `symmetric`: sentences beside themselves with their two names exchanged, AUC "
    "of symmetric verbs (A met B) against directed ones (A hired B); a model that pushes every exchange away has one "
    "half; bootstrap over verbs. `kept` is (cosine of a sentence and its shuffle - that with an unrelated "
    "sentence of its length) / (1 - the latter). `explained` are squared correlations: over pairs of sentences, of the "
    "model's cosine with that of word counts (counts) and with that of the means of the words' own vectors (words); "
    "over sentences, of the vectors with those means, with one scale and one offset (vectors). Means are over kinds "
    "and languages alike. Intervals: bootstrap over templates, then over items within them; outside sets over anchors."
)

SOURCES = (
    "arXiv 2306.14610 (SugarCrepe)",
    "arXiv 1908.11828 (PAWS-X)",
    "Marelli et al., LREC 2014 (SICK)",
    "arXiv 1708.00055 (STS benchmark), translated in stsb_multi_mt and KorSTS",
    "arXiv 2309.07445 (SIB-200)",
    "Davison and Hinkley 1997, section 3.8 (bootstrap of clusters)",
)

REMEDIES = (
    "data[].order_negatives in a recipe: hard negatives of reordered words, made as records are drawn",
    "slimvec triplets: anchor, paraphrase and reordered anchor to train with, of templates that are not asked here",
)


def make_result(name: str, question: str, found: Findings) -> ProbeResult:
    """Write down what was found."""
    missing = f"not at hand: {', '.join(found.missing)}" if found.missing else ""
    return ProbeResult(
        probe=name,
        question=question,
        definition=DEFINITION,
        sources=SOURCES,
        answer=_answer(found),
        measures=tuple(all_measures(found)),
        tables=tuple(all_tables(found)),
        plots=tuple(all_plots(found)),
        remedies=REMEDIES,
        skipped=missing,
        details={
            "items": sum(len(cell.items) for cell in found.cells),
            "templates": len({item.cluster for cell in found.templates for item in cell.items}),
        },
    )


def _answer(found: Findings) -> str:
    """Put the main figures into sentences."""
    accuracy, choice = ACCURACY.measure(found.templates), CHOICE.measure(found.templates)
    words = found.explained["words"]
    known = shown_ends(**ends_of(words, words.num_items), form=".0%")
    pairs = CHOICE.of_pairs(found.templates)
    return (
        f"A paraphrase is nearer to a sentence than that sentence's own words in another order in "
        f"{percent(accuracy)} of {accuracy.num_items:,} items, {_verdict(accuracy)} a bag of words "
        f"({accuracy.baseline:.0%}). Asked which of two orders a paraphrase says, it is right in {percent(choice)}, "
        f"{_verdict(choice)} a bag of words ({choice.baseline:.0%}; one of neighbouring pairs too has {pairs:.0%}). "
        f"{_symmetric(found)}"
        f"The mean of its words' own vectors explains {words.value:.0%}{known} of the variance of its cosines."
    )


def _symmetric(found: Findings) -> str:
    """Say whether exchanges that change nothing are distinguished from those that do."""
    if not found.symmetric:
        return ""
    measure = symmetric_measure(found)
    return (
        f"Names exchanged around a symmetric verb and around another differ with an AUC of {measure.value:.2f}"
        f"{shown_ends(measure.low, measure.high, form='.2f')}, {_verdict(measure)} a bag of words "
        f"({measure.baseline:.2f}). "
    )


def _verdict(measure: Metric) -> str:
    assert measure.baseline is not None
    if measure.low is None or measure.high is None or measure.low <= measure.baseline <= measure.high:
        return "not distinguishable from"
    return "more often than" if measure.value > measure.baseline else "less often than"
