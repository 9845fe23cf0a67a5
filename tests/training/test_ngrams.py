"""n-grams of the documents that answer a query: drawn, learnt as a plain reference learns, and found by search."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.records import Record
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.model.folder import save_model
from slimvec.model.lm_head import LMHead, tied_head
from slimvec.model.opening import open_model
from slimvec.ranking.ngrams import MAX_LENGTH
from slimvec.search.generative import GenerativeIndex, GenerativeSettings
from slimvec.text.batch import PackedBatch
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.ngram_targets import TargetDocument, read_targets, shared_characters
from slimvec.training.batches.sources import read_training_data
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.training_run import train
from slimvec.training.step.ngrams import NGramSteps
from slimvec.training.step.prediction import TrainableStates
from tests import tiny
from tests.training import support

RECORDS = [
    Record(
        "who sat on a mat", ("the cat sat on the mat", "a cat, sitting"), titles=("Cats", "A title of many letters")
    ),
    Record("where do birds sing", ("birds sing in the north and in the south",), titles=("Birds",)),
    Record("red or blue", ("red and blue " * 6,)),
    Record("a plain text of some words", ("a plain text of some words",)),
    Record("x", ("x",)),
]


def steps(*overrides, records=RECORDS):
    settings = support.recipe("objective={kind: ngrams, queries: 3}", *overrides)
    made = tiny.embedding_model("gemma3_text")
    return made, NGramSteps(records, settings, tokenizer=made.tokenizer, head=tied_head(made.backbone))


def drawing(*overrides):
    """Steps that are asked for their targets alone."""
    settings = support.recipe("objective={kind: ngrams, queries: 3}", *overrides)
    tokenizer = Tokenizer(tiny.tokenizer_backend(), max_tokens=200)
    return NGramSteps(RECORDS, settings, tokenizer=tokenizer, head=LMHead(lambda: torch.zeros(1)))


def ids(text):
    return tiny.tokenizer_backend().encode(text).ids


def prompt(query):
    return ids(f"Question: {query}\nPassage:")


@pytest.mark.parametrize("micro_batch_tokens", [1, 64, 4096])
def test_loss_and_gradient_equal_a_plain_reference(micro_batch_tokens):
    made, work = steps(f"batch.micro_batch_tokens={micro_batch_tokens}", "objective.targets=2")
    made.requires_grad_(True)
    targets, _ = work._targets(0)
    weight, losses = made.backbone.hf_model.get_input_embeddings().weight, []
    for target in targets:
        whole = [*target.asked, *target.tokens.tolist()]
        states = made.backbone(PackedBatch.from_sequences([whole]))
        logs = torch.log_softmax(states.double() @ weight.double().T, dim=-1)
        losses += [-logs[place - 1, whole[place]] for place in range(len(target.asked), len(whole))]
    wanted = torch.stack(losses).mean()
    wanted.backward()
    grads = {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}
    made.zero_grad()
    step = work.backward(0, TrainableStates(made))
    assert step.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert step.tokens == sum(len(target.asked) + len(target.tokens) - 1 for target in targets)
    assert len(targets) == 2 * 5  # fewer records than twice the queries of a step are one step
    for name, parameter in made.named_parameters():
        if name in grads:
            torch.testing.assert_close(parameter.grad, grads[name], rtol=2e-3, atol=1e-5)


@given(
    seed=st.integers(0, 50),
    queries=st.integers(1, 6),
    tokens=st.integers(1, 16),
    shares=st.tuples(st.sampled_from([0, 0.5, 1]), st.sampled_from([0, 0.5, 1])),
)
def test_every_record_asks_once_an_epoch_for_what_its_documents_hold(seed, queries, tokens, shares):
    settings = {"queries": queries, "tokens": tokens, "targets": 2, "span_share": shares[0], "title_share": shares[1]}
    changes = [f"run.seed={seed}", *(f"objective.{key}={value}" for key, value in settings.items())]
    work, other = drawing(*changes), drawing(*changes)
    for epoch in range(2):
        first, last = work.num_steps(epoch), work.num_steps(epoch + 1)
        found = [target for number in range(first, last) for target in work._targets(number)[0]]
        again = [target for number in range(first, last) for target in other._targets(number)[0]]
        assert [(t.asked, t.tokens.tolist()) for t in found] == [(t.asked, t.tokens.tolist()) for t in again]
        assert len(found) == 2 * len(RECORDS)
        assert work._targets(last - 1)[1] == epoch + 1
        by_query = {tuple(prompt(record.query)): record for record in RECORDS[:3]}
        for target in found:
            record = by_query.get(tuple(target.asked))
            texts = record.positives if record else [text for one in RECORDS for text in one.positives]
            names = record.titles if record else [name for one in RECORDS for name in one.titles]
            is_title = any(target.tokens.tolist() == ids(f" {name}")[:MAX_LENGTH] for name in names)
            assert is_title or any(occurs(target.tokens.tolist(), ids(f" {text.strip()}")) for text in texts)
            assert is_title or 1 <= len(target.tokens) <= tokens
            if record is None:  # a span of a document
                span = bytes_of(target.asked).removeprefix("Question: ").removesuffix("\nPassage:")
                assert any(span in text for text in texts)


def occurs(part, whole):
    return any(whole[start : start + len(part)] == part for start in range(len(whole) - len(part) + 1))


def bytes_of(tokens):
    return tiny.tokenizer_backend().decode(tokens)


def document(text):
    return read_targets([text], Tokenizer(tiny.tokenizer_backend(), max_tokens=5))[0]


def test_ngrams_are_drawn_by_how_much_of_them_the_query_has():
    text, query = "An old cat sat on a mat", "the Old Cat"
    made, size, bias = document(text), 8, 3.0
    spaced = f" {text}"
    at_words = [i for i in range(len(spaced) - size + 1) if spaced[i] != " " and spaced[i - 1] == " "]
    shared = [False] * len(spaced)
    for start in range(len(spaced) - 3):
        if spaced[start : start + 4].lower() in ("the ", "he o", "e ol", " old", "old ", "ld c", "d ca", " cat"):
            shared[start : start + 4] = [True] * 4
    weights = {i: np.exp(bias * np.mean(shared[i : i + size])) for i in at_words}
    dice = np.random.Generator(np.random.PCG64(0))
    drawn = [bytes_of(made.draw(dice, tokens=size, query=query, bias=bias)) for _ in range(4000)]
    for place, weight in weights.items():
        share = drawn.count(spaced[place : place + size]) / len(drawn)
        assert share == pytest.approx(weight / sum(weights.values()), abs=0.03)
    alike = [bytes_of(made.draw(dice, tokens=size)) for _ in range(2000)]
    assert all(alike.count(spaced[i : i + size]) / 2000 == pytest.approx(1 / len(at_words), abs=0.04) for i in at_words)


def test_runs_are_shared_whatever_the_capitals_and_their_length():
    assert shared_characters("İstanbul CITY", "istanbul city").tolist() == [False] + [True] * 12
    assert not shared_characters("abc", "abc").any()


@given(st.text(st.sampled_from("ab é中.\n"), min_size=1, max_size=30).filter(str.strip), st.integers(1, 16))
def test_a_span_and_its_ngram_do_not_overlap(text, tokens):
    made = document(text)
    dice = np.random.Generator(np.random.PCG64(len(text)))
    for _ in range(3):
        span, ngram = made.draw_pair(dice, tokens=tokens)
        assert span
        assert span in text
        whole = made.ids.tolist()
        assert occurs(ngram.tolist(), whole)
        assert 1 <= len(ngram) <= tokens
        if text.isascii() and span != text.strip():
            rest = [
                [*whole[:i], -1, *whole[i + len(span) :]]
                for i in range(len(whole))
                if ids(span) == whole[i : i + len(span)]
            ]
            assert any(occurs(ngram.tolist(), one) for one in rest)


def test_a_document_of_one_token_asks_for_itself():
    made = TargetDocument(" x", np.array([7], dtype=np.int32), np.array([0, 2]), np.array([True]))
    span, ngram = made.draw_pair(np.random.Generator(np.random.PCG64(0)), tokens=3)
    assert (span, ngram.tolist()) == ("x", [7])


def test_long_queries_are_cut_and_counted():
    records = [Record("a question of more letters than there is room for", ("cat",)), Record("short", ("dog",))]
    made, work = steps("batch.max_query_tokens=30", "objective.span_share=0", "objective.targets=1", records=records)
    step = work.backward(0, TrainableStates(made))
    assert step.truncated == 1
    asked = sorted((bytes_of(target.asked) for target in work._targets(0)[0]), key=len)
    assert asked == ["Question: short\nPassage:", "Question: a question\nPassage:"]
    with pytest.raises(
        InputError, match=r"19 tokens for a query with its prompt; expected at least 20; raise batch.max"
    ):
        steps("batch.max_query_tokens=19")


def test_titles_are_as_long_as_what_search_can_write():
    longest = "cats" * MAX_LENGTH
    records = [Record("a", ("b",), titles=(longest,))]
    _, work = steps("objective.title_share=1", records=records)
    assert all(target.tokens.tolist() == ids(f" {longest}")[:MAX_LENGTH] for target in work._targets(0)[0])
    with pytest.raises(InputError, match=r"objective.tokens is 17; expected less than or equal to 16"):
        support.recipe("objective={kind: ngrams, tokens: 17}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model.attention=bidirectional"],
            "ngrams with bidirectional attention predicts what it reads; set model.att",
        ),
        (["validation={share: 0.1}"], "validation scores vectors, and objective ngrams trains what the model writes"),
        (["tuning.first_layer=1", "run.cache_states=1"], "cache_states with objective ngrams, which draws other texts"),
        (["data.0.rearrange={rotate: 1}"], "rearrange belongs to pairs, and objective ngrams writes documents as they"),
        (["objective.span=0.1"], r"unknown key 'objective.span'.*did you mean 'span_share'"),
    ],
)
def test_settings_that_contradict_it_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        support.recipe("objective={kind: ngrams}", *overrides)


TRAINING = """\
base: {source: in-memory}
data: [{path: pairs.jsonl}]
objective: {kind: ngrams, queries: 6, targets: 4, tokens: 6, span_share: 0}
tuning: {rank: 8, alpha: 16}
optim: {lr: 0.01}
batch: {max_query_tokens: 60}
run: {steps: 40, seed: 3, dtype: fp32}
"""
FOR_VECTORS = ("objective={kind: contrastive}", "batch.max_query_tokens=200")
ANSWERS = {"alpha?": "zebra stripes", "beta?": "quiet lake", "gamma?": "foggy dew", "delta?": "mild vinegar"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny.save_causal_model(folder / "base", initializer_range=0.3)
    rows = ({"query": query, "positive": f"the {answer}", "title": answer} for query, answer in ANSWERS.items())
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def recipe(base, *overrides):
    given = (f"base.source={base / 'base'}", f"data_root={base}", *overrides)
    return parse_recipe(TRAINING, overrides=given)


@pytest.fixture(scope="module")
def trained(base):
    """The same training, saved as an adapter and as whole weights."""
    events = []
    train(recipe(base, "tuning.merge=false"), base / "adapter", on_step=[events.append])
    train(recipe(base), base / "merged")
    return events


def scores(folder, **how):
    """Scores of every document, and log-probabilities of the positives' first n-grams, by query."""
    language = Embedder.load(folder, dtype="float32", **how).language_model
    index = GenerativeIndex(language, settings=GenerativeSettings(num_beams=12, max_length=4))
    index.add([f"{answer} the {answer}" for answer in ANSWERS.values()])
    found = np.stack([index.scores(query) for query in ANSWERS])
    likelihoods = []
    for query, answer in ANSWERS.items():
        asked, target = prompt(query), ids(f" {answer}")[:6]
        states = language.causal_lm.backbone(PackedBatch.from_sequences([[*asked, *target]]))
        logs = language.causal_lm.head.logits(states).log_softmax(-1)
        likelihoods.append(sum(float(logs[len(asked) - 1 + i, token]) for i, token in enumerate(target)))
    return found, np.array(likelihoods)


