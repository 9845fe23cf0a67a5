"""A needle in real documents: the same sentence put at 20 depths, and how well its question finds it at each.

Everything but the depth is the same, so nothing else can explain a difference. A document's own likeness to the
question is taken off: the gain is the cosine with the needle less the cosine without.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.documents import CutOffError, cut_sentences, embed_documents
from slimvec.probes.facts import Fact
from slimvec.probes.protocol import ProbeConfig, embed
from slimvec.ranking.metrics import single_ndcg
from slimvec.statistics.resampling import Numbers, Values


@dataclass(frozen=True, eq=False)
class NeedleScores:
    """Scores of B documents with K needles each, at P depths.

    Attributes:
        depths: [P] share of the document in front of the needle, 0 to 1.
        gains: [B, K, P] cosine of the needle's question with the document, less that without the needle.
        ndcg: [B, K, P] nDCG@10 of the right document among all B x K with other needles at the same depth.
        templates: [B, K] number of each needle's template.
        num_cut: Documents left out because the model cuts them off with a needle in them: B is without them.
    """

    depths: Values
    gains: Values
    ndcg: Values
    templates: Numbers
    num_cut: int = 0

    @classmethod
    def joined(cls, parts: "Sequence[NeedleScores]") -> "NeedleScores":
        """Put the documents of several measurements at the same depths together."""
        gains, ndcg, templates = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("gains", "ndcg", "templates")
        )
        return cls(parts[0].depths, gains, ndcg, templates, sum(part.num_cut for part in parts))

    @property
    def items(self) -> "tuple[Numbers, Numbers]":
        """Numbers of the document and of the template of each needle: [B * K] each."""
        return np.repeat(np.arange(len(self.templates)), self.templates.shape[1]), self.templates.ravel()


def insert(sentences: Sequence[str], needle: str, depth: float) -> str:
    """Put a sentence into a text at a depth, 0 in front and 1 behind, between two sentences."""
    place = round(depth * len(sentences))
    return " ".join([*sentences[:place], needle, *sentences[place:]])


def score_needles(
    model: EvaluatedModel,
    documents: Sequence[Sequence[str]],
    facts: Sequence[Fact],
    *,
    num_words: int,
    num_depths: int,
    config: ProbeConfig,
) -> NeedleScores:
    """Score needles.

    Args:
        model: Embeds.
        documents: B documents as sentences, longer than is needed.
        facts: B x K needles.
        num_words: Words of a document with its needle, about.
        num_depths: P.
        config: Its `on_progress` is called.

    Raises:
        CutOffError: the model cuts off every document.
    """
    num_each = len(facts) // len(documents)
    depths = np.linspace(0, 1, num_depths)
    longest = max(len(fact.text.split()) for fact in facts)
    background = [cut_sentences(sentences, max(1, num_words - longest)) for sentences in documents]
    owners = np.repeat(np.arange(len(background)), num_each)
    texts = [insert(background[b], fact.text, depth) for b, fact in zip(owners, facts, strict=True) for depth in depths]
    questions = embed(model, [fact.question for fact in facts], config, role="query", kind="Retrieval")
    bare = embed(model, [" ".join(sentences) for sentences in background], config, role="document", kind="Retrieval")
    found = embed_documents(model, texts, config)
    whole = ~(found.truncated == 1).reshape(len(background), -1).any(axis=1)
    if not whole.any():
        raise CutOffError("every document with a needle is truncated", expected="a limit above 64 tokens")
    kept = whole[owners]
    questions, owners = questions[kept], owners[kept]
    full = found.vectors.reshape(len(facts), num_depths, -1)[kept]
    without = (questions * bare[owners]).sum(axis=1)
    gains = np.einsum("nd,npd->np", questions, full) - without[:, None]
    right = np.arange(len(questions))
    ndcg = np.stack([single_ndcg(questions @ full[:, p].T, right) for p in range(num_depths)], axis=1)
    shape = (int(whole.sum()), num_each, num_depths)
    templates = np.array([fact.template for fact in facts])[kept].reshape(shape[:2])
    return NeedleScores(
        depths, gains.astype(np.float64).reshape(shape), ndcg.reshape(shape), templates, int((~whole).sum())
    )
