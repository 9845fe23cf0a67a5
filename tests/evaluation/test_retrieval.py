import json

import numpy as np
import pytest

from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.errors import InputError
from slimvec.evaluation.local_tasks import load_task
from slimvec.evaluation.results import EvaluationResult, Score, package_versions
from slimvec.evaluation.retrieval import bm25_card, num_texts, score_bm25, score_retrieval
from slimvec.evaluation.suite import TaskEntry
from slimvec.text.embeddings import Embeddings
from tests.evaluation.local_sets import write_rows

WORDS = ["red", "green", "blue", "black", "white"]
DATASET = RetrievalSet(
    "colours",
    tuple(Document(f"d{word}", f"all about {word}", title="Colours") for word in WORDS),
    tuple(Query(f"q{word}", word) for word in WORDS),
    {f"q{word}": {f"d{word}": 1} for word in WORDS},
    num_unjudged=2,
)
PROMPTS = {"query": "find: ", "document": ""}


def embeddings(vectors, *, num_truncated=0):
    """Vectors of three tokens a text, the first texts truncated."""
    truncated = (np.arange(len(vectors)) < num_truncated).astype(np.int8)
    return Embeddings(vectors, np.full(len(vectors), 3, dtype=np.int32), truncated)


class WordEmbedder:
    """One axis a word; calls are written down."""

    def __init__(self):
        self.calls = []

    def embed(self, texts, *, role, task=None, on_progress=None):
        self.calls.append((role, task, list(texts)))
        rows = np.array([[float(word in text.split()) for word in WORDS] for text in texts], dtype=np.float32)
        if on_progress is not None:
            on_progress(len(texts))
        return embeddings(rows / np.linalg.norm(rows, axis=1, keepdims=True), num_truncated=int(role == "document"))


class Refusing:
    def embed(self, *_, **__):
        raise InputError("text 3 has no tokens", expected="text", do="leave it out")


def test_a_model_is_scored_with_roles_titles_and_progress():
    embedder, told = WordEmbedder(), []
    result = score_retrieval(embedder, DATASET, prompts=PROMPTS, task="colour", on_progress=told.append)
    assert [(role, task) for role, task, _ in embedder.calls] == [("document", "colour"), ("query", "colour")]
    assert embedder.calls[0][2][0] == "Colours all about red"
    assert sum(told) == num_texts(DATASET) == 10
    assert {name: score.value for name, score in result.metrics.items()} == dict.fromkeys(
        ["ndcg_at_10", "mrr_at_10", "recall_at_1", "recall_at_10", "recall_at_100"], 1.0
    )
    assert (result.num_samples, result.num_documents, result.num_unjudged) == (5, 5, 2)
    assert result.truncated_share == 0.1
    assert result.values.tolist() == [1.0] * 5
    (subset,) = result.subsets
    assert (subset.prompts, subset.num_texts, subset.num_tokens) == (PROMPTS, 10, 30)
    assert subset.metrics == {name: score.value for name, score in result.metrics.items()}
    assert subset.other_metrics["mrr_at_10"].values == (1.0,) * 5
    assert result.dataset_hash == DATASET.content_hash


def test_a_model_that_finds_nothing_scores_low():
    class Reversed(WordEmbedder):
        def embed(self, texts, **settings):
            found = super().embed(texts, **settings)
            return embeddings(-found.vectors) if settings["role"] == "query" else found

    result = score_retrieval(Reversed(), DATASET)
    assert result.metrics["recall_at_1"].value == 0
    assert result.score.value == pytest.approx(1 / np.log2(6))  # the right one comes last, of five


def test_bm25_gives_the_same_kind_of_result():
    result = score_bm25(DATASET)
    assert result.score == Score(value=1.0, low=None, high=None)
    assert (bm25_card().name, bm25_card().identity) == ("BM25", "bm25s lucene k1=1.5 b=0.75")
    assert bm25_card(split_identifiers=True).name == "BM25, identifiers split"


def test_the_same_seed_gives_the_same_interval():
    first, again = (score_bm25(DATASET, seed=4).model_copy(update={"seconds": 0.0}) for _ in range(2))
    assert first == again


def test_an_error_names_the_set_and_the_role():
    with pytest.raises(InputError, match="colours, document: text 3 has no tokens; expected text; leave it out"):
        score_retrieval(Refusing(), DATASET)


def evaluation(**changes):
    return EvaluationResult(model=bm25_card(), tasks=(score_bm25(DATASET),), versions=package_versions(), **changes)


def test_results_survive_their_file(tmp_path):
    result = evaluation()
    result.write(tmp_path / "scores.json")
    assert EvaluationResult.read(tmp_path / "scores.json") == result
    assert {"python", "slimvec", "torch"} <= result.versions.keys()
    with pytest.raises(InputError, match=r"scores.json exists; expected a new path; pass --force to replace it"):
        result.write(tmp_path / "scores.json")
    result.write(tmp_path / "scores.json", force=True)


