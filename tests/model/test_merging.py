"""Averages of models: against plain formulas, refused where they mean nothing, and soups that never get worse."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.errors import InputError, ModelError
from slimvec.model import merging
from slimvec.model.adapters import add_lora, merge_lora
from slimvec.model.causal_lm import CausalLM
from slimvec.model.folder import load_model, save_model
from slimvec.model.lm_head import tied_head
from slimvec.model.manifest import Origin, read_manifest
from slimvec.model.merging import greedy_soup, merge_models, slerp
from slimvec.model.opening import open_model
from slimvec.model.spec import DenseLayer, LoraSettings
from tests import tiny


@pytest.fixture(scope="module")
def parents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parents")
    for seed in range(3):
        save_model(tiny.embedding_model(seed=seed), folder / f"m{seed}")
    return [str(folder / f"m{seed}") for seed in range(3)]


def weights(folder):
    return {name: p.detach() for name, p in load_model(folder).backbone.hf_model.named_parameters()}


@pytest.mark.parametrize("given", [None, [3, 1, 4]])
def test_linear_is_the_weighted_mean(tmp_path, parents, given):
    record = merge_models(parents, tmp_path / "out", weights=given)
    shares = [1 / 3] * 3 if given is None else [3 / 8, 1 / 8, 4 / 8]
    assert [parent.weight for parent in record.parents] == pytest.approx(shares)
    sources = [weights(parent) for parent in parents]
    for name, weight in weights(tmp_path / "out").items():
        wanted = sum(source[name].double() * share for source, share in zip(sources, shares, strict=True))
        torch.testing.assert_close(weight.double(), wanted, rtol=1e-5, atol=1e-6)
    manifest = read_manifest(tmp_path / "out")
    assert manifest.training["merge"] == json.loads(record.model_dump_json())
    assert len({parent.sha256 for parent in record.parents}) == 3


def test_a_head_is_averaged_too(tmp_path):
    dense = DenseLayer(in_dims=32, out_dims=6, activation="Identity")
    models = [tiny.embedding_model(seed=seed, head=(dense,)) for seed in range(2)]
    for number, model in enumerate(models):
        save_model(model, tmp_path / f"m{number}")
    merge_models([str(tmp_path / "m0"), str(tmp_path / "m1")], tmp_path / "out", weights=[1, 3])
    found, first, second = (dict(model.head.named_parameters()) for model in (load_model(tmp_path / "out"), *models))
    assert len(found) == 2
    for name, weight in found.items():
        torch.testing.assert_close(weight, first[name] / 4 + second[name] * 3 / 4)


def test_models_that_write_with_their_own_weights_give_one_that_does(tmp_path):
    tiny.save_causal_model(tmp_path / "base")
    for number, own in enumerate((True, True, False)):
        model = load_model(tmp_path / "base")
        add_lora(model.backbone, LoraSettings(rank=2), seed=number)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(0.1 + number)
        head = tied_head(model.backbone) if own else None
        save_model(model, tmp_path / f"m{number}", merged=number > 0, training={}, language_head=head)
    for name, numbers in (("writers", (0, 1)), ("mixed", (1, 2))):
        merge_models([str(tmp_path / f"m{number}") for number in numbers], tmp_path / name)
    found, one, two = (
        CausalLM.load(open_model(tmp_path / name), device=torch.device("cpu")) for name in ("writers", "m0", "m1")
    )
    merge_lora(one.backbone)
    pairs = [model.backbone.hf_model for model in (found, one, two)]
    for wanted, first, second in zip(*(dict(model.named_parameters()).items() for model in pairs), strict=True):
        torch.testing.assert_close(wanted[1], (first[1] + second[1]) / 2, msg=wanted[0])
    assert not open_model(tmp_path / "mixed").is_language_model


def test_slerp_of_each_tensor(tmp_path, parents):
    merge_models(parents[:2], tmp_path / "out", method="slerp", weights=[0.7, 0.3])
    first, second = (weights(parent) for parent in parents[:2])
    for name, weight in weights(tmp_path / "out").items():
        one, two = first[name].double(), second[name].double()
        angle = math.acos(float((one * two).sum() / (one.norm() * two.norm())))
        wanted = (math.sin(0.7 * angle) * one + math.sin(0.3 * angle) * two) / math.sin(angle)
        torch.testing.assert_close(weight.double(), wanted, rtol=1e-4, atol=1e-5)


@given(st.floats(0.05, 0.95), st.integers(0, 1000))
def test_slerp_keeps_lengths_ends_and_parallel_tensors(share, seed):
    generator = torch.Generator().manual_seed(seed)
    one, two = torch.randn(2, 3, 4, generator=generator)
    one, two = one / one.norm(), two / two.norm()
    assert float(slerp([one, two], [1 - share, share]).norm()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(slerp([one, one * 2], [1 - share, share]), one * (1 + share), rtol=1e-4, atol=1e-5)
    zero = torch.zeros(3)
    assert torch.equal(slerp([zero, zero], [0.5, 0.5]), zero)


def test_bf16_weights_stay_bf16_and_are_summed_in_float32(tmp_path, parents):
    folders = []
    for number, parent in enumerate(parents[:2]):
        save_model(load_model(parent, dtype=torch.bfloat16), tmp_path / f"b{number}")
        folders.append(str(tmp_path / f"b{number}"))
    merge_models(folders, tmp_path / "out")
    sources = [{name: w.float() for name, w in weights(folder).items()} for folder in folders]
    made = load_model(tmp_path / "out", dtype=torch.bfloat16)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    for name, weight in made.backbone.hf_model.named_parameters():
        assert torch.equal(weight, ((sources[0][name] + sources[1][name]) / 2).bfloat16())


def test_adapters_are_folded_in_first(tmp_path, parents):
    made = load_model(parents[0])
    add_lora(made.backbone, LoraSettings(rank=2))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    made.origin = Origin(source=parents[0])
    save_model(made, tmp_path / "adapter", merged=False)
    save_model(made, tmp_path / "whole")
    merge_models([str(tmp_path / "adapter"), parents[0]], tmp_path / "a")
    merge_models([str(tmp_path / "whole"), parents[0]], tmp_path / "b")
    one, two = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)
    assert any(not torch.equal(one[name], weight) for name, weight in weights(parents[0]).items())


OTHERS = {
    "width": ({"architecture": "qwen3"}, r"differ in their config: .*; expected models that differ in their weights"),
    "mode": ({"mode": "bidirectional"}, r"differ in their config: is_causal is True and False"),
    "settings": ({"max_tokens": 100}, r"differ in their settings: max_tokens is 200 and 100"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_models_that_differ_in_more_than_weights(tmp_path, parents, case):
    settings, message = OTHERS[case]
    save_model(tiny.embedding_model(**settings), tmp_path / "other")
    with pytest.raises(ModelError, match=message):
        merge_models([parents[0], str(tmp_path / "other")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_tokenizer(tmp_path, parents):
    save_model(tiny.embedding_model(), tmp_path / "other")
    path = tmp_path / "other" / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": {"type": "Lowercase"}}))
    with pytest.raises(ModelError, match=r"have different tokenizers; expected the same"):
        merge_models([parents[0], str(tmp_path / "other")], tmp_path / "out")


@pytest.mark.parametrize(
    ("count", "settings", "message"),
    [
        (1, {}, "1 models to merge by linear; expected at least two"),
        (3, {"method": "slerp"}, "3 models to merge by slerp; expected two"),
        (2, {"weights": [1.0]}, r"weights \[1.0\] for 2 models; expected one above 0 for each"),
        (2, {"weights": [1.0, 0.0]}, r"weights \[1.0, 0.0\] for 2 models"),
    ],
)
def test_what_cannot_be_merged(tmp_path, parents, count, settings, message):
    with pytest.raises(InputError, match=message):
        merge_models(parents[:count], tmp_path / "out", **settings)


def soup(tmp_path, parents, monkeypatch, alone, together):
    """A soup whose scores are given: of parents by place, of averages by the places that went in."""
    places = {}
    real = merging._blend

    def blend(candidates, shares, method):
        model = real(candidates, shares, method)
        places["last"] = tuple(parents.index(candidate.source) for candidate in candidates)
        return model

    monkeypatch.setattr(merging, "_blend", blend)

    def score(folder):
        return alone[parents.index(str(folder))] if str(folder) in parents else together[places["last"]]

    return greedy_soup(parents, tmp_path / "out", score)


def test_a_soup_takes_what_helps(tmp_path, parents, monkeypatch):
    record = soup(tmp_path, parents, monkeypatch, [0.5, 0.7, 0.6], {(1, 2): 0.65, (0, 1): 0.7})
    assert [parent.weight for parent in record.parents] == [0.5, 0.5, 0]
    assert [parent.score for parent in record.parents] == [0.5, 0.7, 0.6]
    assert record.score == 0.7
    sources = [weights(parent) for parent in parents]
    for name, weight in weights(tmp_path / "out").items():
        torch.testing.assert_close(weight, (sources[0][name] + sources[1][name]) / 2, rtol=1e-5, atol=1e-6)


def test_a_soup_is_never_worse_than_its_best_parent(tmp_path, parents, monkeypatch):
    record = soup(tmp_path, parents, monkeypatch, [0.5, 0.7, 0.6], {(1, 2): 0.1, (0, 1): 0.69})
    assert [parent.weight for parent in record.parents] == [0, 1, 0]
    best = weights(parents[1])
    assert all(torch.equal(best[name], weight) for name, weight in weights(tmp_path / "out").items())
