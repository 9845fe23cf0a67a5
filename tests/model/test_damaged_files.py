"""Settings files of wrong types, forms that contradict each other, and a few cases of the fuzzer."""

import json
import os
import shutil

import numpy as np
import pytest

from benchmarks.fuzz_models import BAD, run_case
from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.model.folder import load_model, save_model
from slimvec.model.spec import Pooling
from tests.model.corpus import write_corpus
from tests.model.foreign import edit, foreign, theirs
from tests.tiny import embedding_model

FLAGS = ("pooling_mode_cls_token", "pooling_mode_mean_tokens")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    foreign(place / "llama", "llama")
    foreign(place / "bert", "bert", "bidirectional")
    save_model(embedding_model("llama"), place / "ours")
    save_model(embedding_model("llama", pooling=Pooling(mode="beta", beta=2.5)), place / "beta")
    return place


@pytest.fixture
def copy_of(whole, tmp_path):
    return lambda name: shutil.copytree(whole / name, tmp_path / name)


def refused(folder, message):
    for load in (Embedder.load, load_model):
        with pytest.raises(ModelError, match=message) as caught:
            load(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["llama", "bert"])
@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("hidden_size", None, "a whole number above 0"),
        ("hidden_size", "32", "a whole number above 0"),
        ("vocab_size", 0, "a whole number above 0"),
        ("num_hidden_layers", True, "a whole number above 0"),
        ("max_position_embeddings", {"a": 1}, "a whole number above 0"),
        ("pad_token_id", -1, "a whole number of at least 0"),
        ("hidden_act", 7, "a name"),
    ],
)
def test_a_config_with_a_value_of_another_type_is_one_line(name, key, value, expected, copy_of):
    folder = copy_of(name)
    edit(folder / "config.json", **{key: value})
    refused(folder, f"config.json has {key} .*; expected {expected}")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("rms_norm_eps", None, "a number"),
        ("rms_norm_eps", float("nan"), "a number"),
        ("is_causal", "no", "true or false"),
        ("attention_bias", 1, "true or false"),
        ("layer_types", [["full_attention"]], "a list of names"),
        ("rope_parameters", "x", "an object of rope settings"),
        ("rope_parameters", {"rope_type": 7}, "an object of rope settings"),
        ("rope_parameters", {"rope_theta": "x"}, "an object of rope settings"),
    ],
)
def test_so_is_a_decoder_s(key, value, expected, copy_of):
    folder = copy_of("llama")
    edit(folder / "config.json", **{key: value})
    refused(folder, f"config.json has {key} .*; expected {expected}")


def test_settings_that_transformers_loads_and_cannot_run_are_one_line(copy_of):
    folder = copy_of("llama")
    factors = {"short_factor": [1.0] * 4, "long_factor": [1.0] * 5, "factor": 2.0, "rope_theta": 100.0}
    rope = {"rope_type": "longrope", "original_max_position_embeddings": 24, **factors}
    edit(folder / "config.json", rope_parameters=rope)
    refused(folder, "transformers loads .* and cannot run it on a short text: The size of tensor a")


def test_what_a_config_must_say_is_named(copy_of):
    folder = copy_of("llama")
    edit(folder / "config.json", drop=("vocab_size",))
    refused(folder, "config.json has no vocab_size; expected a whole number above 0")
    edit(folder / "config.json", vocab_size=264, num_hidden_layers=10**9)
    with pytest.raises(ModelError, match=r"has 29 tensors and its config 1,000,000,000 layers"):
        load_model(folder)


@pytest.mark.parametrize(
    ("file", "keys", "message"),
    [
        (
            "sentence_bert_config.json",
            {"do_lower_case": True},
            "say do_lower_case True; expected False, as slim",
        ),
        ("sentence_bert_config.json", {"max_seq_length": 9}, "say max_seq_length 9; expected 200"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
            "say pooling 'cls'",
        ),
        ("config_sentence_transformers.json", {"prompts": {"query": "q: "}}, "say prompt of queries 'q: '"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "dot"}, "say similarity 'dot'; expected 'cosine'"),
    ],
)
def test_a_folder_whose_two_forms_contradict_each_other_is_refused(file, keys, message, copy_of):
    folder = copy_of("ours")
    edit(folder / file, **keys)
    refused(folder, message)


