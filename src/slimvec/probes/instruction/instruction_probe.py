"""What the instruction in front of a query is worth, and how much hangs on its words.

Letters: Q queries of a set, W wordings of a kind, D dims.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.evaluation.cached_model import prompts_of
from slimvec.evaluation.models import EvaluatedModel, Prompt, Usage
from slimvec.evaluation.retrieval import measure_vectors
from slimvec.probes.facts import make_facts
from slimvec.probes.protocol import ProbeConfig, answered, embed, embed_with, skipped
from slimvec.probes.results import Figure, Metric, ProbeResult, curve, lay_out
from slimvec.ranking.metrics import MAIN_METRIC
from slimvec.reports.parts import Plot
from slimvec.statistics.intervals import Interval
from slimvec.statistics.resampling import Values
from slimvec.statistics.significance import compare_runs
from slimvec.text.embeddings import Vectors

OWN = "right"
NONE = "missing"

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "paraphrased": (
        "Find the passage that answers the question or fits the description",
        "For the following question or short description, retrieve the text which deals with it",
    ),
    "wrong": (
        "Decide whether the customer's review is positive or negative",
        "Name the programming language in which this function is written",
    ),
    "another language": (
        "Finde den Text, von dem die Frage oder kurze Beschreibung handelt",
        "Trouve le texte dont parle la question ou la courte description",
    ),
}
"""By kind. Two of each, so that a kind is not one sentence's accident; in Latin script alone, so that the tokenizer
reads them as it reads the right one."""

_TASK = "probe"
_SLOT = re.compile(r"(?s)^(?P<before>\s*instruct(?:ion)?:\s*)(?P<task>.+?)(?P<behind>\s*query:\s*)$", re.IGNORECASE)
"""An instruction written out in a prompt: `Instruct: ... Query:`."""
_FACTS_A_DOCUMENT = 3
_LANGUAGE = "en"
CHANGE = Figure("change", "score", None, "right instruction")
COSINE = Figure("cosine", "cosine", None, "another query")
SCORE = Figure("ndcg", "score", True)
_PHRASES = {NONE: "without any", "wrong": "with a wrong one", "another language": "in another language"}


def own_prompt(model: EvaluatedModel) -> Prompt:
    """Give what the model writes in front of a query by itself."""
    return model.prompt(Usage(_TASK, "Retrieval", "query"))


def instructed(model: EvaluatedModel, instruction: str) -> Prompt | None:
    """Give a query's prompt with another instruction.

    A model that takes instructions is told; one whose prompt has an instruction written out gets it replaced.

    Returns:
        The prompt; None where the model's prompt has no place for an instruction.
    """
    own = own_prompt(model)
    told = model.prompt(Usage(_TASK, "Retrieval", "query", instruction))
    if told.text != own.text:
        return told
    if prompts_of(model) is not None:
        return None  # its prompt is made of a template, and what the caller wrote into it would be left out
    found = _SLOT.match(own.text)
    if found is None:
        return None
    written = f"{found['before']}{instruction}{found['behind']}"
    return replace(own, text=written, task=written)


def no_prompt(model: EvaluatedModel) -> Prompt | None:
    """Give the prompt of a query with nothing in front; None where the model cannot do without.

    A model that makes its prompts of templates is asked for a task without a prompt, or for its documents' side, if
    that has none.
    """
    prompts = prompts_of(model)
    if prompts is None:
        return Prompt("", "query", "")
    symmetric = next((name for name, task in prompts.tasks.items() if task.symmetric), None)
    if symmetric is not None:
        return Prompt("", "query", symmetric)
    return Prompt("", "document") if not prompts.render("document") else None


@dataclass(frozen=True)
class Share:
    """How much of an outside set is taken, at full.

    Attributes:
        name: Its folder.
        num_queries: Queries.
        num_documents: Documents; more where more are judged for the queries.
    """

    name: str
    num_queries: int
    num_documents: int


def gather_sets(config: ProbeConfig, shares: Sequence[Share], num_made: int) -> list[RetrievalSet]:
    """Gather the sets to search.

    Args:
        config: Its data may have the sets.
        shares: What is taken of each; of a set in several languages the English part.
        num_made: Queries made of facts where the data has none of the sets.

    Raises:
        InputError: a set is there and malformed.
    """
    found = []
    for share in shares:
        folder = config.folder(share.name)
        if folder is None:
            continue
        whole = read_retrieval_set(folder)
        whole = whole.by_language().get(f"{whole.name}/{_LANGUAGE}", whole)
        limits = {"num_queries": config.count(share.num_queries), "num_documents": config.count(share.num_documents)}
        found.append(whole.sample(**limits, seed=config.seed))
    return found or [_made_set(config.count(num_made), np.random.default_rng(config.seed))]


def _made_set(num_queries: int, generator: np.random.Generator) -> RetrievalSet:
    """Make documents of some facts each, and ask for one fact of each."""
    facts = make_facts(_FACTS_A_DOCUMENT * num_queries, generator)
    documents, queries = [], []
    for number in range(num_queries):
        own = facts[_FACTS_A_DOCUMENT * number : _FACTS_A_DOCUMENT * (number + 1)]
        documents.append(Document(str(number), " ".join(fact.text for fact in own)))
        queries.append(Query(str(number), own[number % _FACTS_A_DOCUMENT].question))
    qrels = {str(number): {str(number): 1} for number in range(num_queries)}
    return RetrievalSet("made facts", tuple(documents), tuple(queries), qrels)


def _answer(changes: Mapping[str, Metric], cosines: Mapping[str, Metric], score: Interval) -> str:
    said = [f"{change:+.3f} {_PHRASES.get(kind, kind)}" for kind, change in changes.items()]
    even = [kind for kind, change in changes.items() if not change.is_apart]
    which = "none of this is" if len(even) == len(changes) else f"{', '.join(even)}: not"
    kind, near = min(cosines.items(), key=lambda item: item[1].value)
    return (
        f"nDCG@10 is {score.value:.3f} with the model's own instruction, and changes by {'; '.join(said)}"
        f"{f' ({which} distinguishable from 0)' if even else ''}. Query vectors move furthest when it is {kind}: "
        f"to a cosine of {near.value:.3f}, where two different queries have {near.baseline:.3f}."
    )


def _plots(changes: Mapping[str, Metric], cosines: Mapping[str, Metric], other: Interval) -> list[Plot]:
    still, others = [Interval(0.0, 0.0, 0.0)] * len(changes), [other] * len(changes)
    drawn = {
        ("What other instructions do to retrieval", "change of nDCG@10"): (
            curve("change", list(changes.values())),
            curve("right instruction", still, baseline=True),
        ),
        ("How far other instructions move a query's vector", "cosine with the right one"): (
            curve("same query", list(cosines.values())),
            curve("another query, right instruction", others, baseline=True),
        ),
    }
    kinds = tuple(changes)
    return [
        Plot(title=title, x_label="instruction", y_label=y_label, kind="dots", categories=kinds, curves=curves)
        for (title, y_label), curves in drawn.items()
    ]


@dataclass(frozen=True)
class InstructionProbe:
    """Searches with the same queries behind different instructions.

    Attributes:
        shares: Sets and how much of them is taken at full: some 200,000 tokens in all for a tokenizer of 49,000
            entries. Cranfield's abstracts are hard and long, XQuAD's questions easy and many.
        num_made: Queries made where the data has none of the sets.
        wordings: Instructions by kind.
    """

    shares: tuple[Share, ...] = (Share("cranfield", 60, 300), Share("xquad", 240, 240))
    num_made: int = 240
    wordings: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: WORDINGS)

    name: ClassVar[str] = "instruction"
    question: ClassVar[str] = "What is the instruction in front of a query worth, and how much hangs on its words?"

    def run(self, model: EvaluatedModel, config: ProbeConfig) -> ProbeResult:
        """Put the question to a model that writes something in front of its queries; others have nothing to ask."""
        own = own_prompt(model)
        if not own.text:
            return skipped(self, "the model writes nothing in front of queries; give it a prompt with --query-prompt")
        prompts = self._prompts(model)
        if not prompts:
            return skipped(self, "the model's prompt can neither be changed nor be left out")
        sets = gather_sets(config, self.shares, self.num_made)
        searched = [_Searched.of(model, dataset, own, config) for dataset in sets]
        score = _mean([one.scores for one in searched], config.seed)
        other = _mean([_cosines(one.queries, np.roll(one.queries, 1, axis=0)) for one in searched], config.seed)
        num_queries = sum(len(one.scores) for one in searched)
        changes, cosines, wordings = {}, {}, [(OWN, "(the model's own)", score.value, 1.0)]
        for kind, given in prompts.items():
            found = {text: [one.behind(model, prompt, config) for one in searched] for text, prompt in given.items()}
            # Of several wordings, each query counts with the mean over them.
            means = [np.mean(rows, axis=0) for rows in zip(*found.values(), strict=True)]
            change = _mean([rows[0] - one.scores for rows, one in zip(means, searched, strict=True)], config.seed)
            cosine = _mean([rows[1] for rows in means], config.seed)
            changes[kind] = CHANGE.metric(change, num_queries, kind, baseline=0.0)
            cosines[kind] = COSINE.metric(cosine, num_queries, kind, baseline=other.value)
            alone = {text: np.mean([rows.mean(axis=1) for rows in by_set], axis=0) for text, by_set in found.items()}
            wordings += [(kind, text, float(ndcg), float(own_cosine)) for text, (ndcg, own_cosine) in alone.items()]
        described = [f"{a.name} ({len(a.queries)} queries, {len(a.documents)} documents)" for a in sets]
        left_out = [kind for kind in (NONE, *self.wordings) if kind not in prompts]
        return answered(
            self,
            _answer(changes, cosines, score),
            [*changes.values(), *cosines.values(), SCORE.metric(score, num_queries, OWN)],
            tables=[
                lay_out(
                    "Each instruction by itself",
                    "kind | instruction | nDCG@10 | cosine with the right one",
                    "{0} | {1} | {2:.3f} | {3:.3f}",
                    wordings,
                )
            ],
            plots=_plots(changes, cosines, other),
            skipped=f"{', '.join(left_out)}: the model's prompt has no place for it" if left_out else "",
            details={"sets": ", ".join(described), "own prompt": repr(own.text)},
        )

    def _prompts(self, model: EvaluatedModel) -> dict[str, dict[str, Prompt]]:
        """Give the prompts by kind and instruction, those that the model can have."""
        bare = no_prompt(model)
        found = {NONE: {"(nothing)": bare}} if bare is not None else {}
        for kind, texts in self.wordings.items():
            made = {text: prompt for text in texts if (prompt := instructed(model, text)) is not None}
            found |= {kind: made} if made else {}
        return found


@dataclass(frozen=True, eq=False)
class _Searched:
    """A set with what the model's own instruction gives.

    Attributes:
        dataset: The set.
        documents: [N, D].
        queries: [Q, D], behind the model's own instruction.
        scores: [Q], nDCG@10 with them.
    """

    dataset: RetrievalSet
    documents: Vectors
    queries: Vectors
    scores: Values

    @classmethod
    def of(cls, model: EvaluatedModel, dataset: RetrievalSet, own: Prompt, config: ProbeConfig) -> "_Searched":
        """Embed a set and search it."""
        contents = [document.content for document in dataset.documents]
        documents = embed(model, contents, config, role="document", kind="Retrieval")
        queries = embed_with(model, [query.text for query in dataset.queries], own, config)
        return cls(dataset, documents, queries, measure_vectors(queries, documents, dataset)[MAIN_METRIC])

    def behind(self, model: EvaluatedModel, prompt: Prompt, config: ProbeConfig) -> Values:
        """Give nDCG@10 of the queries behind a prompt, and their cosines with those behind the model's own: [2, Q]."""
        queries = embed_with(model, [query.text for query in self.dataset.queries], prompt, config)
        scores = measure_vectors(queries, self.documents, self.dataset)[MAIN_METRIC]
        return np.stack([scores, _cosines(queries, self.queries)])


def _mean(values: Sequence[Values], seed: int) -> Interval:
    """Mean over queries, then over sets, with its interval: a bootstrap over the queries within each set."""
    rows = {str(number): found[None] for number, found in enumerate(values)}
    return compare_runs(rows, {name: np.zeros_like(found) for name, found in rows.items()}, seed=seed).interval


def _cosines(first: Vectors, second: Vectors) -> Values:
    """Cosine of each row with the row of the same number: [Q]."""
    return np.asarray((first.astype(np.float64) * second.astype(np.float64)).sum(axis=1))
