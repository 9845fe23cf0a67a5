"""Tasks of every kind on local sets, scored by mteb through slimvec and by mteb with sentence-transformers alone."""

import json

import numpy as np
import pytest

from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.errors import FetchError, InputError
from slimvec.evaluation.local_tasks import load_task
from slimvec.evaluation.peers import SentenceTransformersModel
from slimvec.evaluation.retrieval import score_retrieval
from slimvec.evaluation.samples import merge_identical
from slimvec.evaluation.scoring import MtebEncoder, evaluate_suite, run_task
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.suite import SHIPPED, Suite, TaskEntry, read_suite
from slimvec.evaluation.vector_store import VectorStore
from slimvec.model.folder import save_model
from slimvec.text.prompts import Prompts, Task
from tests import tiny
from tests.evaluation.local_sets import suite_of_all_kinds, write_rows, write_sets

SUITE = suite_of_all_kinds()
UNITS = {
    "find": ("queries", "mean"),
    "find-by-language": ("queries", "mean"),
    "find-across": ("queries", "mean"),
    "rerank": ("queries", "mean"),
    "rerank-bm25": ("queries", "mean"),
    "sts": ("pairs", "pseudo-values"),
    "pairs": ("pairs", "pseudo-values"),
    "kinds": ("texts", "mean"),
    "clusters": ("experiments", "mean"),
    "both": ("sentences", "mean"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model without prompts, so that all readers use it alike."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(tiny.embedding_model(prompts=Prompts()), folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return SlimvecModel.load(str(folder), dtype="float32")


@pytest.fixture(scope="module")
def report(model, data):
    return evaluate_suite(model, SUITE, data=data, num_resamples=200)


def test_every_kind_of_task_gets_a_score_an_interval_and_values(report):
    assert {task.task: (task.unit, task.method) for task in report.tasks} == UNITS
    for task in report.tasks:
        assert task.score.low <= task.score.value <= task.score.high
        for subset in task.subsets:
            assert np.mean(subset.values) == pytest.approx(subset.score.value, abs=1e-9)
            assert subset.score.value == pytest.approx(subset.metrics["main_score"], abs=2e-5)
            assert (subset.truncated_share, subset.num_texts > 0, subset.num_tokens > 0) == (0.0, True, True)
    assert {"mteb", "slimvec", "torch"} <= report.versions.keys()


def test_subsets_are_languages_or_pairs_of_them_and_share_their_questions(report):
    tasks = {task.task: task for task in report.tasks}
    assert [subset.subset for subset in tasks["find-across"].subsets] == ["aa-bb", "bb-aa"]
    one, other = tasks["find-across"].subsets
    assert one.sample_ids == other.sample_ids
    assert len(one.sample_ids) == 15
    assert set(one.sample_ids) < {f"q{n}" for n in range(0, 48, 2)}
    assert [subset.subset for subset in tasks["sts"].subsets] == ["a", "b"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning", "ignore:To copy construct")
@pytest.mark.parametrize("name", UNITS)
def test_sentence_transformers_and_mteb_alone_give_the_same_scores(name, report, folder, data):
    from mteb.models import SentenceTransformerEncoderWrapper

    loaded = load_task(SUITE.only([name]).tasks[0], data)
    alone = loaded.task.evaluate(
        SentenceTransformerEncoderWrapper(str(folder), device="cpu"),
        "test",
        list(loaded.subsets),
        encode_kwargs={"batch_size": 32, "show_progress_bar": False},
    )
    ours = next(task for task in report.tasks if task.task == name)
    assert {s.subset: pytest.approx(s.metrics["main_score"], abs=1e-4) for s in ours.subsets} == {
        subset: scores["main_score"] for subset, scores in alone.items()
    }


def test_a_model_of_sentence_transformers_goes_the_same_way(report, folder, data):
    peer = SentenceTransformersModel.load(str(folder))
    assert (peer.card.kind, peer.card.dims, peer.card.max_tokens) == ("sentence-transformers", 32, 200)
    found = evaluate_suite(peer, SUITE.only(["find", "sts"]), data=data, num_resamples=200)
    for task in found.tasks:
        ours = next(other for other in report.tasks if other.task == task.task)
        assert task.score.value == pytest.approx(ours.score.value, abs=1e-4)
        assert [(s.num_texts, s.num_tokens, s.truncated_share) for s in task.subsets] == [
            (s.num_texts, s.num_tokens, s.truncated_share) for s in ours.subsets
        ]
        assert task.dataset_hash == ours.dataset_hash


def test_mteb_s_retrieval_is_the_light_one_s(report, folder, data):
    embedder = Embedder.load(folder, dtype="float32")
    light = score_retrieval(embedder, read_retrieval_set(data / "find"))
    ours = next(task for task in report.tasks if task.task == "find").subsets[0]
    assert light.score.value == pytest.approx(ours.score.value, abs=1e-5)
    values = dict(zip(light.subsets[0].sample_ids, light.values, strict=True))
    # `align` is the same in both languages, so that it does not name a query of the whole set: ids do.
    assert dict(zip(ours.sample_ids, ours.values, strict=True)) == pytest.approx(values, abs=1e-5)


def test_a_protocol_lends_its_settings_and_its_name_for_prompts(data, model):
    entry = TaskEntry(
        name="mine", kind="classification", folder="kinds", file="test.jsonl", train_file="train.jsonl",
        protocol="Banking77Classification",
    )  # fmt: skip
    loaded = load_task(entry, data)
    assert (loaded.task.n_experiments, loaded.task.samples_per_label) == (10, 8)
    encoder = MtebEncoder(model, instructions={"Banking77Classification": "Say what is to be done with it"})
    found = run_task(loaded, encoder, num_resamples=10)
    assert (found.protocol, found.kind) == ("Banking77Classification", "Classification")
    with pytest.raises(InputError, match="STS13 is a task of type STS; expected Classification"):
        load_task(entry.model_copy(update={"protocol": "STS13"}), data)
    with pytest.raises(InputError, match="mteb has no task 'Banking78'"):
        load_task(entry.model_copy(update={"protocol": "Banking78"}), data)


def test_prompts_are_those_of_role_and_task_and_are_recorded(data):
    prompts = Prompts(
        query="Do: {task}\n", document="Doc: ",
        tasks={"retrieval": Task(instruction="find it"), "sts": Task(instruction="", symmetric=True)},
    )  # fmt: skip
    embedder = Embedder.from_model(tiny.embedding_model(prompts=prompts))
    model = SlimvecModel(embedder, name="m", identity="m")
    chosen = SUITE.only(["find", "sts", "both", "kinds"])
    told = [task.model_copy(update={"instruction": "say what"}) for task in chosen.tasks]
    found = evaluate_suite(model, Suite(name="s", tasks=tuple(told)), data=data, num_resamples=10)
    assert {task.task: task.subsets[0].prompts for task in found.tasks} == {
        "find": {"query": "Do: say what\n", "document": "Doc: "},
        "sts": {"both": ""},
        "kinds": {"both": "Do: say what\n"},
        "both": {"both": ""},
    }


def test_the_store_gives_the_same_report_without_the_model(report, model, data, tmp_path):
    class Refusing:
        card, prompt, render = model.card, staticmethod(model.prompt), staticmethod(model.render)

        def embed(self, *_, **__):
            raise AssertionError("everything should be in the store")

    store = VectorStore("id", tmp_path)
    suite = SUITE.only(["find", "sts", "kinds"])
    first = evaluate_suite(model, suite, data=data, store=store, num_resamples=200)
    again = evaluate_suite(Refusing(), suite, data=data, store=store, num_resamples=200)
    timeless = [[task.model_copy(update={"seconds": 0}) for task in found.tasks] for found in (first, again)]
    assert timeless[0] == timeless[1]
    direct = {task.task: task.score.value for task in report.tasks}
    assert {task.task: task.score.value for task in first.tasks} == pytest.approx(
        {name: direct[name] for name in ("find", "sts", "kinds")}
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folder": "none"}, "task t: no folder .*none; expected its data; check --data"),
        ({"subsets": ("c",)}, "task t has no subset 'c'; expected one of a, b"),
        ({"score": "grade"}, r"alike/test.jsonl:1: grade is None; expected a number"),
        ({"first": "s0"}, r"alike/test.jsonl:1: s0 is a NoneType"),
        ({"where": {"lang": "x"}}, r"alike/test.jsonl has no rows with lang = x; expected at least one"),
        ({"by": "year"}, r"alike/test.jsonl:1: no field 'year'; expected the subset there"),
        ({"kind": "pair_classification", "label": "score"}, r"score is 2; expected 0 or 1"),
        ({"kind": "bitext", "across": ("a-c",), "id": "lang"}, "task t has no language 'c'; expected a, b"),
    ],
)
def test_bad_sets_are_told(changes, message, data):
    values = {"name": "t", "kind": "sts", "folder": "alike", "file": "test.jsonl", "by": "lang", **changes}
    with pytest.raises(InputError, match=message):
        load_task(TaskEntry(**values), data)


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        (
            "sts",
            {"score": 2},
            "task t has 12 samples with 1 different values; expected at least 4 pairs with different",
        ),
        ("sts", {"score": float("nan")}, "test.jsonl:1: score is nan; expected a number"),
        ("sts", {"score": 10**400}, "test.jsonl:1: score is 10+; expected a number"),
        ("pair_classification", {"label": 1}, "expected at least two pairs of label 1 and one of label 0"),
        ("pair_classification", {"label": 0}, "expected at least two pairs of label 1 and one of label 0"),
        ("classification", {"label": "x"}, "expected at least examples of two labels"),
        ("clustering", {"label": "x"}, "expected at least texts of two labels"),
    ],
)
def test_a_set_without_a_score_is_refused_before_anything_is_embedded(kind, row, message, tmp_path):
    rows = [{"text": f"text {n}", "s1": f"one {n}", "s2": f"two {n}", **row} for n in range(12)]
    for name in ("test.jsonl", "train.jsonl"):
        write_rows(tmp_path / "t" / name, rows)
    with pytest.raises(InputError, match=message):
        load_task(TaskEntry(name="t", kind=kind, file="test.jsonl", train_file="train.jsonl"), tmp_path)


