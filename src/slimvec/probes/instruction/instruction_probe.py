"""What the instruction in front of a query is worth, and how much hangs on its words.

Letters: Q queries of a set, W wordings of a kind, D dims.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from slimvec.data.retrieval import RetrievalSet
from slimvec.evaluation.models import EvaluatedModel, Prompt
from slimvec.evaluation.retrieval import measure_vectors
from slimvec.probes.instruction.instruction_result import Effect, make_result
from slimvec.probes.instruction.prompts import document_prompt, instructed, no_prompt, own_prompt
from slimvec.probes.instruction.retrieval import Share, gather_sets
from slimvec.probes.instruction.wordings import NONE, WORDINGS
from slimvec.probes.protocol import ProbeConfig, embed_with, skipped
from slimvec.probes.results import ProbeResult
from slimvec.ranking.metrics import MAIN_METRIC
from slimvec.statistics.intervals import Interval
from slimvec.statistics.resampling import Values
from slimvec.statistics.significance import compare_runs
from slimvec.text.embeddings import Vectors


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
        effects = [_effect(kind, given, model, searched, config) for kind, given in prompts.items()]
        described = (
            f"{s.dataset.name} ({len(s.dataset.queries)} queries, {len(s.dataset.documents)} documents)"
            for s in searched
        )
        left_out = [kind for kind in (NONE, *self.wordings) if kind not in prompts]
        return make_result(
            self,
            effects,
            _mean({s.dataset.name: s.scores for s in searched}, config.seed),
            _mean({s.dataset.name: s.other_cosines() for s in searched}, config.seed),
            sum(len(s.scores) for s in searched),
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
        documents = embed_with(
            model, [document.content for document in dataset.documents], document_prompt(model), config
        )
        queries = embed_with(model, [query.text for query in dataset.queries], own, config)
        return cls(dataset, documents, queries, measure_vectors(queries, documents, dataset)[MAIN_METRIC])

    def other_cosines(self) -> Values:
        """Cosine of each query with the next one, around in a circle: [Q]."""
        return _cosines(self.queries, np.roll(self.queries, 1, axis=0))


def _effect(
    kind: str, prompts: Mapping[str, Prompt], model: EvaluatedModel, searched: Sequence[_Searched], config: ProbeConfig
) -> Effect:
    """Search with the instructions of a kind; of several, each query counts with the mean over them."""
    scores: dict[str, list[Values]] = {s.dataset.name: [] for s in searched}
    cosines: dict[str, list[Values]] = {s.dataset.name: [] for s in searched}
    wordings = {}
    for text, prompt in prompts.items():
        for s in searched:
            queries = embed_with(model, [query.text for query in s.dataset.queries], prompt, config)
            scores[s.dataset.name].append(measure_vectors(queries, s.documents, s.dataset)[MAIN_METRIC])
            cosines[s.dataset.name].append(_cosines(queries, s.queries))
        last = (np.mean([values[-1].mean() for values in found.values()]) for found in (scores, cosines))
        wordings[text] = (float(next(last)), float(next(last)))
    own = {s.dataset.name: s.scores for s in searched}
    changed = {name: np.mean(values, axis=0) - own[name] for name, values in scores.items()}
    near = {name: np.mean(values, axis=0) for name, values in cosines.items()}
    return Effect(kind, _mean(changed, config.seed), _mean(near, config.seed), wordings)


def _mean(values: Mapping[str, Values], seed: int) -> Interval:
    """Mean over queries, then over sets, with its interval: a bootstrap over the queries within each set."""
    rows = {name: found[None] for name, found in values.items()}
    return compare_runs(rows, {name: np.zeros_like(found) for name, found in rows.items()}, seed=seed).interval


def _cosines(first: Vectors, second: Vectors) -> Values:
    """Cosine of each row with the row of the same number: [Q]."""
    found: Values = (first.astype(np.float64) * second.astype(np.float64)).sum(axis=1)
    return found