def test_results_of_older_files_are_read_and_their_keys_still_written(tmp_path):
    result = evaluation(seed=3)
    result.write(tmp_path / "scores.json")
    written = json.loads((tmp_path / "scores.json").read_text())
    today = {"kind", "protocol", "measure", "score", "unit", "method", "subsets"}
    older = {"tasks": [{key: value for key, value in task.items() if key not in today} for task in written["tasks"]]}
    assert set(older["tasks"][0]) == {
        "task", "system", "metrics", "query_ids", "per_query", "num_queries", "num_documents", "num_unjudged",
        "own_left_out", "truncated_share", "instruction", "seconds", "seed", "dataset_hash", "versions",
    }  # fmt: skip
    assert older["tasks"][0]["per_query"]["recall_at_1"] == [1.0] * 5
    (tmp_path / "older.json").write_text(json.dumps(older))
    assert EvaluationResult.read(tmp_path / "older.json") == result


def test_files_that_hold_no_results_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none.json cannot be read: No such file .*; expected the results of an eval"):
        EvaluationResult.read(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"tasks": [], "model": {"name": "", "identity": ""}, "versions": {}, "x": 1}')
    with pytest.raises(InputError, match=r"other.json: x: Extra inputs are not permitted"):
        EvaluationResult.read(tmp_path / "other.json")
    (tmp_path / "torn.json").write_text('{"tasks": [')
    with pytest.raises(InputError, match=r"torn.json: .*Invalid JSON"):
        EvaluationResult.read(tmp_path / "torn.json")


def arguments(relevant=None, texts=None):
    """Queries that are documents themselves, as in ArguAna: each is to find the argument against it."""
    documents = [Document(f"{word}{side}", f"{word} {side}") for word in WORDS for side in ("pro", "con")]
    texts = texts or {word: f"{word} pro" for word in WORDS}
    queries = [Query(f"{word}pro", texts[word]) for word in WORDS]
    qrels = {f"{word}pro": relevant(word) if relevant else {f"{word}con": 1} for word in WORDS}
    return RetrievalSet("arguments", tuple(documents), tuple(queries), qrels)


class ArgumentEmbedder(WordEmbedder):
    """As above, with a little of the side in it: every text is nearest to itself."""

    def embed(self, texts, **_):
        axes = [*WORDS, "pro"]
        rows = np.array([[float(axis in text.split()) for axis in axes] for text in texts], np.float32)
        return embeddings(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_a_query_that_is_a_document_does_not_find_itself():
    own, other = arguments(), arguments()
    renamed = tuple(Query(f"q{query.id}", query.text) for query in other.queries)
    apart = RetrievalSet("apart", other.documents, renamed, {f"q{name}": row for name, row in other.qrels.items()})
    for score in (lambda part: score_retrieval(ArgumentEmbedder(), part), score_bm25):
        found = score(own)
        assert found.own_left_out
        assert {name: value.value for name, value in found.metrics.items()} == dict.fromkeys(found.metrics, 1.0)
        itself_first = score(apart)
        assert not itself_first.own_left_out
        assert itself_first.score.value == pytest.approx(1 / np.log2(3))  # .631


def test_equal_ids_that_are_the_answer_or_mere_numbers_leave_nothing_out():
    answer = arguments(relevant=lambda word: {f"{word}pro": 1})
    numbers = arguments(texts={word: f"who likes {word}?" for word in WORDS})
    for part in (answer, numbers, DATASET):
        assert not part.leaves_out_own
    assert score_bm25(answer).metrics["recall_at_1"].value == 1
    titles = arguments(texts={word: word.upper() for word in WORDS})  # a query that stands in its document is its own
    assert titles.leaves_out_own


def test_mteb_leaves_out_the_same_documents(tmp_path):
    part = arguments()
    write_rows(tmp_path / "own" / "corpus.jsonl", [{"id": d.id, "text": d.text} for d in part.documents])
    write_rows(tmp_path / "own" / "queries.jsonl", [{"id": q.id, "text": q.text} for q in part.queries])
    qrels = [{"query_id": q, "doc_id": d, "score": 1} for q, row in part.qrels.items() for d in row]
    write_rows(tmp_path / "own" / "qrels.jsonl", qrels)
    entry = TaskEntry(name="own", kind="retrieval")
    assert load_task(entry, tmp_path).task.ignore_identical_ids
    again = load_task(TaskEntry(name="own", kind="reranking", candidates="bm25"), tmp_path)
    ranked = again.task.dataset["default"]["test"]["top_ranked"]
    assert all(query not in found[:-1] for query, found in ranked.items())
