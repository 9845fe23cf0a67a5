"""The update of token embeddings: what it begins with, that it learns, and that a run with it can be taken up again."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError
from slimvec.model.adapters import add_lora, embedding_layer, embedding_scale, has_fresh_embeddings, start_embeddings
from slimvec.model.folder import load_model, save_model
from slimvec.model.frozen_layers import num_frozen
from slimvec.model.spec import LoraSettings
from slimvec.training.run.training_run import train
from slimvec.training.step.token_vectors import token_vectors
from tests import tiny
from tests.training import support
from tests.training.support import LetterTeacher

WORDS = ["red", "blue", "the", "north"]
TEXTS = [record.positives[0] for record in support.records()]
SETTINGS = LoraSettings(rank=2, alpha=4, embedding_rank=5)


def slow(backend, sequences, embed, vocabulary, rank):
    """The formula of the module, token by token."""
    counts = np.zeros(vocabulary)
    for sequence in sequences:
        for number in sequence:
            counts[number] += 1
    said = {}
    for number in range(vocabulary):
        text = backend.decode([number]).strip()
        if any(char.isalnum() for char in text) and "\ufffd" not in text:
            said[number] = embed([text])[0].astype(np.float64)
    total = sum(counts[number] for number in said)
    mean = sum(said.values()) / len(said)
    rows = {n: (v - mean) * 1e-3 / (1e-3 + (counts[n] + 0.5) / total) for n, v in said.items()}
    moments = sum((counts[n] + 1) * np.outer(row, row) for n, row in rows.items())
    values, axes = np.linalg.eigh(moments)
    order = np.argsort(-values)[:rank]
    result = np.zeros((vocabulary, rank))
    for number, row in rows.items():
        result[number] = row @ axes[:, order]
    return result


def embed_with(teacher):
    return lambda texts: teacher(texts, "document", None)


def test_tokens_begin_where_the_teacher_has_them():
    model = tiny.embedding_model()
    backend, vocabulary = model.tokenizer.unlimited(), model.backbone.config.vocab_size
    sequences = model.tokenizer.tokenize(TEXTS).sequences
    embed, shares = embed_with(LetterTeacher(9)), []
    found = token_vectors(backend, sequences, embed, vocabulary=vocabulary, rank=4, on_share=shares.append)
    expected = slow(backend, sequences, embed, backend.get_vocab_size(), 4)
    assert found.shape == (vocabulary, 4)
    assert shares[0] == 0
    products = found[: len(expected)].double() @ found[: len(expected)].double().T  # whatever the axes' signs
    torch.testing.assert_close(products, torch.from_numpy(expected @ expected.T), rtol=1e-4, atol=1e-6)
    silent = [n for n in range(backend.get_vocab_size()) if not any(map(str.isalnum, backend.decode([n])))]
    assert silent
    assert not found[silent].any()


def test_of_a_large_vocabulary_the_tokens_that_the_texts_have_most_often_are_asked_for(monkeypatch):
    monkeypatch.setattr("slimvec.training.step.token_vectors.MAX_TOKENS", 7)
    model = tiny.embedding_model()
    backend, vocabulary = model.tokenizer.unlimited(), model.backbone.config.vocab_size
    sequences = model.tokenizer.tokenize(TEXTS).sequences
    embed = embed_with(LetterTeacher(9))
    found = token_vectors(backend, sequences, embed, vocabulary=vocabulary, rank=4, on_share=lambda _: None)
    kept = found.any(dim=1).nonzero().flatten().tolist()
    counts = np.bincount(np.concatenate(sequences), minlength=vocabulary)
    words = [n for n in range(backend.get_vocab_size()) if any(map(str.isalnum, backend.decode([n])))]
    assert len(kept) == 7
    assert min(counts[kept]) >= max(counts[list(set(words) - set(kept))])


def test_a_rank_beyond_the_teacher_s_width_is_refused():
    model = tiny.embedding_model()
    with pytest.raises(InputError, match="embedding_rank 10 with a teacher of 9 numbers"):
        token_vectors(
            model.tokenizer.unlimited(),
            [[1]],
            embed_with(LetterTeacher(9)),
            vocabulary=model.backbone.config.vocab_size,
            rank=10,
            on_share=lambda _: None,
        )


def test_a_fresh_update_changes_nothing_and_freezes_no_layer():
    model = tiny.embedding_model()
    batch = tiny.random_batch([5, 3])
    before = model(batch)
    add_lora(model.backbone, SETTINGS.model_copy(update={"first_layer": 1}), seed=3)
    assert torch.equal(model(batch), before)
    assert has_fresh_embeddings(model.backbone)
    assert num_frozen(model.backbone) == 0
    layer = embedding_layer(model.backbone)
    assert float(layer.lora_embedding_A["default"].detach().std()) == pytest.approx(0.04, rel=1e-3)
    assert layer.scaling["default"] == pytest.approx(embedding_scale(layer.base_layer.weight), rel=1e-3)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert sum("lora_embedding" in name for name in trained) == 2
    assert all("lora_" in name for name in trained)


def test_an_update_that_learnt_is_not_fresh_and_a_model_without_one_has_none():
    model = tiny.embedding_model()
    assert not has_fresh_embeddings(model.backbone)
    with pytest.raises(ModelError, match="no adapter on the token embeddings"):
        start_embeddings(model.backbone, torch.ones(3, 3))
    add_lora(model.backbone, SETTINGS)
    with torch.no_grad():
        embedding_layer(model.backbone).lora_embedding_B["default"][0, 0] = 1
    assert not has_fresh_embeddings(model.backbone)


def test_a_rank_above_the_width_is_refused():
    with pytest.raises(ModelError, match="embedding_rank 33; expected at most 32"):
        add_lora(tiny.embedding_model().backbone, LoraSettings(rank=2, embedding_rank=33))


@pytest.fixture
def recipe(tmp_path):
    save_model(tiny.embedding_model(), tmp_path / "base")
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    given = [
        f"base.source={tmp_path / 'base'}",
        f"data.0.path={tmp_path / 'texts.txt'}",
        "run.steps=10",
        "optim.lr=0.01",
        "tuning={method: lora, rank: 2, alpha: 4, embedding_rank: 4, merge: false}",
        "objective={kind: text-vectors, teachers: [big], texts: 9, max_tokens: 60, axes: own, projection: true}",
    ]
    return lambda *overrides: support.recipe(*given, *overrides)


def run(recipe, output, **more):
    losses = []
    train(recipe, output, on_step=[lambda e: losses.append(e.loss)], open_teacher=lambda _: LetterTeacher(), **more)
    return losses


def table(folder):
    return {name: tensor for name, tensor in load_file(folder / "adapter_model.safetensors").items() if "embed" in name}


def test_a_run_moves_the_embeddings_and_its_adapter_alone_gives_its_vectors(tmp_path, recipe):
    losses = run(recipe(), tmp_path / "out")
    assert losses[-1] < losses[0]
    assert all(tensor.any() for tensor in table(tmp_path / "out").values())
    fused, plain = (
        Embedder.load(tmp_path / "out", engine=engine, dtype="float32") for engine in ("fused", "transformers")
    )
    found, expected = (embedder.embed(["red and blue"]).vectors for embedder in (fused, plain))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    base = Embedder.load(tmp_path / "base", dtype="float32").embed(["red and blue"]).vectors
    assert abs(found - base).max() > 1e-3


def test_an_adapter_with_tokens_is_trained_on_from_where_it_was(tmp_path, recipe):
    first = run(recipe(), tmp_path / "out")
    said = []
    on = run(recipe(f"base.source={tmp_path / 'out'}", "run.steps=1"), tmp_path / "on", remark=said.append)
    assert on[0] < first[0]
    assert not any("tokens alone" in line for line in said)
    found, before = (table(tmp_path / name) for name in ("on", "out"))
    assert found.keys() == before.keys()
    assert all(0 < float((found[name] - before[name]).abs().max()) < 0.05 for name in found)


def test_other_readers_have_its_embeddings_too(tmp_path, recipe):
    run(recipe(), tmp_path / "out")
    expected = Embedder.load(tmp_path / "out", dtype="float32").embed(["red and blue"]).vectors
    save_model(load_model(tmp_path / "out"), tmp_path / "merged")
    merged = Embedder.load(tmp_path / "merged", dtype="float32").embed(["red and blue"]).vectors
    np.testing.assert_allclose(merged, expected, atol=1e-5)
    plain = SentenceTransformer(str(tmp_path / "merged"), device="cpu").encode(["red and blue"])
    np.testing.assert_allclose(plain, expected, atol=1e-5)
    table = load_file(tmp_path / "merged" / "model.safetensors")["embed_tokens.weight"]
    untrained = load_file(tmp_path / "base" / "model.safetensors")["embed_tokens.weight"]
    assert int((table != untrained).any(dim=1).sum()) > 20


def test_a_later_stage_trains_it_on_and_does_not_begin_again(tmp_path, recipe):
    stages = "stages=[{name: one, run: {steps: 6}}, {name: two, run: {steps: 1}, optim: {lr: 1.0e-6}}]"
    run(recipe("run={seed: 3, dtype: fp32}", stages), tmp_path / "two")
    run(recipe("run.steps=6"), tmp_path / "one")
    one, two = table(tmp_path / "one"), table(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)


def test_recipes_that_do_not_go_with_it_are_refused():
    with pytest.raises(InputError, match="embedding_rank with next-token, which predicts tokens"):
        support.recipe("tuning.embedding_rank=4", "adaptation={objective: next-token}", "model.attention=causal")
    with pytest.raises(InputError, match="cache_states without frozen layers"):
        support.recipe("tuning={method: lora, first_layer: 1, embedding_rank: 4}", "run.cache_states=1")
    with pytest.raises(InputError, match="embedding_rank belongs to method lora"):
        support.recipe("tuning={method: full, embedding_rank: 4}")
