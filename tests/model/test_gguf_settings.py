"""What a GGUF file says about its use: pooling, attention mode and length are taken, rerankers refused."""

import json
from pathlib import Path

import pytest

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError, ModelWarning
from slimvec.model import gguf_conversion
from slimvec.model.gguf import convert_gguf
from slimvec.model.gguf_settings import check_settings
from slimvec.model.opening import open_model
from slimvec.model.settings_table import GGUF
from tests.model.foreign import assert_equals_theirs, edit
from tests.model.tiny_sources import write_gguf


def test_pooling_attention_and_length_are_the_files_own(tmp_path):
    settings = {"pooling_type": 3, "attention.causal": False}
    write_gguf(tmp_path / "x.gguf", settings=settings)
    (tmp_path / "folder").mkdir()
    convert_gguf(tmp_path / "x.gguf", tmp_path / "folder", progress=lambda *_: None)
    assert json.loads((tmp_path / "folder/config.json").read_text())["is_causal"] is False
    opened = open_model(tmp_path / "folder")
    assert (opened.spec.pooling.mode, opened.spec.attention, opened.spec.max_tokens) == ("last", "bidirectional", 64)
    assert opened.spec.normalize
    edit(tmp_path / "folder/config.json", dtype="float32")  # sentence-transformers computes in the files' dtype
    assert_equals_theirs(tmp_path / "folder", Embedder.load(tmp_path / "folder"), ["hello 12", "x"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling_type": 4}, "pooling_type 4, a reranker; expected a model that gives vectors"),
        ({"pooling_type": 9}, "pooling_type 9; expected one of 0, 1, 2, 3"),
        ({"rope.scaling.type": "yarn"}, "rope.scaling.type 'yarn'; expected 'none'"),
        ({"expert_count": 8}, "expert_count 8; expected 0"),
        ({"attn_logit_softcapping": 50}, "attn_logit_softcapping 50"),
    ],
)
def test_what_would_give_other_vectors_is_refused(settings, message, tmp_path):
    write_gguf(tmp_path / "x.gguf", settings=settings)
    metadata = gguf_conversion.read_metadata(tmp_path / "x.gguf")
    with pytest.raises(ModelError, match=message):
        check_settings(tmp_path / "x.gguf", metadata, metadata[gguf_conversion.TENSORS])


def test_a_key_that_nobody_knows_is_a_warning_whenever_the_model_is_opened(tmp_path):
    write_gguf(tmp_path / "x.gguf", settings={"attention.sharpness": 2, "rope.by_head": [1, 2]})
    (tmp_path / "folder").mkdir()
    convert_gguf(tmp_path / "x.gguf", tmp_path / "folder", progress=lambda *_: None)
    for _ in range(2):
        with pytest.warns(ModelWarning) as caught:
            opened = open_model(tmp_path / "folder")
        assert [str(one.message) for one in caught] == list(opened.notices)
        assert [notice.split("'")[1] for notice in opened.notices] == ["rope.by_head", "attention.sharpness"]


def test_every_harmless_key_of_a_file_is_silent():
    metadata = {"general.architecture": "llama", "general.base_model.0.name": "x", "GGUF.version": 3}
    metadata |= {key.name: 1 for key in GGUF.keys.values() if key.effect == "harmless" and "*" not in key.name}
    assert check_settings(Path("x.gguf"), metadata, []) == []


def test_a_list_of_labels_is_a_reranker(tmp_path):
    write_gguf(tmp_path / "x.gguf", settings={"classifier.output_labels": ["yes", "no"]})
    metadata = gguf_conversion.read_metadata(tmp_path / "x.gguf")
    with pytest.raises(ModelError, match=r"classifier\.output_labels 'a list'; expected none: a reranker is"):
        check_settings(tmp_path / "x.gguf", metadata, metadata[gguf_conversion.TENSORS])


def test_tensors_that_would_be_left_over_are_refused(tmp_path):
    for name in ("cls.output.weight", "rope_freqs.weight"):
        with pytest.raises(ModelError, match=f"tensors {name}, which transformers does not read"):
            check_settings(tmp_path, {"general.architecture": "llama"}, ["token_embd.weight", name])
