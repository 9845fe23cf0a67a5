"""What a GGUF file says about its use: pooling, attention mode and length are taken, rerankers refused."""

import json

import pytest

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.model import gguf_conversion
from slimvec.model.gguf import convert_gguf
from slimvec.model.gguf_settings import check_settings
from slimvec.model.opening import open_model
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


def test_tensors_that_would_be_left_over_are_refused(tmp_path):
    for name in ("cls.output.weight", "rope_freqs.weight"):
        with pytest.raises(ModelError, match=f"tensors {name}, which transformers does not read"):
            check_settings(tmp_path, {"general.architecture": "llama"}, ["token_embd.weight", name])
