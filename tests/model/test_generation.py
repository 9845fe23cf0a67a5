"""Text from a model on this machine, against the model's own forward pass."""

import asyncio

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from slimvec.errors import InputError, ModelError
from slimvec.model.folder import save_model
from slimvec.model.generation import LocalGenerator
from tests import tiny

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say it."}]
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<me>{% endif %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT


@pytest.fixture(autouse=True)
def _hushed():
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


def generator(folder, *, max_new_tokens=12, **settings):
    tiny.save_causal_model(folder, **settings)
    return LocalGenerator(str(folder), max_new_tokens=max_new_tokens)


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        (None, "Be brief.\n\nSay it.\n\n"),
        (CHAT, "<system>Be brief.\n<user>Say it.\n<me>"),
        (NO_SYSTEM, "<user>Be brief.\n\nSay it.\n<me>"),
    ],
)
def test_the_likeliest_tokens_after_the_prompt(tmp_path, template, prompt):
    written = generator(tmp_path / "m", chat_template=template).answer(MESSAGES, seed=0, temperature=0)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32)
    ids = tiny.tokenizer_backend().encode(prompt).ids
    assert written.tokens_in == len(ids)
    new = []
    for _ in range(12):
        with torch.inference_mode():
            new.append(int(model(torch.tensor([ids + new])).logits[0, -1].argmax()))
        if new[-1] == 1:
            break
    assert written.tokens_out == len(new)
    assert written.text == tiny.tokenizer_backend().decode(new)


def test_a_seed_decides_and_leaves_the_random_state_alone(tmp_path):
    model = generator(tmp_path / "m")
    state = torch.get_rng_state()
    first, again, other = (model.answer(MESSAGES, seed=seed) for seed in (1, 1, 2))
    assert first == again == asyncio.run(model.generate(MESSAGES, seed=1, temperature=1.0))
    assert first != other
    assert torch.equal(torch.get_rng_state(), state)


def test_other_weights_have_answers_of_their_own(tmp_path):
    first = generator(tmp_path / "m").settings
    assert first["max_new_tokens"] == 12
    weights = load_file(tmp_path / "m" / "model.safetensors")
    save_file({name: weight + 1 for name, weight in weights.items()}, tmp_path / "m" / "model.safetensors")
    assert LocalGenerator(str(tmp_path / "m"), max_new_tokens=12).settings["weights"] != first["weights"]


def test_an_answer_ends_with_the_model_s_room(tmp_path):
    model = generator(tmp_path / "m", max_position_embeddings=22)
    assert model.answer(MESSAGES, seed=0).tokens_out <= 22 - 20
    with pytest.raises(ModelError, match="messages of 29 tokens; expected fewer than the model's 22"):
        model.answer([*MESSAGES, {"role": "user", "content": "Please."}], seed=0)


def test_what_cannot_write_is_refused(tmp_path):
    save_model(tiny.embedding_model("llama", "bidirectional"), tmp_path / "embedder")
    with pytest.raises(ModelError, match="embedder was trained as an embedding model and says nothing of its base"):
        LocalGenerator(str(tmp_path / "embedder"))
    tiny.hf_model("llama", is_causal=False).save_pretrained(tmp_path / "encoder")
    tiny.tokenizer_backend().save(str(tmp_path / "encoder/tokenizer.json"))
    with pytest.raises(ModelError, match="encoder has bidirectional attention; expected a causal language model"):
        LocalGenerator(str(tmp_path / "encoder"))
    tiny.hf_model("llama").save_pretrained(tmp_path / "headless")
    tiny.tokenizer_backend().save(str(tmp_path / "headless/tokenizer.json"))
    with pytest.raises(ModelError, match=r"headless has no lm_head.weight; expected a language model with its head"):
        LocalGenerator(str(tmp_path / "headless"))
    with pytest.raises(InputError, match="no model 'nothing'"):
        LocalGenerator("nothing")