def test_a_folder_of_ours_without_modules_is_refused_and_beta_pooling_is_not_compared(copy_of):
    folder = copy_of("ours")
    (folder / "modules.json").unlink()
    refused(folder, "modules.json cannot be read")
    assert Embedder.load(copy_of("beta")).spec.pooling.beta == 2.5


def test_weights_with_another_prefix_are_refused_as_transformers_would_leave_them_random(copy_of):
    from safetensors.torch import load_file, save_file

    folder = copy_of("llama")
    path = folder / "model.safetensors"
    save_file({f"encoder_q.{name}": tensor for name, tensor in load_file(path).items()}, path)
    refused(folder, r"29 are missing, as embed_tokens.weight; 29 are not known to it, as encoder_q.embed_tokens.weight")


def test_two_tokens_with_one_id_are_refused(copy_of):
    folder = copy_of("llama")
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["b"] = content["model"]["vocab"]["a"]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    refused(folder, "the tokenizer has two tokens with one id")


@pytest.mark.parametrize("named", [None, 7])
def test_a_tokenizer_that_transformers_builds_anew_is_refused_where_its_class_is_not_named(named, tmp_path):
    folder = foreign(tmp_path / "gemma", "gemma3_text")
    before = Embedder.load(folder).embed_documents(["one"])
    edit(folder / "tokenizer_config.json", tokenizer_class=named)
    refused(folder, rf"tokenizer_config.json names the tokenizer class {named!r}, and transformers .*; expected one of")
    for unharmful in ("Unheard", "PreTrainedTokenizerFast"):
        edit(folder / "tokenizer_config.json", tokenizer_class=unharmful)
        assert (Embedder.load(folder).embed_documents(["one"]) == before).all()


def test_a_byte_without_a_token_is_refused_where_transformers_reads_it_in_another_way(tmp_path):
    for name, model_type in (("qwen", "qwen2"), ("llama", "llama")):
        path = foreign(tmp_path / name, model_type) / "tokenizer.json"
        content = json.loads(path.read_text())
        del content["model"]["vocab"]["e"]
        path.write_text(json.dumps(content))
    refused(tmp_path / "qwen", r"no token for 1 of 256 bytes \(one is 'e'\), and transformers' Qwen2Tokenizer reads")
    assert len(Embedder.load(tmp_path / "llama").embed_documents(["one text"])) == 1  # transformers reads it alike


def test_a_padding_token_in_a_text_keeps_robertas_padding_position(tmp_path):
    folder = foreign(tmp_path / "xlm", "xlm-roberta", "bidirectional")
    embedder = Embedder.load(folder)
    padding = embedder.tokenizer.backend.id_to_token(json.loads((folder / "config.json").read_text())["pad_token_id"])
    texts = [f"a{padding}b c", "no padding token", f"{padding}{padding}x"]
    for ours, of_others in zip(
        (embedder.embed_queries(texts), embedder.embed_documents(texts)), theirs(folder, texts), strict=True
    ):
        np.testing.assert_allclose(ours, of_others, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_damaged_models_are_refused_in_one_line_or_equal_sentence_transformers(tmp_path):
    """A few cases; `python -m benchmarks.fuzz_models --count 2000` runs many."""
    for name in ("corpus", "work"):
        (tmp_path / name).mkdir()
    corpus = write_corpus(tmp_path / "corpus")
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    cases = [run_case(corpus, seed, tmp_path / "work", gguf=False) for seed in range(16)]
    assert [case for case in cases if case.verdict in BAD] == []
    assert {case.verdict for case in cases} >= {"refused", "equal"}
