"""Small corpora, an embedder that needs no model, and slow references."""

import zlib
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from slimvec.data.mining.preparation import Inputs
from slimvec.data.mining.scoring import KnownEmbedder
from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.text.embeddings import Embeddings

WORDS = ("sun", "moon", "star", "sky", "sea", "Sun", "sea  ")
DIMS = 5


class WordEmbedder:
    """Sums a vector a word, of few different values: many texts have equal scores."""

    def __init__(self):
        self.calls = []

    def embed(self, texts, *, role, task=None, on_progress=None):
        self.calls.append((tuple(texts), role, task))
        vectors = np.array([self.vector(text) for text in texts], dtype=np.float32)
        if on_progress is not None:
            on_progress(len(texts))
        return replace(
            Embeddings.uncounted(vectors), truncated=np.array(["long" in text for text in texts], dtype=np.int8)
        )

    def vector(self, text):
        vector = np.zeros(DIMS)
        for word in text.casefold().split():
            vector[zlib.crc32(word.encode()) % DIMS] += 1
        return vector / max(np.linalg.norm(vector), 1e-9)


def known(embedder=None, *, identity="words", task=None):
    return KnownEmbedder(embedder or WordEmbedder(), DIMS, {"name": identity}, task)


@contextmanager
def silent(_description, *, total, unit):  # noqa: ARG001
    yield lambda _: None


def inputs(records, work, *, embedder="words", corpus=None, **settings):
    return Inputs(
        records=lambda: iter(records),
        embedder=known() if embedder == "words" else embedder,
        corpus=None if corpus is None else lambda: iter(corpus),
        work=work,
        stage=silent,
        **settings,
    )


TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)


@st.composite
def record_lists(draw, *, min_size=1, max_size=8):
    """Records that share queries, positives and words; some texts differ in case or white space alone."""
    made = []
    for _ in range(draw(st.integers(min_size, max_size))):
        positives = draw(st.lists(TEXT, min_size=1, max_size=3, unique=True))
        negatives = [text for text in draw(st.lists(TEXT, max_size=2, unique=True)) if text not in positives]
        task = draw(st.sampled_from([None, "find it"]))
        made.append(
            Record(draw(TEXT), tuple(positives), tuple(negatives), task=task, source=draw(st.sampled_from("ab")))
        )
    return made


def forbidden_ids(records, query):
    """Ids of the texts that are known to be right for a query, and its own: straight from the definition."""
    own = text_id(query)
    ids = {own}
    for record in records:
        if text_id(record.query) == own:
            ids |= {text_id(text) for text in record.positives}
        if own in {text_id(text) for text in record.positives}:
            ids.add(text_id(record.query))
    return ids


def corpus_of(records, corpus=None):
    """The different texts a search may return, in order."""
    texts = corpus if corpus is not None else [t for r in records for t in (*r.positives, *r.negatives)]
    seen = {}
    for text in texts:
        seen.setdefault(text_id(text), text)
    return list(seen.values())


def word_scores(query, texts):
    """Scores of a query against texts, as the word embedder and the search give them."""
    embedder = WordEmbedder()
    vectors = [embedder.vector(text).astype(np.float32).astype(np.float64) for text in [query, *texts]]
    return [float(np.float32(vectors[0] @ vector)) for vector in vectors[1:]]
