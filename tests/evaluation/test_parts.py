"""Suites that score parts of sets, and BM25 on them: the same part each time, paired with any model's scores."""

import pytest

from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.evaluation.comparing import compare_reports
from slimvec.evaluation.lexical import evaluate_bm25
from slimvec.evaluation.local_tasks import load_task
from slimvec.evaluation.samples import part_of, read_samples
from slimvec.evaluation.scoring import evaluate_suite
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.suite import Suite, TaskEntry
from tests import tiny
from tests.evaluation.local_sets import write_sets

WHOLE = RetrievalSet(
    "made",
    tuple(Document(f"d{i}", f"text {i} " * 9) for i in range(30)),
    tuple(Query(f"q{i}", f"query {i}") for i in range(10)),
    {f"q{i}": {f"d{2 * i}": 1, f"d{2 * i + 1}": 0} for i in range(10)},
)
JSONL = {"file": "test.jsonl", "train_file": "train.jsonl"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("sets"))


def test_a_part_holds_what_its_queries_ask_for_and_is_the_same_each_time():
    part = part_of(WHOLE, queries=4, documents=12, characters=20)
    assert (len(part.queries), len(part.documents)) == (4, 12)
    kept = {document.id for document in part.documents}
    for query in part.queries:
        assert any(grade > 0 for name, grade in part.qrels[query.id].items() if name in kept)
        assert part.qrels[query.id].keys() <= kept
    assert max(len(document.text) for document in part.documents) == 20
    assert part.content_hash == part_of(WHOLE, queries=4, documents=12, characters=20).content_hash
    crowded = part_of(WHOLE, queries=4, documents=2, characters=20)
    assert (len(crowded.queries), len(crowded.documents)) == (2, 2)
    assert part_of(WHOLE).content_hash == WHOLE.content_hash


def test_a_part_across_languages_has_the_same_questions_in_each_pair(data):
    entry = TaskEntry(
        name="across", kind="retrieval", folder="find", by="lang", across=("aa-bb", "bb-aa"), limit=5, documents=9
    )
    parts = load_task(entry, data).task.dataset
    for part in parts.values():
        assert (len(part["test"]["queries"]), len(part["test"]["corpus"])) == (5, 9)
    asked = [{name.rpartition("-")[2] for name in part["test"]["queries"]["id"]} for part in parts.values()]
    assert asked[0] == asked[1]


def test_texts_are_cut_and_examples_are_few(data):
    entry = TaskEntry(name="kinds", kind="classification", characters=7, examples=2, experiments=3, **JSONL)
    samples = read_samples(entry, data)["default"]
    assert max(map(len, samples.columns["text"])) == 7
    assert sorted(samples.train["label"]) == ["close", "close", "open", "open", "read", "read", "write", "write"]
    assert load_task(entry, data).task.n_experiments == 3
    whole = read_samples(TaskEntry(name="kinds", kind="classification", **JSONL), data)["default"]
    assert len(whole.train["label"]) == 24
    cut = TaskEntry(name="find", kind="retrieval", characters=6)
    assert set(map(len, load_task(cut, data).task.dataset["default"]["test"]["corpus"]["text"])) == {6}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "sts", "documents": 9}, "documents goes with retrieval and reranking, not with sts"),
        ({"kind": "sts", "examples": 9}, "examples goes with classification, not with sts"),
        ({"kind": "clustering", "experiments": 9}, "experiments goes with classification, not with clustering"),
    ],
)
def test_options_of_other_kinds_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TaskEntry(name="t", **changes)


def test_bm25_pairs_with_a_model_on_the_retrieval_tasks(data):
    suite = Suite(
        name="s",
        tasks=(
            TaskEntry(name="find", kind="retrieval", limit=12, documents=30),
            TaskEntry(name="both", kind="retrieval", folder="find", by="lang", across=("aa-bb", "bb-aa"), limit=12),
            TaskEntry(name="sts", kind="sts", folder="alike", file="test.jsonl"),
        ),
    )
    found = evaluate_bm25(suite, data=data, num_resamples=100)
    assert [task.task for task in found.tasks] == ["find", "both"]
    assert found.tasks[0].score.value > 0.3
    assert [subset.subset for subset in found.tasks[1].subsets] == ["aa-bb", "bb-aa"]
    model = SlimvecModel(Embedder.from_model(tiny.embedding_model()), name="m", identity="m")
    scored = evaluate_suite(model, suite, data=data, num_resamples=100)
    compared = compare_reports(scored, found, num_resamples=100)
    assert [task.num_samples for task in compared.tasks] == [12, 12]
    assert [task.second for task in compared.tasks] == [task.score.value for task in found.tasks]
    with pytest.raises(InputError, match="suite s has no retrieval task; expected sets of documents and queries"):
        evaluate_bm25(suite.only(["sts"]), data=data)
