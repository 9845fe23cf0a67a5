"""The position probe reads what was planted: the beginning only, the end only, a decay, or all alike."""

import json
from itertools import pairwise

import numpy as np
import pytest

from slimvec.errors import InputError, ModelError
from slimvec.probes.documents import cut_sentences, gather_documents, num_words_of, tokens_a_word
from slimvec.probes.facts import make_facts
from slimvec.probes.position.evidence import read_paragraphs, score_evidence
from slimvec.probes.position.needles import insert, score_needles
from slimvec.probes.position.position_probe import Passage, PositionProbe, made_passages, score_rotations
from slimvec.probes.position.regression import first_over_last, measure_weights, shuffled_documents, weigh_sentences
from slimvec.probes.position.summary import FIFTHS, by_place
from slimvec.probes.protocol import ProbeConfig, embed
from tests.probes.planted import BagOfWords, Decaying, FirstWords, LastWords, Random

TINY = ProbeConfig(amount="tiny", seed=1)


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def documents():
    background = gather_documents(TINY, 40, 150, generator())
    return shuffled_documents([cut_sentences(sentences, 120) for sentences in background.documents], generator())


def write_xquad(folder, num_paragraphs=40, num_facts=10):
    """Paragraphs of facts, a question for each; two languages with the same texts."""
    folder.mkdir()
    facts = make_facts(num_paragraphs * num_facts, generator(5))
    corpus, queries, qrels = [], [], []
    for language in ("en", "xx"):
        for p in range(num_paragraphs):
            own = facts[p * num_facts : (p + 1) * num_facts]
            corpus.append({"id": f"{language}-p{p}", "text": " ".join(f.text for f in own), "lang": language})
            for number, fact in enumerate(own):
                key = f"{p}-{number}"
                start = corpus[-1]["text"].index(fact.text)
                query = {"id": f"{language}-{key}", "text": fact.question, "lang": language, "align": key}
                queries.append({**query, "answer_start": start})
                qrels.append({"query_id": query["id"], "doc_id": corpus[-1]["id"], "score": 1})
    for name, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def xquad(tmp_path_factory):
    return write_xquad(tmp_path_factory.mktemp("data") / "xquad")


def test_facts_share_no_name_and_answer_their_own_question_alone():
    facts = make_facts(200, generator())
    assert len({fact.question for fact in facts}) == len({fact.text for fact in facts}) == 200
    questions, texts = (
        embed(BagOfWords(), side, TINY) for side in ([f.question for f in facts], [f.text for f in facts])
    )
    assert ((questions @ texts.T).argmax(1) == np.arange(200)).mean() > 0.99


def test_documents_are_made_where_there_are_none_and_read_where_there_are(tmp_path):
    made = gather_documents(TINY, 3, 100, generator())
    assert made.source == "made sentences"
    assert all(num_words_of(sentences) >= 100 for sentences in made.documents)
    folder = tmp_path / "longdocs"
    folder.mkdir()
    text = "Heading\n\n" + " ".join(f"The sentence number {n} has words\nenough to count." for n in range(20))
    rows = [
        {"id": str(n), "text": f"Text {n} says it in so many words. {text}\n\n x = [1, 2] + {{3}}; y() ."}
        for n in range(4)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text('{"id": "q", "text": "q"}\n')
    (folder / "qrels.jsonl").write_text('{"query_id": "q", "doc_id": "1", "score": 1}\n')
    config = ProbeConfig(data=tmp_path)
    read = gather_documents(config, 3, 100, generator())
    assert read.source == "longdocs"
    assert all("\n" not in s and "x = [" not in s and s != "Heading" for d in read.documents for s in d)
    assert gather_documents(config, 5, 100, generator()).source == "made sentences"


def test_texts_are_cut_at_sentences_and_measured_in_tokens():
    sentences = ["one two three.", "four five six.", "seven eight nine."]
    assert cut_sentences(sentences, 7) == tuple(sentences[:2])
    assert cut_sentences(sentences, 1) == tuple(sentences[:1])
    assert tokens_a_word(BagOfWords(), sentences) == pytest.approx(1)


def test_a_regression_gives_back_the_weights_it_was_made_of():
    draw = generator()
    sentences = draw.standard_normal((12, 64))
    sentences /= np.linalg.norm(sentences, axis=1, keepdims=True)
    planted = np.array([3.0, 2.0, 1.0, 1.0])
    groups = [[f"a b c {n}"] * 4 for n in range(3)]
    documents = np.stack([planted @ sentences[4 * n : 4 * n + 4] for n in range(3)])
    found = weigh_sentences(groups, documents, sentences)
    for row, places in zip(found.weights, found.places, strict=True):
        assert row == pytest.approx(planted / planted.mean())
        assert places == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8])
    assert found.first_over_last(0).value == pytest.approx(3)
    with pytest.raises(ModelError, match="5 dims for a document of 4 sentences; expected at least 6 dims"):
        weigh_sentences(groups, documents[:, :5], sentences[:, :5])