@pytest.mark.filterwarnings("ignore:An input array is constant")  # scipy says so to mteb; we say it in a line
def test_pairs_that_a_model_cannot_order_are_told_with_their_task(model, tmp_path):
    write_rows(tmp_path / "t" / "test.jsonl", [{"s1": "one", "s2": "two", "score": n} for n in range(12)])
    loaded = load_task(TaskEntry(name="t", kind="sts", file="test.jsonl"), tmp_path)
    with pytest.raises(InputError, match="task t, default: a rank correlation of 12 samples needs four, and different"):
        run_task(loaded, MtebEncoder(model))


def test_an_empty_text_is_told_with_the_task(model, tmp_path):
    write_rows(tmp_path / "t" / "corpus.jsonl", [{"id": "d", "title": "t", "text": "x"}])
    write_rows(tmp_path / "t" / "queries.jsonl", [{"id": "q", "text": "x"}])
    write_rows(tmp_path / "t" / "qrels.jsonl", [{"query_id": "q", "doc_id": "d", "score": 1}])
    loaded = load_task(TaskEntry(name="t", kind="retrieval"), tmp_path)
    loaded.task.dataset["default"]["test"]["queries"] = loaded.task.dataset["default"]["test"]["queries"].map(
        lambda row: {**row, "text": " "}
    )
    with pytest.raises(InputError, match="t, default, query: text 0 is empty"):
        run_task(loaded, MtebEncoder(model))


