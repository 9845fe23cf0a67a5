"""Texts that a model cuts off say nothing of where it looks, and templates are drawn as documents are."""

import numpy as np
import pytest

from slimvec.errors import ModelError
from slimvec.probes.documents import gather_documents
from slimvec.probes.facts import make_facts
from slimvec.probes.position.evidence import read_paragraphs, score_evidence
from slimvec.probes.position.needles import score_needles
from slimvec.probes.position.position_probe import PositionProbe
from slimvec.probes.position.regression import measure_weights
from slimvec.probes.position.sensitivity import measure_sensitivity
from slimvec.probes.position.summary import FIFTHS, by_place
from slimvec.probes.run import run_probes
from slimvec.statistics.intervals import crossed_intervals
from tests.probes.planted import BagOfWords
from tests.probes.test_position import TINY, generator, write_xquad


def test_questions_of_paragraphs_that_are_cut_off_are_left_out(tmp_path):
    parts = read_paragraphs(write_xquad(tmp_path / "xquad"), ("en",), 40)
    words = [len(document.content.split()) for document in parts[0].documents]
    limit = int(np.median(words))
    found = score_evidence(BagOfWords(max_tokens=limit), parts, TINY)
    longer = sum(count > limit for count in words)
    assert 0 < longer < 40
    assert found.num_cut == pytest.approx(10 * longer, abs=20)  # hyphens are words to one and not to the other
    assert len(found.ndcg) + found.num_cut == 400
    judged = by_place(found, found.places, FIFTHS, seed=0)["model"]
    assert not judged.is_distinguishable  # it reads all it is given alike
    nothing = score_evidence(BagOfWords(max_tokens=5), parts, TINY)
    assert (len(nothing.ndcg), nothing.num_cut) == (0, 400)
    assert by_place(nothing, nothing.places, FIFTHS, seed=0) == {}


def test_documents_that_are_cut_off_are_left_out_of_needles_and_weights():
    background = gather_documents(TINY, 8, 150, generator())
    facts = make_facts(16, generator(1))
    settings = {"num_words": 100, "num_depths": 6, "config": TINY}
    whole = score_needles(BagOfWords(dims=4096), background.documents, facts, **settings)
    cut = score_needles(BagOfWords(dims=4096, max_tokens=104), background.documents, facts, **settings)
    assert whole.num_cut == 0
    assert 0 < cut.num_cut < 8
    assert len(cut.gains) == len(cut.templates) == 8 - cut.num_cut
    assert np.ptp(cut.gains.mean(axis=(0, 1))) < 1e-6  # truncated, the last depths would gain nothing
    with pytest.raises(ModelError, match="every document with a needle is truncated"):
        score_needles(BagOfWords(max_tokens=20), background.documents, facts, **settings)
    short, long = [("A b c d.", "E f g h.", "I j k l.")] * 3, ("A b c d.",) * 20
    assert measure_weights(BagOfWords(max_tokens=30), [*short, long], TINY).num_documents == 3
    with pytest.raises(ModelError, match="every document is truncated"):
        measure_weights(BagOfWords(max_tokens=30), [long], TINY)


def test_a_model_that_cuts_off_every_document_is_not_asked_and_that_is_no_failure():
    (reading,) = run_probes(BagOfWords(max_tokens=5), [PositionProbe()], TINY).readings
    assert reading.skipped.startswith("every document with a needle is truncated")
    assert reading.measures == ()


def crossed_items(generator, num_documents=30, num_templates=8, *, spread=0.1):
    """Values of items that share a document and a template, whose true mean is one half."""
    documents = np.repeat(np.arange(num_documents), 4)
    templates = generator.integers(num_templates, size=len(documents))
    values = 0.5 + spread * generator.normal(size=num_templates)[templates]
    return values + 0.05 * generator.normal(size=num_documents)[documents], documents, templates


def test_an_interval_over_documents_and_templates_holds_the_truth(monkeypatch):
    monkeypatch.setattr("slimvec.statistics.resampling.NUM_DRAWS", 400)
    held = alone = 0
    for seed in range(120):
        values, documents, templates = crossed_items(np.random.default_rng(seed))
        found = crossed_intervals(values[:, None], documents, templates, seed=seed)[0]
        single = crossed_intervals(values[:, None], documents, np.zeros_like(templates), seed=seed)[0]
        held += found.low <= 0.5 <= found.high
        alone += single.low <= 0.5 <= single.high
    assert held >= 102  # 85%: eight templates are few for a percentile interval of 95%
    assert alone < 84  # over documents alone it is far too narrow


def test_templates_widen_the_interval_of_psi():
    drawn = np.random.default_rng(0)
    values, documents, templates = crossed_items(drawn, num_documents=60)
    groups = np.arange(len(values)) % 4
    moved = np.clip(values + 0.3 * (templates % 2) * (groups == 0), 0, None)  # half of the templates favour a place
    alone = measure_sensitivity(moved, groups, documents, seed=0)
    both = measure_sensitivity(moved, groups, documents, kinds=templates, seed=0)
    assert both.value == alone.value
    assert both.high - both.low > 1.2 * (alone.high - alone.low)