@torch.inference_mode()
def test_a_trained_model_writes_its_positives_and_finds_them(base, trained):
    losses = [event.loss for event in trained]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    raw_scores, raw = scores(base / "base")
    found_scores, found = scores(base / "merged")
    assert (found > raw + 3).all(), (raw, found)
    ranks = [(rows >= np.diag(rows)[:, None]).sum(axis=1) for rows in (raw_scores, found_scores)]
    assert ranks[1].sum() < ranks[0].sum(), ranks
    assert (ranks[1] == 1).all(), ranks


@pytest.mark.usefixtures("trained")
@torch.inference_mode()
def test_adapter_and_whole_weights_write_alike_on_every_engine(base):
    for name in ("adapter", "merged"):
        opened = open_model(base / name)
        assert opened.is_language_model
        assert opened.is_adapter == (name == "adapter")
    wanted, likelihoods = scores(base / "merged")
    for folder, engine in (("merged", "transformers"), ("adapter", "auto"), ("adapter", "transformers")):
        found, others = scores(base / folder, engine=engine)
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(others, likelihoods, atol=2e-3)


@pytest.mark.usefixtures("trained")
def test_an_adapter_for_vectors_on_a_trained_writer_leaves_it_writing(base):
    overrides = (*FOR_VECTORS, "tuning={rank: 8, merge: false}", "run.steps=2", f"base.source={base / 'merged'}")
    train(recipe(base, *overrides), base / "both")
    assert not open_model(base / "both").is_language_model
    with torch.inference_mode():
        found, likelihoods = scores(base / "both")
        wanted, others = scores(base / "merged")
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(likelihoods, others, atol=2e-3)
    query = ["alpha?"]
    vectors = [Embedder.load(base / name).embed_queries(query) for name in ("both", "merged")]
    assert not np.allclose(*vectors, atol=1e-3)


