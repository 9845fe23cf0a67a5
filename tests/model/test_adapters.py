"""An adapter that is trained on: in one that is as large or larger, with the same updates however they were stored."""

import pytest
import torch

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.model.adapters import add_lora, embedding_layer, enlarge_lora
from slimvec.model.folder import load_model, save_model
from slimvec.model.spec import LoraSettings
from tests import tiny


def adapted(folder, **settings):
    """A loaded model with a random adapter."""
    save_model(tiny.embedding_model(), folder)
    model = load_model(folder)
    add_lora(model.backbone, LoraSettings(rank=2, **settings))
    for name, parameter in model.backbone.hf_model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter.data, std=0.05)
    return model.eval()


def states(model):
    with torch.inference_mode():
        return model.backbone(model.tokenizer.tokenize(["red and blue", "a cat"]).pack())


@pytest.mark.parametrize("power", [0, 12, -12])
def test_a_larger_adapter_begins_with_the_updates_however_they_were_stored(tmp_path, power):
    model = adapted(tmp_path / "base", embedding_rank=3)
    expected = states(model)
    for name, parameter in model.backbone.hf_model.named_parameters():
        if "lora_" in name:
            parameter.data *= 2.0 ** (power if "_A" in name else -power)
    enlarge_lora(model.backbone, LoraSettings(rank=5, alpha=3, embedding_rank=4))
    model.eval()
    torch.testing.assert_close(states(model), expected, rtol=1e-4, atol=1e-5)
    kept, drawn = embedding_layer(model.backbone).lora_embedding_A["default"].detach().split([3, 1])
    assert 0.5 < float(kept.std() / drawn.std()) < 2


def test_without_an_adapter_there_is_none_to_enlarge():
    with pytest.raises(ModelError, match="no adapter on the model; expected one"):
        enlarge_lora(tiny.backbone("llama"), LoraSettings())


def test_an_adapter_with_dropout_is_kept_and_loaded(tmp_path):
    model = adapted(tmp_path / "base", dropout=0.5)
    expected = states(model)
    save_model(model.train(), tmp_path / "adapter", merged=False)
    torch.testing.assert_close(states(load_model(tmp_path / "adapter")), expected, rtol=1e-4, atol=1e-5)
    assert Embedder.load(tmp_path / "adapter", dtype="float32").embed(["a cat"]).vectors.shape == (1, 32)
