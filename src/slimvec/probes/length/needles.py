"""A needle by the length of what it is in: documents that only grow, the same needles in them, at places drawn once.

Legend: B documents, K needles each, L lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.documents import count_tokens, cut_sentences, embed_documents, gather_documents, tokens_a_word
from slimvec.probes.facts import make_facts
from slimvec.probes.position.needles import insert
from slimvec.probes.protocol import ProbeConfig, embed
from slimvec.ranking.metrics import single_ndcg
from slimvec.statistics.resampling import Values
from slimvec.text.embeddings import Embeddings

_ROOM = 0.92
"""Share of a length that is filled: how many tokens a sentence has is an estimate, and the limit is none."""


@dataclass(frozen=True, eq=False)
class LengthScores:
    """Scores of needles by length.

    Attributes:
        tokens: [L] mean tokens of a document, prompt included.
        ndcg: [L, B, K] nDCG@10 of the right document among all B x K of its length.
        gains: [L, B, K] cosine of the needle's question with its document, less that with the document without it.
        bare: L times [B, D] vectors of the documents without needles, unit length.
        texts: L times B documents without needles.
        truncated: [L] share of documents that were truncated; NaN where nobody knows.
        source: Where the documents are from.
    """

    tokens: Values
    ndcg: Values
    gains: Values
    bare: tuple[Values, ...]
    texts: tuple[tuple[str, ...], ...]
    truncated: Values
    source: str


def score_lengths(
    model: EvaluatedModel, lengths: Sequence[int], config: ProbeConfig, *, num_documents: int, num_needles: int
) -> LengthScores:
    """Score needles in documents of several lengths; documents, needles and depths are the same at all lengths.

    Args:
        model: Embeds.
        lengths: L lengths in tokens, rising.
        config: Its data may have `longdocs`; its seed draws.
        num_documents: B at full amount.
        num_needles: K.

    Raises:
        InputError: `longdocs` is there and malformed.
    """
    generator = np.random.default_rng(config.seed)
    gathered = gather_documents(config, config.count(num_documents), lengths[-1], generator)
    documents = gathered.documents
    facts = make_facts(len(documents) * num_needles, generator)
    a_word = tokens_a_word(model, documents[0])
    owners = np.repeat(np.arange(len(documents)), num_needles)
    depths = generator.random(len(facts))
    questions = embed(model, [fact.question for fact in facts], config, role="query", kind="Retrieval")
    needle_tokens = a_word * max(len(fact.text.split()) for fact in facts)
    rows = []
    for length in lengths:
        num_words = round((_ROOM * length - needle_tokens) / a_word)
        background = [cut_sentences(sentences, max(1, num_words)) for sentences in documents]
        texts = tuple(" ".join(sentences) for sentences in background)
        filled = [insert(background[b], fact.text, d) for b, fact, d in zip(owners, facts, depths, strict=True)]
        bare = embed_documents(model, texts, config).vectors
        found = embed_documents(model, filled, config)
        full = found.vectors
        ndcg = single_ndcg(questions @ full.T, np.arange(len(facts)))
        gains = (questions * full).sum(axis=1) - (questions * bare[owners]).sum(axis=1)
        rows.append((count_tokens(found, filled).mean(), ndcg, gains, bare, texts, _share_cut(found)))
    tokens, ndcgs, all_gains, bares, all_texts, truncated = zip(*rows, strict=True)
    shape = (len(lengths), len(documents), -1)
    return LengthScores(
        tokens=np.array(tokens),
        ndcg=np.array(ndcgs).reshape(shape),
        gains=np.array(all_gains, dtype=np.float64).reshape(shape),
        bare=tuple(vectors.astype(np.float64) for vectors in bares),
        texts=all_texts,
        truncated=np.array(truncated),
        source=gathered.source,
    )


def _share_cut(found: Embeddings) -> float:
    """Share of texts that were truncated; NaN where nobody knows."""
    return float((found.truncated == 1).mean()) if (found.truncated >= 0).all() else float("nan")