def test_resumed_equals_uninterrupted(base):
    def interrupt(event):
        if event.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    overrides = ("run.steps=6", "tuning={rank: 8, alpha: 16, dropout: 0.1}")
    assert not train(recipe(base, *overrides), base / "out", on_step=[interrupt]).finished
    train(recipe(base, *overrides), base / "out", resume=True)
    train(recipe(base, *overrides), base / "whole")
    weights = [(base / name / "model.safetensors").read_bytes() for name in ("out", "whole")]
    assert weights[0] == weights[1]


def test_a_bidirectional_base_is_refused(base, tmp_path):
    save_model(tiny.embedding_model("gemma3_text", "bidirectional"), tmp_path / "other")
    with pytest.raises(
        InputError, match=r"n-grams written by .* which is bidirectional; expected causal attention, so"
    ):
        train(recipe(base, f"base.source={tmp_path / 'other'}"), tmp_path / "out")


def test_titles_are_read_kept_and_else_named_as_unread(base, tmp_path):
    result = train(recipe(base, "run.steps=1"), tmp_path / "out")
    assert result.stages[0].data[0].unread == ()
    by_id = [{"id": answer, "text": f"the {answer}", "title": answer} for answer in ANSWERS.values()]
    asked = [{"query": query, "positive_id": answer} for query, answer in ANSWERS.items()]
    for name, rows in (("passages", by_id), ("asked", asked)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = f"data=[{{path: {tmp_path}/asked.jsonl, passages: {tmp_path}/passages.jsonl}}]"
    records, _ = read_training_data(recipe(base, sources))
    assert [(one.positives, one.titles) for one in records] == [((f"{a} the {a}",), (a,)) for a in ANSWERS.values()]
    other = recipe(base, "run.steps=1", *FOR_VECTORS)
    assert train(other, tmp_path / "other").stages[0].data[0].unread == ("title",)
