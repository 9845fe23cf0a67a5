"""Generative retrieval: only what occurs is written, with the model's own probabilities, and finds what holds it."""

import math

import numpy as np
import pytest
import torch
import transformers

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.ranking.fusion import standardise
from slimvec.search.generative import GenerativeIndex, GenerativeSettings, WrittenNGram, _Writer
from tests import tiny

DOCUMENTS = ["the cat sat", "a cat ran", "north and south", "the mat"]
QUERY = "who sat?"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "base"
    tiny.save_causal_model(folder, initializer_range=0.5)
    return folder


@pytest.fixture(scope="module")
def language(base):
    return Embedder.load(base, dtype="float32").language_model


def index_of(language, documents=DOCUMENTS, **settings):
    index = GenerativeIndex(language, settings=GenerativeSettings(**settings))
    index.add(documents)
    return index


def plain_log_probability(base, prompt, tokens):
    """By transformers in double precision."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64)
    ids = tiny.tokenizer_backend().encode(prompt).ids
    with torch.no_grad():
        logs = model(torch.tensor([[*ids, *tokens]])).logits[0].log_softmax(-1)
    return sum(float(logs[len(ids) - 1 + place, token]) for place, token in enumerate(tokens))


def test_ngrams_occur_and_have_the_model_s_probabilities(base, language):
    index = index_of(language, num_beams=6, max_length=4)
    written = index.write(QUERY)
    assert written
    decode = language.tokenizer.backend.decode
    for one in written:
        text = decode(list(one.ngram.tokens))
        assert sum((" " + document).count(text) for document in DOCUMENTS) >= 1
        given = plain_log_probability(base, f"Question: {QUERY}\nPassage:", one.ngram.tokens)
        usual = plain_log_probability(base, "Passage:", one.ngram.tokens)
        assert (one.log_probability, one.usual) == pytest.approx((given, usual), abs=1e-3)
        before = max(math.log(one.ngram.count / index.ngrams.num_tokens), usual)
        weight = given + math.log(1 - math.exp(before)) - before - math.log(1 - math.exp(given))
        assert one.weight == pytest.approx(weight, abs=1e-2)
    assert [one.weight for one in written] == sorted((one.weight for one in written), reverse=True)


def test_with_room_for_all_every_ngram_that_occurs_is_written(language):
    index = index_of(language, num_beams=10_000, max_length=3)
    texts = [language.tokenizer.backend.encode(f" {document}").ids for document in DOCUMENTS]
    all_of_them = {
        tuple(ids[start : start + size]) for ids in texts for size in (1, 2, 3) for start in range(len(ids) - size + 1)
    }
    beams, found = [WrittenNGram(index.ngrams.everything())], set()
    writers = [_Writer(language, language.tokenizer.backend.encode(prompt).ids) for prompt in ("a", "b")]
    for _ in range(3):
        beams = index._longer(*writers, beams)
        found |= {one.ngram.tokens for one in beams}
    assert found == all_of_them


def test_engines_agree(base, language):
    other = Embedder.load(base, engine="transformers", dtype="float32").language_model
    first, second = (index_of(one, num_beams=5).scores(QUERY) for one in (language, other))
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-3)


def test_scores_are_sums_of_weights(language):
    index = index_of(language, num_beams=6, power=1.5, new_share=0.6)
    written, scores = index.write(QUERY), index.scores(QUERY)
    for number in range(len(DOCUMENTS)):
        total, covered = 0.0, set()
        for one in written:
            if number in index.ngrams.documents(one.ngram):
                tokens = set(one.ngram.tokens)
                total += one.weight**1.5 * (0.4 + 0.6 * len(tokens - covered) / len(tokens))
                covered |= tokens
        assert scores[number] == pytest.approx(total, rel=1e-5)
    hits = index.search(QUERY, top=3)
    assert [hit.document for hit in hits] == np.argsort(-scores, kind="stable")[: len(hits)].tolist()
    assert all(ngram in " " + DOCUMENTS[hit.document] for hit in hits for ngram in hit.ngrams)


def test_fused_with_cosines(language):
    index = index_of(language)
    cosines, scores = np.array([0.1, 0.9, 0.2, 0.4]), index.scores(QUERY)
    hits = index.search(QUERY, cosines=cosines, weight=0.3)
    wanted = 0.7 * standardise(cosines) + 0.3 * standardise(scores)
    assert [hit.document for hit in hits] == np.argsort(-wanted, kind="stable").tolist()
    assert [hit.score for hit in hits] == pytest.approx(sorted(wanted, reverse=True), rel=1e-4)
    assert [hit.document for hit in index.search(QUERY, cosines=cosines, weight=0)] == [1, 3, 2, 0]


def test_a_document_added_is_searched_at_once(language):
    index = index_of(language, num_beams=10_000, max_length=3)
    index.write(QUERY)
    index.add(["a dog"])
    added = {tuple(language.tokenizer.backend.encode(text).ids) for text in (" d", " do", "dog", "og")}
    beams, found = [WrittenNGram(index.ngrams.everything())], set()
    writers = [_Writer(language, language.tokenizer.backend.encode(prompt).ids) for prompt in ("a", "b")]
    for _ in range(3):
        beams = index._longer(*writers, beams)
        found |= {one.ngram.tokens for one in beams}
    assert added <= found
    whole = index_of(language, [*DOCUMENTS, "a dog"], num_beams=10_000, max_length=3)
    np.testing.assert_allclose(index.scores(QUERY), whole.scores(QUERY), rtol=1e-5)


def test_long_documents_are_whole(base):
    language = Embedder.load(base, dtype="float32").language_model
    index = index_of(language, ["a" * 600 + " zebra"])
    assert index.ngrams.num_tokens == 607
    assert index.ngrams.find(language.tokenizer.backend.encode("zebra").ids).count == 1


def test_what_cannot_be_asked(language):
    with pytest.raises(InputError, match="a search of no documents; expected some; add them first"):
        GenerativeIndex(language).search(QUERY)
    index = index_of(language)
    with pytest.raises(InputError, match="text 0 is empty"):
        index.search(" ")
    with pytest.raises(InputError, match="3 cosines; expected one a document, 4"):
        index.search(QUERY, cosines=np.zeros(3))
    with pytest.raises(InputError, match="text 1 is empty"):
        index.add(["a", ""])
    with pytest.raises(InputError, match="8 beams of 17 tokens; expected at least 1 beam, and 1 to 16 tokens"):
        GenerativeIndex(language, settings=GenerativeSettings(max_length=17))