def test_a_task_of_the_hub_without_the_hub_is_told(data):
    with pytest.raises(
        FetchError, match=r"the data of STS13 cannot be fetched .*; check the network and HF_HUB_OFFLINE"
    ):
        load_task(TaskEntry(name="x", hub="STS13"), data)
    with pytest.raises(InputError, match="SummEval is a task of type Summarization; expected one of Retrieval, Rer"):
        load_task(TaskEntry(name="x", hub="SummEval"), data)
    with pytest.raises(InputError, match="mteb has no task 'STS99'"):
        load_task(TaskEntry(name="x", hub="STS99"), data)


def test_a_measure_without_values_is_told(data, model):
    loaded = load_task(SUITE.only(["find"]).tasks[0], data)
    loaded.task.metadata = loaded.task.metadata.model_copy(update={"main_score": "mrr_at_10"})
    with pytest.raises(InputError, match="task find: mteb keeps no values behind the measure mrr_at_10"):
        run_task(loaded, MtebEncoder(model))


def test_identical_queries_are_merged_with_all_their_judgements(tmp_path):
    write_rows(tmp_path / "corpus.jsonl", [{"id": "a", "text": "x"}, {"id": "b", "text": "y"}])
    write_rows(tmp_path / "queries.jsonl", [{"id": "1", "text": "same"}, {"id": "2", "text": "same"}])
    grades = [{"query_id": "1", "doc_id": "a", "score": 1}, {"query_id": "2", "doc_id": "b", "score": 1}]
    write_rows(tmp_path / "qrels.jsonl", grades)
    merged = merge_identical(read_retrieval_set(tmp_path))
    assert ([query.id for query in merged.queries], merged.qrels) == (["1"], {"1": {"a": 1, "b": 1}})


def test_a_limit_keeps_the_same_queries_whatever_else_is_there(data):
    def queries(limit):
        loaded = load_task(TaskEntry(name="find", kind="retrieval", by="lang", limit=limit), data)
        return set(loaded.task.dataset["aa"]["test"]["queries"]["id"])

    assert queries(5) < queries(10) < queries(None)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_suites_are_read(name):
    suite = read_suite(name)
    assert suite.name == name
    assert suite.about


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: [", "s.yaml is not valid YAML"),
        ("{name: s, tasks: []}", "s.yaml: tasks: .*at least 1 item"),
        ("{name: s, tasks: [{name: a}]}", "tasks.0: a task needs either kind"),
        ("{name: s, tasks: [{name: a, kind: sts, colour: red}]}", "tasks.0.colour: Extra inputs"),
        ("{name: s, tasks: [{name: a, kind: sts}, {name: a, kind: sts}]}", "task a occurs twice"),
        ("{name: s, tasks: [{name: a, kind: sts, across: [x-y]}]}", "across goes with retrieval and bitext"),
        ("{name: s, tasks: [{name: a, kind: bitext, by: lang, across: [x]}]}", "should be two values"),
    ],
)
def test_bad_suites_are_told(text, message, tmp_path):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_suite(tmp_path / "s.yaml")


def test_an_unknown_suite_or_task_is_told():
    with pytest.raises(InputError, match="no suite 'best'; expected a YAML file, or one of core, full, multilingual"):
        read_suite("best")
    with pytest.raises(InputError, match="suite core has no task 'x'; expected one of cacm"):
        read_suite("core").only(["x"])


def test_reports_hold_plain_json(report, tmp_path):
    report.write(tmp_path / "r.json")
    values = json.loads((tmp_path / "r.json").read_text())
    assert values["tasks"][0]["subsets"][0]["sample_ids"]