def test_what_any_two_texts_share_takes_no_weight():
    shared = Random(shared=0.9)
    mean = embed(shared, [f"text {n}" for n in range(50)], TINY).mean(axis=0)
    draw = generator()
    sentences = draw.standard_normal((40, 512)) * 0.02 + mean
    sentences /= np.linalg.norm(sentences, axis=1, keepdims=True)
    weights = np.linspace(2, 0.5, 8)
    documents = np.stack([weights @ sentences[8 * n : 8 * n + 8] for n in range(5)])
    found = weigh_sentences([["w"] * 8] * 5, documents, sentences)
    assert np.mean(found.weights, axis=0) == pytest.approx(weights / weights.mean(), abs=0.05)


@pytest.mark.parametrize("rate", [0.0, 1.5, 3.0])
def test_a_decay_is_read_at_its_rate(documents, rate):
    # By the word, so that a sentence alone is read as it is within its document: then the regression is exact.
    num_words = np.mean([num_words_of(sentences) for sentences in documents])
    found = measure_weights(Decaying(rate / num_words, per="word"), documents, TINY).first_over_last(seed=0)
    assert found.low <= np.exp(2 / 3 * rate) <= found.high
    assert found.high / found.low < 1.1


def test_a_decay_over_each_text_is_read_nearly_at_its_rate(documents):
    found = measure_weights(Decaying(1.5), documents, TINY).first_over_last(seed=0)
    assert found.value == pytest.approx(np.exp(1), rel=0.1)


def test_a_flat_reader_is_not_told_from_equal_reading_and_one_end_is(documents):
    flat = measure_weights(BagOfWords(), documents, TINY)
    assert flat.first_over_last(0).low <= 1 <= flat.first_over_last(0).high
    assert flat.first_share(0).low <= 1 / 3 <= flat.first_share(0).high
    assert all(interval.low <= 1.1 and interval.high >= 0.9 for interval in flat.curve(0))
    first, last = (measure_weights(model(10), documents, TINY) for model in (FirstWords, LastWords))
    assert first.first_over_last(0).value == 100
    assert last.first_over_last(0).value == pytest.approx(0.01)
    assert first.first_share(0).value > 0.95


def test_a_ratio_is_bounded():
    assert first_over_last(np.array([[1.0, 1, 0], [0, 1, -1], [0, 1, 2], [-1, 0, -1]])).tolist() == [100, 1, 0.01, 1]


def test_a_needle_goes_between_sentences():
    sentences = ["A a.", "B b.", "C c."]
    assert insert(sentences, "N.", 0) == "N. A a. B b. C c."
    assert insert(sentences, "N.", 0.34) == "A a. N. B b. C c."
    assert insert(sentences, "N.", 1) == "A a. B b. C c. N."


def test_needles_are_found_where_the_model_reads():
    background = gather_documents(TINY, 10, 150, generator())
    facts = make_facts(20, generator(1))
    kwargs = {"num_words": 100, "num_depths": 6, "config": TINY}
    flat = score_needles(BagOfWords(dims=4096), background.documents, facts, **kwargs)
    assert flat.gains.shape == flat.ndcg.shape == (10, 2, 6)
    assert flat.ndcg.mean() > 0.8
    assert np.ptp(flat.gains.mean(axis=(0, 1))) < 1e-6
    assert flat.gains.min() > 0
    first = score_needles(FirstWords(12), background.documents, facts, **kwargs)
    assert first.ndcg[:, :, 0].mean() > 0.9
    assert first.ndcg[:, :, 2:].mean() < 0.5
    assert np.abs(first.gains[:, :, 2:]).max() < 1e-6


@pytest.mark.parametrize(("most", "num_facts"), [(5, 1), (57, 2), (99, 4), (113, 5), (1000, 5)])
def test_made_passages_are_as_long_as_they_may_be(most, num_facts):
    passages = made_passages(9, most, generator())
    assert {len(passage.questions) for passage in passages} == {num_facts}
    assert all(len(passage.text.split()) <= most for passage in passages) or num_facts == 1


def test_each_passage_is_at_each_place_once():
    passages = made_passages(6, 150, generator())
    model = Decaying(2.0)
    found = score_rotations(model, passages, TINY)
    assert found.shape == (2, 3)
    assert (np.diff(found, axis=1) < 0).all()
    # By hand, for the first set.
    places = [[], [], []]
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        document = embed(model, ["\n\n".join(passages[n].text for n in order)], TINY)[0]
        for place, number in enumerate(order):
            questions = embed(model, passages[number].questions, TINY)
            places[place] += (questions @ document).tolist()
    assert found[0] == pytest.approx([np.mean(p) for p in places], abs=1e-6)
    equal = score_rotations(
        BagOfWords(), [Passage("a b.", ("a",)), Passage("c d.", ("c",)), Passage("e.", ("e",))], TINY
    )
    assert np.ptp(equal) < 1e-6


