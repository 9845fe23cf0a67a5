"""log p(query | document), against plain transformers in double precision; text; and whose weights say it."""

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.embedder import Embedder
from slimvec.engine.likelihood import LikelihoodPrompt, StateStore, tokenise
from slimvec.errors import InputError, ModelError
from slimvec.model.adapters import add_lora
from slimvec.model.architectures import DECODERS
from slimvec.model.folder import load_model, save_model
from slimvec.model.spec import LoraSettings
from slimvec.text.tokenizer import Tokenizer
from tests import tiny
from tests.engine.causal_models import merging_backend

QUERIES = ["who sat?", "a", "where is the mat, then?"]
DOCUMENTS = ["the cat sat on the mat", "x", "north and south are not the same " * 3]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "base"
    tiny.save_causal_model(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base):
    """An adapter on the base that changes its states."""
    folder = base.parent / "adapter"
    adapted = load_model(base)
    add_lora(adapted.backbone, LoraSettings(rank=2))
    with torch.no_grad():
        for name, parameter in adapted.backbone.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    save_model(adapted, folder, merged=False)
    save_model(adapted, base.parent / "merged")
    return folder


def plain_likelihood(folder, queries, documents, pairs, prompt):
    """By transformers in double precision, text by text, from the characters on: the tokenizer has one token a byte."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    backend = tiny.tokenizer_backend()
    found = []
    for query, document in pairs:
        ids = backend.encode(f"{prompt.before}{documents[document]}{prompt.behind} {queries[query].strip()}").ids
        num_query = len(backend.encode(" " + queries[query].strip()).ids)
        with torch.no_grad():
            logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        own = range(len(ids) - num_query, len(ids))
        found.append(sum(float(logs[place - 1, ids[place]]) for place in own) / num_query)
    return found


@pytest.mark.parametrize("engine", ["fused", "transformers"])
@pytest.mark.parametrize("kept", [0, 1 << 30])
def test_it_is_transformers_own(base, engine, kept):
    model = Embedder.load(base, engine=engine, dtype="float32").language_model
    model.keep_documents(kept)
    pairs = [(query, document) for query in range(3) for document in range(3)]
    prompt = LikelihoodPrompt()
    wanted = plain_likelihood(base, QUERIES, DOCUMENTS, pairs, prompt)
    for _ in range(2):  # the second time, states are kept
        found = model.log_likelihood(QUERIES, DOCUMENTS)
        np.testing.assert_allclose(found.values.ravel(), wanted, atol=2e-5)
    some = [(2, 1), (0, 2), (1, 2), (1, 0)]
    chosen = model.log_likelihood(QUERIES, DOCUMENTS, pairs=some, normalise=False)
    numbers = np.array([len(" " + QUERIES[query]) for query, _ in some])
    np.testing.assert_allclose(chosen.values / numbers, [wanted[3 * q + d] for q, d in some], atol=2e-5)


@pytest.mark.parametrize("architecture", DECODERS)
def test_every_architecture_appends_as_it_runs_whole(tmp_path, architecture):
    config = tiny.hf_model(architecture).config
    torch.manual_seed(1)
    transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(tmp_path / "m")
    transformers.PreTrainedTokenizerFast(tokenizer_object=tiny.tokenizer_backend()).save_pretrained(tmp_path / "m")
    model = Embedder.load(tmp_path / "m", engine="fused", dtype="float32").language_model
    appended = model.log_likelihood(QUERIES, DOCUMENTS)
    one_by_one = [model.log_likelihood([query], DOCUMENTS) for query in QUERIES]
    np.testing.assert_allclose(appended.values, np.concatenate([found.values for found in one_by_one]), atol=1e-5)
    lengths = [len(tokens) for tokens in tokens_of(model).documents]
    assert appended.num_computed == sum(lengths) + 3 * sum(len(query) for query in QUERIES)
    assert sum(found.num_computed for found in one_by_one) == appended.num_computed + 2 * sum(lengths)
    assert appended.num_tokens == sum(found.num_tokens for found in one_by_one)


def tokens_of(model):
    return tokenise(model.tokenizer, QUERIES, DOCUMENTS, prompt=LikelihoodPrompt(), max_document_tokens=999)


def test_a_kept_document_costs_its_queries_alone(base):
    model = Embedder.load(base, dtype="float32").language_model
    model.keep_documents(1 << 30)
    first, again = (model.log_likelihood(QUERIES[:1], DOCUMENTS) for _ in range(2))
    assert first.num_computed > again.num_computed == 3 * len(QUERIES[0])
    np.testing.assert_allclose(first.values, again.values, atol=1e-6)


def test_the_store_holds_what_fits_and_what_was_asked_for_last(base):
    model = Embedder.load(base, dtype="float32").language_model
    model.keep_documents(1 << 30)
    model.log_likelihood(["a"], ["abc", "abd"])
    states = [model._store.get(tokens) for tokens in tokens_of_documents(model, ["abc", "abd"])]
    size = states[0].num_bytes
    store = StateStore(2 * size)
    for number in range(3):
        store.put([number], states[0])
        assert store.get([0]) is not None
    assert store.get([1]) is None
    assert len(store) == 2
    small = StateStore(size - 1)
    small.put([1], states[0])
    assert len(small) == 0


def tokens_of_documents(model, documents):
    return tokenise(model.tokenizer, ["a"], documents, prompt=LikelihoodPrompt(), max_document_tokens=999).documents


def test_documents_are_cut_and_counted(base):
    model = Embedder.load(base, dtype="float32", max_tokens=20).language_model
    whole, cut = model.log_likelihood(["a b"], ["the cat sat", "the cat sat on the mat, the mat, the mat"]), 20 - 9
    assert whole.num_truncated == 1
    other = model.log_likelihood(["a b"], ["the cat sat on the mat, the mat, the mat"[:cut]])
    assert whole.values[0, 1] == pytest.approx(other.values[0, 0], abs=1e-5)
    assert model.log_likelihood(["a b"], ["the cat sat on the mat"], max_document_tokens=50).num_truncated == 0


def test_what_cannot_be_asked(base):
    model = Embedder.load(base, dtype="float32").language_model
    with pytest.raises(InputError, match="no pairs of queries and documents; expected at least one"):
        model.log_likelihood(["a"], [])
    with pytest.raises(InputError, match="text 1 is empty"):
        model.log_likelihood(["a"], ["a", " "])
    with pytest.raises(InputError, match="a query that leaves a document no room; expected fewer tokens than the 256"):
        model.log_likelihood(["a" * 300], ["a"])
    with pytest.raises(InputError, match="a query that leaves a document no room"):
        model.log_likelihood(["a" * 246], ["a"])
    with pytest.raises(InputError, match="a text of 256 tokens; expected under 256"):
        model.generate("a" * 300)


@given(st.text("abc: é日", min_size=1, max_size=9).filter(str.strip), st.sampled_from(["\nQ:", "a", ": "]))
def test_a_document_has_the_same_tokens_whatever_is_asked(query, behind):
    tokenizer = Tokenizer(merging_backend(), max_tokens=240)
    prompt = LikelihoodPrompt(before="p ", behind=behind)
    alone = tokenise(tokenizer, ["x"], ["abab cab"], prompt=prompt, max_document_tokens=99)
    found = tokenise(tokenizer, [query], ["abab cab"], prompt=prompt, max_document_tokens=99)
    assert found.documents == alone.documents
    assert tokenizer.backend.decode(found.queries[0]).strip() == query.strip()


def test_special_tokens_open_a_document_and_none_closes_it():
    tokenizer = Tokenizer(tiny.bracketing_backend(), max_tokens=240)
    found = tokenise(tokenizer, ["q"], ["d" * 30], prompt=LikelihoodPrompt("p", "b"), max_document_tokens=4)
    opening = tokenizer.backend.token_to_id("[CLS]")
    inner = [tokenizer.backend.token_to_id(letter) for letter in "pddbĠq"]
    assert found.documents == [[opening, *inner[:3], inner[3]]]
    assert found.queries == [inner[4:]]
    assert found.num_truncated == 1


@pytest.mark.parametrize("engine", ["fused", "transformers"])
def test_an_adapter_is_on_for_vectors_and_off_for_language(base, adapter, engine):
    plain, adapted = (Embedder.load(folder, engine=engine, dtype="float32") for folder in (base, adapter))
    merged = Embedder.load(base.parent / "merged", engine=engine, dtype="float32")
    before = adapted.embed_documents(DOCUMENTS)
    wanted = plain.language_model.log_likelihood(QUERIES, DOCUMENTS).values
    for embedder in (adapted, merged):
        np.testing.assert_allclose(embedder.language_model.log_likelihood(QUERIES, DOCUMENTS).values, wanted, atol=1e-5)
        written = [e.language_model.generate("the cat", max_new_tokens=8) for e in (plain, embedder)]
        assert written[0] == written[1]
    np.testing.assert_array_equal(adapted.embed_documents(DOCUMENTS), before)
    assert np.abs(plain.embed_documents(DOCUMENTS) - before).max() > 0.01
    shares = adapted.language_model.causal_lm.head.weight().data_ptr()
    if engine == "transformers":
        assert shares == adapted.backbone.hf_model.get_input_embeddings().weight.data_ptr()


def test_a_model_shares_its_backbone_with_its_language(base):
    embedder = Embedder.load(base, dtype="float32")
    assert embedder.language_model is embedder.language_model
    assert embedder.language_model.causal_lm.backbone is embedder.backbone
    calibrated = Embedder.load(base, dtype="float32", recency=0.5)
    found, wanted = (e.language_model.log_likelihood(QUERIES, DOCUMENTS).values for e in (calibrated, embedder))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_text_on_the_fused_decoder_is_text_on_transformers(base):
    written = [
        Embedder.load(base, engine=engine, dtype="float32").language_model.generate(
            "the cat", max_new_tokens=20, temperature=0.8, seed=5
        )
        for engine in ("fused", "transformers")
    ]
    assert written[0] == written[1] != ""


def test_what_has_no_language(tmp_path):
    memory = Embedder.from_model(tiny.embedding_model())
    with pytest.raises(ModelError, match="language model of a model in memory; expected one in a folder; save it"):
        _ = memory.language_model
    save_model(tiny.embedding_model("llama", "bidirectional"), tmp_path / "m")
    with pytest.raises(ModelError, match="was trained as an embedding model and says nothing of its base"):
        _ = Embedder.load(tmp_path / "m").language_model
