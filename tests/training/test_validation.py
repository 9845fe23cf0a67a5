"""Validation: what is held out, the measures against a plain reference, and that the run does not feel it."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.records import Record
from slimvec.errors import InputError, TrainingError
from slimvec.text.embeddings import Embeddings
from slimvec.training.recipe import Validation
from slimvec.training.run.checkpoints import Progress
from slimvec.training.run.schedule import Span
from slimvec.training.run.validation import HeldOutRetrieval, TrainingEmbedder, split_by_query, split_records
from slimvec.training.run.watching import watch_collapse
from tests import tiny
from tests.training import support


def record(query, positive="p", negatives=()):
    return Record(query=query, positives=(positive,), negatives=negatives)


@given(st.permutations(range(30)))
def test_what_is_held_out_does_not_depend_on_the_order_and_no_query_is_on_both_sides(order):
    records = [record(f"query {number % 20}", f"answer {number}") for number in order]
    for settings in (Validation(count=5), Validation(share=0.3)):
        split = split_by_query(records, settings)
        held = {r.query for r in split.validation}
        usual = split_by_query([record(f"query {n % 20}", f"answer {n}") for n in range(30)], settings)
        assert held == {r.query for r in usual.validation}
        assert held.isdisjoint(r.query for r in split.training)
        assert len(split.training) + len(split.validation) == 30
        assert [records[number] for number in split.numbers] == split.training


def test_counts_and_shares_are_about_kept():
    records = [record(f"query {number}") for number in range(2000)]
    assert len(split_by_query(records, Validation(count=100)).validation) == 100
    assert 140 < len(split_by_query(records, Validation(share=0.1)).validation) < 260
    larger = {r.query for r in split_by_query(records, Validation(share=0.2)).validation}
    assert {r.query for r in split_by_query(records, Validation(share=0.1)).validation} < larger


def test_a_file_of_its_own_takes_its_queries_out_of_the_training_data():
    records = [record(f"query {number}") for number in range(10)]
    others = [record("Query  3", "x"), record("new", "y")]
    split = split_by_query(records, Validation(path="held.jsonl"), others)
    assert split.validation == others
    assert [r.query for r in split.training] == [r.query for r in records if r.query != "query 3"]


def test_too_few_on_either_side():
    records = [record(f"query {number}") for number in range(4)]
    with pytest.raises(
        InputError, match=r"leaves 1 records to train on and 3 to score on; expected at least 2 of each"
    ):
        split_by_query(records, Validation(count=3))


class Fixed:
    """An embedder with given vectors."""

    def __init__(self, vectors):
        self.vectors = vectors

    def embed(self, texts, *, role, task=None, on_progress=None):  # noqa: ARG002  as the protocol has it
        rows = np.stack([self.vectors[(role, task, text)] for text in texts])
        return Embeddings.uncounted(rows)


@given(st.integers(0, 10_000))
def test_measures_equal_a_plain_reference(seed):
    dice = np.random.default_rng(seed)
    documents = [f"d{number}" for number in range(15)]
    records = []
    for number in range(6):
        chosen = dice.choice(documents, size=4, replace=False).tolist()
        task = None if number % 2 else "other"
        records.append(Record(f"q{number}", tuple(chosen[:2]), tuple(chosen[2:]), task=task))
    vectors = {}
    for role, texts in (("query", [r.query for r in records]), ("document", documents)):
        for text in texts:
            vector = dice.normal(size=8).astype(np.float32)
            for task in (None, "other"):
                vectors[(role, task, text)] = vector / np.linalg.norm(vector)
    found = HeldOutRetrieval(records)(Fixed(vectors))
    present = {text for r in records for text in (*r.positives, *r.negatives)}
    gains, ranks = [], []
    for r in records:
        query = vectors[("query", None, r.query)]
        order = sorted(present, key=lambda text: -float(query @ vectors[("document", None, text)]))[:10]
        places = [place for place, text in enumerate(order) if text in r.positives]
        best = sum(1 / math.log2(place + 2) for place in range(len(r.positives)))
        gains.append(sum(1 / math.log2(place + 2) for place in places) / best)
        ranks.append(1 / (places[0] + 1) if places else 0)
    rows = np.stack([vectors[("document", None, text)] for text in present]).astype(np.float64)
    cosines = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
    assert found["ndcg_at_10"] == pytest.approx(np.mean(gains))
    assert found["mrr_at_10"] == pytest.approx(np.mean(ranks))
    assert found["mean_cosine"] == pytest.approx(cosines.mean(), abs=1e-6)


def test_the_trainee_embeds_as_the_model_does():
    settings = support.recipe("batch.micro_batch_tokens=64")
    made = support.model(settings).eval()
    texts = ["one", "another text", "x" * 300]
    found = TrainingEmbedder(made, settings.batch).embed(texts, role="query")
    tokenized = made.tokenizer.tokenize(texts[:2], prompt=made.spec.prompts.render("query"))
    with torch.no_grad():
        wanted = made(tokenized.pack()).numpy()
    np.testing.assert_allclose(found.vectors[:2], wanted, rtol=1e-5, atol=1e-6)
    assert found.num_truncated == 1


def scores(*values):
    """An evaluation that gives these, one after the other, and draws random numbers on the way."""
    coming = iter(values)

    def evaluate():
        torch.rand(7)
        return {"ndcg_at_10": next(coming), "mrr_at_10": 0.5}

    return evaluate


VALIDATED = ("validation={count: 4, every_steps: 2}", "tuning={rank: 4, dropout: 0.2}")


def test_the_course_of_a_run_does_not_feel_it(tmp_path):
    plain = support.recipe(VALIDATED[1])
    settings = support.recipe(*VALIDATED, "validation.keep=last")
    without, with_it = support.model(plain), support.model(settings)
    support.trainer(tmp_path / "plain", plain, made=without).run()
    support.trainer(tmp_path / "other", settings, made=with_it, evaluate=scores(0.1, 0.2, 0.3, 0.4)).run()
    wanted = support.trained(without)
    assert all(torch.equal(wanted[name], weight) for name, weight in support.trained(with_it).items())


def test_the_best_weights_are_kept(tmp_path):
    settings = support.recipe(*VALIDATED)
    short, whole = support.model(settings), support.model(settings)
    events = []

    class StopError(Exception):
        pass

    def stop(event):
        if event.step == 3:
            raise StopError

    with pytest.raises(StopError):
        support.trainer(tmp_path / "short", settings, made=short, evaluate=scores(0, 0.5), on_step=[stop]).run()
    again = support.model(settings)
    best = support.trainer(tmp_path / "short", settings, made=again, evaluate=scores(0.4, 0.3))
    assert best.resume().step == 2
    outcome = best.run()
    support.trainer(
        tmp_path / "whole", settings, made=whole, evaluate=scores(0, 0.5, 0.4, 0.3), on_validation=[events.append]
    ).run()
    assert outcome.progress.best.step == 2
    assert outcome.progress.first_score == 0
    assert outcome.progress.last_score == 0.3
    assert [(event.step, event.best, event.measures["ndcg_at_10"]) for event in events] == [
        (0, False, 0), (2, True, 0.5), (4, False, 0.4), (6, False, 0.3),
    ]  # fmt: skip
    two_steps = support.recipe(*VALIDATED, "validation.keep=last")
    wanted = support.trained(whole)
    assert all(torch.equal(wanted[name], weight) for name, weight in support.trained(again).items())
    after_two = support.model(two_steps)
    with pytest.raises(StopError):
        support.trainer(tmp_path / "two", two_steps, made=after_two, evaluate=scores(0, 0.5), on_step=[stop]).run()
    assert any(not torch.equal(wanted[name], weight) for name, weight in support.trained(after_two).items())
    lines = [json.loads(line) for line in (tmp_path / "short" / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], "measures" in line) for line in lines] == [
        (0, True), (1, False), (2, False), (2, True), (3, False), (4, False), (4, True), (5, False), (6, False),
        (6, True),
    ]  # fmt: skip


def test_patience_ends_the_run(tmp_path):
    settings = support.recipe("validation={count: 4, every_steps: 1, patience: 2}")
    outcome = support.trainer(tmp_path, settings, evaluate=scores(0, 0.5, 0.4, 0.4, 9)).run()
    assert (outcome.finished, outcome.progress.step, outcome.progress.best.step) == (True, 3, 1)


def test_a_measure_that_nobody_gives(tmp_path):
    settings = support.recipe("validation={count: 4, metric: other/recall}")
    with pytest.raises(InputError, match=r"validation.metric is 'other/recall'; expected one of mrr_at_10, ndcg_at_10"):
        support.trainer(tmp_path, settings, evaluate=scores(0.1)).run()


def collapse(cosines, *, warmup=0.0):
    settings = support.recipe("run.collapse_steps=3", f"optim.warmup={warmup}")
    progress = Progress(run_id="r")
    for number, cosine in enumerate(cosines):
        progress = watch_collapse(progress, cosine, Span(number / 10, (number + 1) / 10), settings)
    return progress


def test_vectors_that_collapse_stop_the_run():
    message = (
        r"the vectors have collapsed: in the last 3 steps .* above 0\.980 \(0\.9960 at step 1, 0\.800 at the start\); "
        r"expected at most run\.collapse_limit \(0\.98\); lower optim\.lr \(0\.01\) or loss\.temperature \(0\.1\)"
    )
    with pytest.raises(TrainingError, match=message):
        collapse([0.8, 0.99, 0.995, 0.996])


def test_raw_models_that_begin_near_one_do_not():
    assert collapse([0.99, 0.99, 0.99, 0.985, 0.99, 0.9]).collapsed == 0
    assert collapse([0.8, 0.99, 0.99, 0.9, 0.99]).collapsed == 1
    assert collapse([0.8, 0.99, 0.99, 0.99], warmup=0.5).collapsed == 0
    assert collapse([None, None]).first_cosine is None
    with pytest.raises(TrainingError, match="collapsed"):
        collapse([0.99, 0.999, 0.999, 0.999])


def test_a_run_that_collapses_ends(tmp_path):
    settings = support.recipe("run.collapse_steps=2", "run.collapse_limit=0.05", "optim.warmup=0")
    made = support.model(settings)
    real = made.forward

    def same(batch):
        vectors = real(batch)
        return vectors * 1e-4 + torch.eye(vectors.shape[1])[0] if len(seen) else vectors

    seen = []
    made.forward = same
    with pytest.raises(TrainingError, match="the vectors have collapsed"):
        support.trainer(tmp_path, settings, made=made, on_step=[seen.append]).run()


def test_a_file_that_shares_text_with_the_training_data_is_refused(tmp_path):
    long = " ".join(f"word{number}" for number in range(20))
    rows = [{"query": "a new question", "positive": long}, {"query": "another", "positive": "short"}]
    path = tmp_path / "held.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = support.recipe(f"validation.path={path}")
    records = [record(f"query {number}", f"answer {number}") for number in range(20)]
    assert split_records(records, recipe).shared_text.share == 0
    leaking = [*records, record("an old question", f"As was said: {long}")]
    with pytest.raises(
        InputError, match=r"1 of 21 training records \(4\.8%\).* 1 of 2 queries of .*validation\.max_sh"
    ):
        split_records(leaking, recipe)
    let_pass = support.recipe(f"validation.path={path}", "validation.max_shared=0.6")
    assert split_records(leaking, let_pass).shared_text.num_shared == 1


def test_a_vector_that_is_no_numbers_ends_an_evaluation_and_names_its_text():
    made = tiny.embedding_model("bert", "bidirectional")
    token = made.tokenizer.backend.encode("\u0007").ids[0]
    with torch.no_grad():
        made.backbone.hf_model.embeddings.word_embeddings.weight[token] = 3e38
    embedder = TrainingEmbedder(made, support.recipe().batch)
    assert embedder.embed(["fine"], role="query").vectors.shape == (1, 32)
    with pytest.raises(TrainingError, match=r"evaluating in training: text 1 \('a bell .*'\) has a vector with NaN"):
        embedder.embed(["fine", "a bell \u0007"], role="query")