def test_evidence_is_found_where_the_model_reads_and_everywhere_by_one_that_reads_all(xquad):
    parts = read_paragraphs(xquad, ("en",), 40)
    assert len(parts[0].documents) == 40
    assert parts[0].places[:10] == pytest.approx(np.arange(10) / 10, abs=0.08)
    flat = score_evidence(BagOfWords(), parts, TINY)
    judged = by_place(flat, flat.places, FIFTHS, seed=0)["model"]
    assert not judged.is_distinguishable
    assert judged.low == 0
    first = score_evidence(FirstWords(25), parts, TINY)
    judged = by_place(first, first.places, FIFTHS, seed=0)["model"]
    assert judged.is_distinguishable
    assert judged.value > 0.5
    assert judged.value > judged.chance.high
    assert all(left >= right - 0.1 for left, right in pairwise(group.value for group in judged.by_group))
    assert flat.lexical == pytest.approx(first.lexical)
    assert flat.lexical.mean() > 0.95
    assert first.tokens.max() < 200


def test_translations_of_a_question_are_one_item(xquad):
    parts = read_paragraphs(xquad, ("en", "xx"), 10)
    both = score_evidence(FirstWords(25), parts, TINY)
    alone = score_evidence(FirstWords(25), parts[:1], TINY)
    assert len(both.ndcg) == len(alone.ndcg) == 100
    assert both.ndcg == pytest.approx(alone.ndcg)
    assert both.units.max() == 9


def test_an_unknown_language_and_an_answer_outside_are_refused(xquad, tmp_path):
    with pytest.raises(InputError, match="has no questions in 'bo'; expected one of en, xx"):
        read_paragraphs(xquad, ("bo",), 10)
    broken = write_xquad(tmp_path / "xquad", 2, 2)
    text = (broken / "queries.jsonl").read_text().replace('"answer_start": 0', '"answer_start": 9999', 1)
    (broken / "queries.jsonl").write_text(text)
    with pytest.raises(
        InputError, match="question en-0-0 has answer_start 9999; expected a character of its paragraph"
    ):
        read_paragraphs(broken, ("en",), 10)


def test_an_answer_without_a_place_is_refused_and_ids_are_those_of_either_layout(tmp_path):
    beir = write_xquad(tmp_path / "beir", 2, 2)
    path = beir / "queries.jsonl"
    known = read_paragraphs(beir, ("en",), 10)[0].places.tolist()
    path.write_text(path.read_text().replace('"id"', '"_id"'))
    assert read_paragraphs(beir, ("en",), 10)[0].places.tolist() == known
    path.write_text(path.read_text().replace('"answer_start"', '"start"'))
    with pytest.raises(InputError, match="has answer_start None; expected a character of its paragraph"):
        read_paragraphs(beir, ("en",), 10)


@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        (BagOfWords(), "not distinguishable from equal reading"),
        (FirstWords(12), "the beginning counts more"),
        (LastWords(12), "the end counts more"),
    ],
)
def test_the_probe_says_what_was_planted(model, verdict):
    result = PositionProbe().run(model, TINY)
    assert verdict in result.answer
    psi, flat = result.measure("psi/needle"), isinstance(model, BagOfWords)
    assert psi.baseline_name == "shuffled positions"
    assert ("not distinguishable from chance" in result.answer) == flat
    assert (psi.value > 0.5) != flat
    for name in ("needle/first third less last", "rotation/first less last"):
        measure = result.measure(name)
        assert (measure.low <= 1e-9 and measure.high >= -1e-9) == flat
        if not flat:
            assert (measure.value > 0) == isinstance(model, FirstWords)
    assert result.skipped == "retrieval by place of the evidence: --data has no xquad"
    assert [plot.title for plot in result.plots] == ["What a needle adds", "What a sentence weighs"]


def test_with_data_evidence_comes_first(xquad):
    config = ProbeConfig(data=xquad.parent, amount="tiny")
    result = PositionProbe().run(FirstWords(25), config)
    assert [m.name for m in result.measures[:2]] == ["psi/evidence", "psi/evidence/BM25"]
    assert result.skipped == ""
    assert result.answer.startswith("PSI of answers in paragraphs is ")
    assert result.tables[0].header == ("relative place", "questions", "model", "BM25")
    again = PositionProbe().run(FirstWords(25), config)
    assert again == result


def test_lengths_beyond_the_model_are_left_out():
    probe, full = PositionProbe(), ProbeConfig()
    assert probe._buckets(BagOfWords(max_tokens=300), full) == ((64, 128), (128, 256))
    assert probe._buckets(BagOfWords(max_tokens=100), full) == ((50, 100),)
    assert probe._buckets(BagOfWords(), full) == probe.buckets
    assert probe._buckets(BagOfWords(), TINY) == probe.buckets[:1]
