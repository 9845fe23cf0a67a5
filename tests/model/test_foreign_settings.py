"""Settings files of other people's folders: each key applied as sentence-transformers does, refused, or warned of."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from slimvec.engine.embedder import Embedder
from slimvec.engine.similarity import as_products
from slimvec.errors import InputError, ModelError, ModelWarning
from slimvec.model.formats_page import MARKER, tables
from slimvec.model.opening import open_model
from slimvec.model.settings_table import FILES
from tests.model.foreign import (
    TEXTS,
    add_dense,
    add_module,
    assert_equals_theirs,
    edit,
    foreign,
    sentence_transformer,
    theirs,
)

LONG = ["a text of some sixty letters, so that a limit of 120 cuts it behind the prompt", *TEXTS]
WHOLE = "config_sentence_transformers.json"


@pytest.fixture
def folder(tmp_path):
    return foreign(tmp_path / "model")


def decided(folder, setting):
    """Value, file and key of what decides a setting."""
    (found,) = [one for one in open_model(folder).decisions if one.setting == setting]
    return found.value, found.file.removeprefix(f"{folder}/"), found.key


def no_limit(folder):
    edit(folder / "sentence_bert_config.json", drop=("max_seq_length",))
    edit(folder / "tokenizer_config.json", drop=("model_max_length",))


@pytest.mark.parametrize(
    ("file", "key", "limit"),
    [
        ("tokenizer_config.json", "model_max_length", 120),
        ("sentence_bert_config.json", "max_seq_length", 120),
        ("sentence_roberta_config.json", "max_seq_length", 120),
        ("config.json", "max_position_embeddings", 256),
    ],
)
def test_the_longest_text_is_read_where_it_is_said(folder, file, key, limit):
    no_limit(folder)
    if file.startswith("sentence_r"):
        (folder / "sentence_bert_config.json").unlink()
    edit(folder / file, **{key: limit})
    assert decided(folder, "max_tokens") == (limit, file, key)
    assert_equals_theirs(folder, Embedder.load(folder), LONG)


def test_the_modules_limit_goes_before_the_tokenizers(folder):
    edit(folder / "tokenizer_config.json", model_max_length=20)
    edit(folder / "sentence_bert_config.json", max_seq_length=120)
    assert decided(folder, "max_tokens") == (120, "sentence_bert_config.json", "max_seq_length")
    assert_equals_theirs(folder, Embedder.load(folder), LONG)


def test_a_model_without_a_limit_reads_as_far_as_its_positions_and_a_plain_one_512(folder):
    no_limit(folder)
    edit(folder / "config.json", max_position_embeddings=4096)
    assert decided(folder, "max_tokens")[0] == 4096
    edit(folder / "config.json", drop=("max_position_embeddings",))
    assert decided(folder, "max_tokens")[0] == sentence_transformer(folder).max_seq_length == 2048
    (folder / "modules.json").unlink()
    assert decided(folder, "max_tokens") == (512, "", "")
    edit(folder / "tokenizer_config.json", model_max_length=100)
    assert decided(folder, "max_tokens") == (100, "tokenizer_config.json", "model_max_length")


def test_small_letters(folder, tmp_path):
    edit(folder / "sentence_bert_config.json", do_lower_case=True)
    loaded = Embedder.load(folder)
    assert loaded.spec.lower_case
    assert_equals_theirs(folder, loaded)
    np.testing.assert_allclose(loaded.embed_queries(["A MiD"]), loaded.embed_queries(["a mid"]), atol=1e-6)
    loaded.save(tmp_path / "saved")
    assert_equals_theirs(tmp_path / "saved", Embedder.load(tmp_path / "saved"))


def test_truncate_dim(folder, tmp_path):
    add_dense(folder, 32, 24)
    edit(folder / WHOLE, truncate_dim=16)
    loaded = Embedder.load(folder)
    assert loaded.dims == 16
    assert_equals_theirs(folder, loaded)
    loaded.save(tmp_path / "saved")
    assert_equals_theirs(tmp_path / "saved", Embedder.load(tmp_path / "saved"))
    edit(folder / WHOLE, truncate_dim=1000)
    assert Embedder.load(folder).dims == 24


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarity_without_normalize(name, folder, tmp_path):
    edit(folder / WHOLE, similarity_fn_name=name)
    Embedder.load(folder).save(tmp_path / "saved")
    for place in (folder, tmp_path / "saved"):
        loaded = Embedder.load(place)
        assert loaded.spec.similarity == name
        queries, documents = theirs(place)
        wanted = sentence_transformer(place).similarity(queries, documents).numpy()
        found = loaded.similarity(loaded.embed_queries(TEXTS), loaded.embed_documents(TEXTS))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        if name == "manhattan":
            with pytest.raises(InputError, match="compares by Manhattan distance"):
                as_products(queries, documents, loaded.spec)
        else:
            first, second = as_products(queries, documents, loaded.spec)
            np.testing.assert_array_equal(np.argsort(first @ second.T), np.argsort(wanted))


def test_a_cut_behind_normalize_keeps_its_length_where_length_counts(folder):
    add_module(folder, "Normalize")
    edit(folder / WHOLE, truncate_dim=16, similarity_fn_name="dot")
    assert_equals_theirs(folder, Embedder.load(folder))
    edit(folder / WHOLE, similarity_fn_name="cosine")
    found = Embedder.load(folder).embed_queries(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    cut = theirs(folder)[0]
    np.testing.assert_allclose(found, cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-5)


PROMPTS = {"query": "q {task}: ", "document": None, "STS": "same? ", "passage": "p: "}


def test_prompts_by_name_and_literal_braces(folder, tmp_path):
    edit(folder / WHOLE, prompts=PROMPTS)
    Embedder.load(folder).save(tmp_path / "saved")
    for place in (folder, tmp_path / "saved"):
        loaded = Embedder.load(place)
        assert_equals_theirs(place, loaded)
        assert loaded.spec.prompts.render("query") == "q {task}: "
        np.testing.assert_allclose(
            loaded.embed_queries(TEXTS, task="STS"), theirs(place, prompt_name="STS")[0], atol=1e-5
        )
        with pytest.raises(InputError, match="prompts have no place for one; expected one of its prompts by name: STS"):
            loaded.embed_queries(TEXTS, task="Find the answer")
        with pytest.raises(InputError, match="task 'Clustering'; expected one of STS, passage, retrieval"):
            loaded.embed_queries(TEXTS, task="Clustering")


def test_the_attention_mode_may_be_said_by_the_module(folder):
    edit(folder / "sentence_bert_config.json", config_args={"is_causal": False, "trust_remote_code": True})
    assert decided(folder, "attention") == ("bidirectional", "sentence_bert_config.json", "config_args")
    assert_equals_theirs(folder, Embedder.load(folder))
    edit(folder / "config.json", drop=("is_causal",))
    with pytest.warns(ModelWarning, match="config_args with is_causal, which counts only if config.json has it too"):
        loaded = Embedder.load(folder)
    assert_equals_theirs(folder, loaded)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", {"auto_map": {"AutoModel": "m.M"}}, "attention is taken to be causal, as config_args says"),
        (
            "config.json",
            {"embedding_noise": 0.1},
            r"config\.json has a key 'embedding_noise' that slimvec does not know",
        ),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["t.T", None]}}, "tokenizer.json counts"),
        ("tokenizer_config.json", {"add_eos_token": True, "eos_token": "<unk>"}, "does not add '<unk>'"),
        ("tokenizer_config.json", {"reverse_text": True}, "a key 'reverse_text'"),
        ("sentence_bert_config.json", {"flip": 1}, "a key 'flip'"),
        (WHOLE, {"score_offset": 1}, "a key 'score_offset'"),
        ("1_Pooling/config.json", {"temperature": 2}, "a key 'temperature'"),
    ],
)
def test_what_may_change_a_vector_is_a_warning(folder, file, content, message):
    before = Embedder.load(folder).embed_queries(TEXTS)
    edit(folder / file, **content)
    with pytest.warns(ModelWarning, match=message):
        loaded = Embedder.load(folder)
    np.testing.assert_allclose(loaded.embed_queries(TEXTS), before, atol=1e-6)
    if file not in ("sentence_bert_config.json", "1_Pooling/config.json"):  # there sentence-transformers stops
        np.testing.assert_allclose(theirs(folder)[0], before, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", {"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key'"),
        ("config.json", {"quantization_config": {"bits": 4}}, "expected none: weights in a packed"),
        ("tokenizer_config.json", {"truncation_side": "left"}, "truncation_side 'left'; expected 'right': cutting off"),
        ("tokenizer_config.json", {"model_max_length": "many"}, "model_max_length 'many'; expected a number of tokens"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task 'fill-mask'"),
        ("sentence_bert_config.json", {"tokenizer_args": {"padding_side": "left"}}, "arguments of other libraries"),
        ("sentence_bert_config.json", {"config_args": {"hidden_size": 3}}, "hidden_size 3; expected 32"),
        ("sentence_bert_config.json", {"config_args": {"is_causal": None}}, "is_causal None; expected true or false"),
        ("sentence_bert_config.json", {"query_length": 32}, "query_length 32; expected none: limits by role"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pools by"),
        (WHOLE, {"similarity_fn_name": "maxsim"}, "similarity_fn_name 'maxsim'; expected one of cosine, dot, "),
        (WHOLE, {"model_type": "SparseEncoder"}, "model_type 'SparseEncoder'"),
        (WHOLE, {"prompts": ["query"]}, "expected texts by name"),
        (WHOLE, {"truncate_dim": -1}, "truncate_dim -1; expected a number"),
    ],
)  # fmt: skip
def test_what_is_not_served_is_refused_by_name(folder, file, content, message):
    edit(folder / file, **content)
    with pytest.raises(ModelError, match=message):
        Embedder.load(folder)


def edit_model(path, **values):
    """Change keys of a tokenizer's model."""
    edit(path, model=json.loads(path.read_text())["model"] | values)


