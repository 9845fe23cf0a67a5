"""Probes run one after the other: what they ask is embedded once and counted, and one's failure is its own."""

import numpy as np
import pytest

from slimvec.errors import FetchError, InputError, ModelError
from slimvec.evaluation.cached_model import CachedModel, bare_model, embedder_of, prompts_of
from slimvec.evaluation.vector_store import VectorStore
from slimvec.probes.documents import embed_documents
from slimvec.probes.protocol import ProbeConfig, embed
from slimvec.probes.registry import PROBES, choose_probes
from slimvec.probes.results import ProbeReport
from slimvec.probes.run import run_probes
from tests.probes.planted import BagOfWords
from tests.probes.support import Counting, slimvec_model


class Watched(BagOfWords):
    """A bag of words that remembers what it was asked to embed."""

    asked = []  # noqa: RUF012  the class is frozen

    def embed(self, texts, **options):
        self.asked.extend(texts)
        return super().embed(texts, **options)


@pytest.fixture
def watched():
    Watched.asked.clear()
    return Watched(max_tokens=1)


def test_probes_that_share_texts_embed_them_once_and_their_work_is_counted(watched):
    told = []
    probes = [Counting(), Counting("again", texts=("two", "three four"))]
    config = ProbeConfig(seed=5, amount="tiny", on_progress=told.append)
    report = run_probes(watched, probes, config)
    assert sorted(watched.asked) == ["one", "three four", "two"]
    assert [r.probe for r in report.readings] == ["counting", "again"]
    assert [r.num_texts for r in report.readings] == [3, 2]
    assert dict(report.readings[1].details) == {"tokens": 2, "texts cut off": 1}
    assert {r.seed for r in report.readings} == {5}
    assert all(r.seconds > 0 for r in report.readings)
    assert sum(told) == 5
    assert (report.model.kind, report.amount, report.seed) == ("planted", "tiny", 5)
    assert {"python", "slimvec", "numpy"} <= set(report.versions)


def test_a_store_is_used_and_left_behind(watched, tmp_path):
    store = VectorStore("x" * 64, tmp_path)
    for _ in range(2):
        run_probes(watched, [Counting()], ProbeConfig(), store=store)
    assert len(watched.asked) == 2
    assert store.path.is_file()


def test_vectors_that_are_no_numbers_are_named():
    class Broken(BagOfWords):
        def embed(self, texts, **options):
            found = super().embed(texts, **options)
            found.vectors[1] = np.nan
            return found

    message = "the vector of 'b c' is not finite; expected numbers; load it with --dtype float32"
    with pytest.raises(ModelError, match=message):
        embed(Broken(), ["a", "b c"], ProbeConfig())
    with pytest.raises(ModelError, match=message):
        embed_documents(Broken(), ["a", "b c"], ProbeConfig())


@pytest.mark.parametrize("error", [ModelError("it is too small"), FetchError("the server is gone")])
def test_a_probe_that_the_model_does_not_bear_says_so_and_the_others_are_run(error):
    seen = []
    probes = [Counting("broken", error=error), Counting()]
    report = run_probes(BagOfWords(), probes, ProbeConfig(), on_result=seen.append)
    assert report.readings[0].skipped == str(error)
    assert report.readings[0].measures == ()
    assert report.readings[1].answer == "Done."
    assert seen == list(report.readings)


def test_when_nothing_can_be_run_the_first_reason_is_the_error():
    probes = [Counting("a", error=FetchError("gone")), Counting("b", error=ModelError("small"))]
    with pytest.raises(FetchError, match="gone"):
        run_probes(BagOfWords(), probes, ProbeConfig())
    report = run_probes(BagOfWords(), [Counting(skipped="no tokenizer")], ProbeConfig())
    assert report.readings[0].skipped == "no tokenizer"


def test_malformed_data_stops_the_run():
    with pytest.raises(InputError, match="bad row"):
        run_probes(BagOfWords(), [Counting(error=InputError("bad row")), Counting()], ProbeConfig())


def test_a_report_reads_back(tmp_path):
    report = run_probes(BagOfWords(), [Counting()], ProbeConfig())
    report.write(tmp_path / "report.json")
    assert ProbeReport.read(tmp_path / "report.json") == report


def test_what_lies_under_the_store_can_be_reached(tmp_path):
    plain, ours = BagOfWords(), slimvec_model()
    store = VectorStore("x", tmp_path)
    assert bare_model(CachedModel(plain, store)) is plain
    assert bare_model(plain) is plain
    assert embedder_of(CachedModel(ours, store)) is ours.embedder
    assert embedder_of(plain) is None
    assert prompts_of(CachedModel(ours, store)) == ours.embedder.spec.prompts
    assert prompts_of(plain) is None
    kept = CachedModel(plain, store)
    assert (kept.embed(["a"]).vectors == plain.embed(["a"]).vectors).all()


def test_every_probe_in_the_register_is_one():
    probes = choose_probes()
    assert [probe.name for probe in probes] == list(PROBES)
    assert all(probe.question.endswith("?") for probe in probes)
    assert [probe.name for probe in choose_probes(["attention"])] == ["attention"]


def test_an_unknown_probe_is_refused_with_the_list():
    with pytest.raises(InputError, match=r"no probe 'smell'; expected one of .*instruction, .*attention"):
        choose_probes(["smell"])


@pytest.mark.parametrize("name", PROBES)
def test_the_register_knows_which_outside_sets_a_probe_asks_for(name, monkeypatch):
    asked = set()
    monkeypatch.setattr(ProbeConfig, "folder", lambda _, folder: asked.add(folder))
    (probe,) = choose_probes([name])
    run_probes(slimvec_model(), [probe], ProbeConfig(amount="tiny", max_tokens=64))
    assert asked == set(PROBES[name].sets)
