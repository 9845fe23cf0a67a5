"""The language model: its cache against one pass, its head against double precision, its text against transformers."""

import pytest
import torch
import transformers

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.model.adapters import add_lora
from slimvec.model.architectures import DECODERS, ties_head
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.causal_lm import CausalLM, open_language_model
from slimvec.model.folder import load_model, save_model
from slimvec.model.lm_head import LMHead, read_lm_head
from slimvec.model.opening import open_model
from slimvec.model.sampling import Sampling, read_writing
from slimvec.model.spec import LoraSettings
from slimvec.text.batch import PackedBatch
from tests import tiny

IDS = [5, 9, 200, 17, 17, 33, 90, 4, 12, 250, 7]
CPU = torch.device("cpu")


@pytest.mark.parametrize("architecture", DECODERS)
def test_a_text_that_goes_on_has_the_states_of_one_pass(architecture):
    backbone = tiny.backbone(architecture)
    if architecture == "llama":
        add_lora(backbone, LoraSettings(rank=2))
    cache = backbone.open_cache()
    pieces = torch.cat([cache.extend(IDS[:4]), cache.extend(IDS[4:5]), cache.extend(IDS[5:])])
    with torch.inference_mode():
        torch.testing.assert_close(pieces, backbone(PackedBatch.from_sequences([IDS])), atol=1e-5, rtol=1e-4)


def test_what_sees_its_future_does_not_go_on():
    with pytest.raises(ModelError, match="goes on, with bidirectional attention; expected a causal model"):
        tiny.backbone("llama", "bidirectional").open_cache()
    calibrated = TransformersBackbone(tiny.hf_model("llama"), "causal", recency=0.5)
    with pytest.raises(ModelError, match=r"goes on, with recency 0.5; expected a causal model as it was trained"):
        calibrated.open_cache()


@pytest.mark.parametrize("vocabulary", [3, 8192, 20_001])
def test_log_probabilities_equal_double_precision(vocabulary):
    torch.manual_seed(vocabulary)
    weight, states = torch.randn(vocabulary, 16), torch.randn(5, 16)
    targets = torch.randint(vocabulary, (5,))
    wanted = (states.double() @ weight.double().T).log_softmax(-1).gather(1, targets[:, None])[:, 0]
    for stored in (weight, weight.double()):
        head = LMHead(lambda stored=stored: stored)
        torch.testing.assert_close(head.log_probabilities(states, targets).double(), wanted, atol=2e-5, rtol=1e-5)
        loss = head.loss(states, targets)
        torch.testing.assert_close(loss.double(), -wanted.sum(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0),
        Sampling(temperature=0, repetition_penalty=1.7),
        Sampling(temperature=0.7, top_k=20),
        Sampling(top_k=90, top_p=0.6, repetition_penalty=1.2),
    ],
)
def test_text_is_transformers_own(tmp_path, sampling):
    tiny.save_causal_model(tmp_path / "m")
    with torch.no_grad():
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32)
        torch.manual_seed(3)
        chosen = {"temperature": sampling.temperature, "top_k": sampling.top_k, "top_p": sampling.top_p}
        written = theirs.generate(
            torch.tensor([IDS]),
            attention_mask=torch.ones(1, len(IDS)),
            max_new_tokens=15,
            do_sample=bool(sampling.temperature),
            repetition_penalty=sampling.repetition_penalty,
            **(chosen if sampling.temperature else {}),
        )
    model = CausalLM.load(open_model(tmp_path / "m"), device=CPU)
    assert (
        model.generate(IDS, max_new_tokens=15, ends={1}, sampling=sampling, seed=3) == written[0, len(IDS) :].tolist()
    )


def test_an_end_ends_a_text(tmp_path):
    tiny.save_causal_model(tmp_path / "m")
    model = CausalLM.load(open_model(tmp_path / "m"), device=CPU)
    greedy = Sampling(temperature=0)
    whole = model.generate(IDS, max_new_tokens=9, ends=(), sampling=greedy)
    assert len(whole) == 9
    assert model.generate(IDS, max_new_tokens=9, ends={whole[3]}, sampling=greedy) == whole[: whole.index(whole[3]) + 1]


def test_how_a_model_writes(tmp_path):
    tiny.save_causal_model(tmp_path / "m", eos_token_id=[1, 7])
    assert read_writing(tmp_path / "m").ends == {1, 7}
    (tmp_path / "m/generation_config.json").write_text('{"top_p": 0.8, "repetition_penalty": 1.1, "eos_token_id": 3}')
    writing = read_writing(tmp_path / "m")
    assert (writing.ends, writing.at(0.5)) == ({3}, Sampling(temperature=0.5, top_p=0.8, repetition_penalty=1.1))


@pytest.mark.parametrize("architecture", DECODERS)
def test_a_head_is_tied_where_transformers_says(architecture):
    config = tiny.hf_model(architecture).config
    said = config.to_dict()
    assert ties_head(said) == config.tie_word_embeddings
    said.pop("tie_word_embeddings", None)
    assert ties_head(said) == type(config)().tie_word_embeddings


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_is_saved_on_request_and_stays(tmp_path, tied):
    tiny.save_causal_model(tmp_path / "base", tie_word_embeddings=tied)
    base = CausalLM.load(open_model(tmp_path / "base"), device=CPU)
    Embedder.load(tmp_path / "base").save(tmp_path / "plain")
    assert open_language_model(open_model(tmp_path / "plain")).folder == tmp_path / "base"
    Embedder.load(tmp_path / "base").save(tmp_path / "kept", language_model=True)
    Embedder.load(tmp_path / "kept").save(tmp_path / "again")
    for name in ("plain", "kept", "again"):
        opened = open_model(tmp_path / name)
        assert opened.is_language_model == (name != "plain")
        assert (tmp_path / name / "language_model").is_dir() == (name != "plain" and not tied)
        model = CausalLM.load(opened, device=CPU)
        with torch.inference_mode():
            states = base.backbone(PackedBatch.from_sequences([IDS]))
            assert torch.equal(model.head.logits(states), base.head.logits(states))
    with pytest.raises(ModelError, match="were trained as an embedding model alone; expected a plain language model"):
        Embedder.load(tmp_path / "plain").save(tmp_path / "no", language_model=True)


def test_a_model_that_does_not_know_its_base(tmp_path):
    save_model(tiny.embedding_model("llama"), tmp_path / "m")
    with pytest.raises(ModelError, match="says nothing of its base; expected a language model; save it with"):
        open_language_model(open_model(tmp_path / "m"))


def test_an_embedding_model_has_no_head(tmp_path):
    save_model(tiny.embedding_model("llama"), tmp_path / "m")
    with pytest.raises(ModelError, match=r"m has no lm_head.weight; expected a language model with its head"):
        read_lm_head(open_model(tmp_path / "m"))


def test_the_adapter_is_left_out(tmp_path):
    tiny.save_causal_model(tmp_path / "base")
    adapted = load_model(tmp_path / "base")
    add_lora(adapted.backbone, LoraSettings(rank=2))
    with torch.no_grad():
        for name, parameter in adapted.backbone.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    save_model(adapted, tmp_path / "adapter", merged=False)
    batch = PackedBatch.from_sequences([IDS])
    base, model = (CausalLM.load(open_model(tmp_path / name), device=CPU) for name in ("base", "adapter"))
    with torch.inference_mode():
        assert torch.equal(model.backbone(batch), base.backbone(batch))
        assert not torch.allclose(model.backbone(batch), adapted.backbone(batch), atol=1e-2)