def test_a_tokenizer_that_draws_its_tokens_is_refused(folder):
    edit_model(folder / "tokenizer.json", dropout=0.1)
    with pytest.raises(ModelError, match=r"model.dropout 0.1; expected 0, 0.0: tokens left out at random is not"):
        Embedder.load(folder)
    edit_model(folder / "tokenizer.json", dropout=0.0)
    assert_equals_theirs(folder, Embedder.load(folder))


def test_keys_of_a_tokenizer_that_nobody_knows_are_warnings(folder):
    edit_model(folder / "tokenizer.json", boost=2)
    added = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    edit(folder / "tokenizer.json", added_tokens=[token | {"weight": 3} for token in added])
    with pytest.warns(ModelWarning) as caught:
        loaded = Embedder.load(folder)
    assert [str(one.message).split("'")[1] for one in caught] == ["model.boost", "added_tokens.weight"]
    assert_equals_theirs(folder, loaded)
    edit(folder / "tokenizer.json", reverse=True)
    with pytest.warns(ModelWarning), pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        Embedder.load(folder)


@pytest.mark.parametrize("place", ["", "1_Pooling"])
def test_an_adapter_without_our_file_is_refused_wherever_it_lies(folder, place):
    edit(folder / place / "adapter_config.json", peft_type="LORA", base_model_name_or_path="x")
    if place:  # a Transformer that lies there
        modules = json.loads((folder / "modules.json").read_text())
        (folder / "modules.json").write_text(json.dumps([modules[0] | {"path": place}, *modules[1:]]))
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (folder / name).rename(folder / place / name)
    with pytest.raises(ModelError, match=r"is an adapter without slimvec.json; expected a merged model; merge it"):
        Embedder.load(folder)


def test_every_harmless_key_of_the_table_is_silent_and_harmless(folder):
    before = Embedder.load(folder).embed_queries(TEXTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for table in FILES:
            path = folder / table.name
            if path.is_file() and path.name != "modules.json":
                content = json.loads(path.read_text())
                keys = [key for key in table.keys.values() if key.effect == "harmless" and key.name not in content]
                names = [key.name for key in keys if not key.name.startswith(("add_", "auto_map", "model."))]
                edit(path, **{name: 0.5 if "drop" in name else True for name in names})
        np.testing.assert_allclose(Embedder.load(folder, engine="fused").embed_queries(TEXTS), before, atol=1e-6)


def test_the_page_of_formats_is_the_table():
    text = (Path(__file__).parents[2] / "docs/formats.md").read_text(encoding="utf-8")
    assert text.partition(MARKER)[2].strip() == tables().strip(), "run slimvec.model.formats_page"
    assert all(f"`{name}`" in text for table in FILES for name in table.keys)
