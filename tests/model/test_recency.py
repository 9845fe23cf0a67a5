"""Attention calibration by recency: what it does to the weights of keys, and where it is refused."""

import numpy as np
import pytest
import torch

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError
from slimvec.model.attention import Packing, grouped_sdpa
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.folder import save_model
from slimvec.text.batch import PackedBatch
from tests import tiny


def attend(query, key, value, lengths, recency, window=None, training=False):
    batch = PackedBatch.from_sequences([[0] * n for n in lengths])
    packing = Packing.of(batch, "causal", recency=recency)
    return grouped_sdpa(query, key, value, packing, scale=None, window=window, training=training)


def slowly(query, key, value, lengths, recency, window=None):
    """Token by token: softmax over the keys seen, times (u / t)^r for all but the first key."""
    heads, group = query.shape[0], query.shape[0] // key.shape[0]
    out = torch.zeros(query.shape[1], heads, query.shape[2], dtype=torch.float64)
    start = 0
    for length in lengths:
        for t in range(1, length + 1):
            first = 1 if window is None else max(1, t - window + 1)
            places = torch.arange(first, t + 1)
            factor = torch.where(places == 1, 1.0, (places / t).double() ** recency)
            for head in range(heads):
                k, v = (x[head // group, start + first - 1 : start + t].double() for x in (key, value))
                scores = k @ query[head, start + t - 1].double() / query.shape[2] ** 0.5
                weights = torch.exp(scores - scores.max()) * factor
                out[start + t - 1, head] = (weights / weights.sum()) @ v
        start += length
    return out


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("recency", [0.0, 0.3, 2.0])
def test_keys_weigh_by_their_place_in_the_text(recency, window):
    draw = torch.Generator().manual_seed(0)
    lengths = [7, 2, 7, 1]
    query, key, value = (torch.randn(heads, sum(lengths), 8, generator=draw) for heads in (4, 2, 2))
    found = attend(query, key, value, lengths, recency, window)
    torch.testing.assert_close(
        found.double(), slowly(query, key, value, lengths, recency, window), atol=1e-5, rtol=1e-5
    )


def test_the_form_for_training_is_the_same():
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 20, 8, generator=draw).bfloat16() for _ in range(3))
    found, explicit = (attend(query, key, value, [12, 8], 0.7, training=training) for training in (False, True))
    torch.testing.assert_close(found, explicit, atol=2e-2, rtol=2e-2)


def test_a_uniform_head_gives_each_key_its_power():
    zeros, value = torch.zeros(1, 10, 4), torch.eye(10)[None]
    shares = attend(zeros, zeros, torch.nn.functional.pad(value, (0, 2)), [10], 1.0)[9, 0, :10]
    wanted = torch.arange(1.0, 11) / 10
    wanted[0] = 1.0  # the first token is left alone
    torch.testing.assert_close(shares, wanted / wanted.sum())


def states(model, batch):
    with torch.inference_mode():
        return model(batch)


@pytest.mark.parametrize("architecture", ["llama", "gemma3_text"])
def test_states_stay_causal_and_do_not_depend_on_the_batch(architecture):
    model = TransformersBackbone(tiny.hf_model(architecture), "causal", recency=0.5)
    plain = TransformersBackbone(tiny.hf_model(architecture), "causal")
    batch = tiny.random_batch([9, 4, 6])
    together = states(model, batch)
    rows = torch.split(batch.input_ids, batch.lengths)
    alone = torch.cat([states(model, PackedBatch.from_sequences([row.tolist()])) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    changed = batch.input_ids.tolist()[:9]
    changed[-1] = 5 if changed[-1] != 5 else 6
    other = states(model, PackedBatch.from_sequences([changed]))
    torch.testing.assert_close(other[:8], together[:8])
    assert (states(plain, batch) - together).abs().max() > 1e-3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recency")
    save_model(tiny.embedding_model("llama"), folder / "causal")
    save_model(tiny.embedding_model("llama", "bidirectional"), folder / "bidirectional")
    return folder


def test_an_embedder_says_what_runs_it_and_why(folder):
    embedder = Embedder.load(folder / "causal", recency=0.4)
    assert embedder.engine.startswith("transformers/")
    assert embedder.engine_reason == "attention is calibrated with recency 0.4"
    plain = Embedder.load(folder / "causal")
    texts = ["one text", "and another one"]
    assert np.abs(embedder.embed_documents(texts) - plain.embed_documents(texts)).max() > 1e-4
    none = Embedder.load(folder / "causal", recency=0.0)
    assert none.engine == plain.engine


def test_it_is_for_causal_models_and_never_saved(folder, tmp_path):
    with pytest.raises(
        InputError, match=r"recency 0\.4 for .* which attends in both directions; expected a causal model"
    ):
        Embedder.load(folder / "bidirectional", recency=0.4)
    with pytest.raises(ModelError, match=r"the fused decoder does not run .* attention is calibrated"):
        Embedder.load(folder / "causal", recency=0.4, engine="fused")
    with pytest.raises(InputError, match=r"compile=True with recency 0\.4; expected one of the two"):
        Embedder.load(folder / "causal", recency=0.4, compile=True)
    with pytest.raises(ModelError, match=r"loaded with recency 0\.4, which no other reader of its files knows"):
        Embedder.load(folder / "causal", recency=0.4).save(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    with pytest.raises(InputError, match=r"recency"):
        Embedder.load(folder / "causal", recency=-1.0)
