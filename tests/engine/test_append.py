"""A text that grew piece by piece has the vector of the whole, for the cost of the pieces."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from slimvec.engine.append import open_text
from slimvec.engine.fused import FusedDecoder
from slimvec.engine.state_files import load_state
from slimvec.errors import InputError, ModelError
from slimvec.model.architectures import DECODERS
from slimvec.model.spec import Pooling
from slimvec.text.located import locate
from tests.engine.causal_models import POOLINGS, Parts, fused, merging_backend, plain
from tests.tiny import bracketing_backend, hf_model

letters = st.sampled_from("abc: é日\U0001f642\u0301\n")
pieces = st.lists(st.text(letters, min_size=1, max_size=9), min_size=1, max_size=6)


@pytest.mark.parametrize("architecture", DECODERS)
def test_pieces_equal_the_whole(architecture):
    @given(
        first=st.sampled_from(["a", "ab", "日", "x a"]),
        pieces=pieces,
        pooling=st.sampled_from(POOLINGS),
        role=st.sampled_from(["query", "document"]),
        backend=st.sampled_from([merging_backend(), bracketing_backend()]),
    )
    def holds(first, pieces, pooling, role, backend):
        parts = fused(architecture, pooling=pooling, backend=backend)
        prompt = parts.spec.prompts.render(role)
        state = open_text(parts, first, role=role)
        np.testing.assert_allclose(state.vector, parts.embed(first, prompt), atol=1e-5)
        whole = first
        for piece in pieces:
            state.append(piece)
            whole += piece
            assert state.text == whole
            assert state.num_tokens == len(locate(parts.tokenizer, whole, prompt=prompt).sequence)
            np.testing.assert_allclose(state.vector, parts.embed(whole, prompt), atol=1e-5)

    holds()


def test_appending_costs_the_new_tokens_and_the_changed_ones():
    parts = fused(backend=merging_backend())
    state = open_text(parts, "xyzab", role="query")
    opened = state.num_tokens
    assert state.num_computed == opened
    state.append("xx")
    assert state.num_computed == state.num_tokens == opened + 2
    state.append("ab")
    computed = state.num_computed
    state.append("c")  # "ab" becomes "abc": one token run again, none more than before
    assert state.num_tokens == opened + 3
    assert state.num_computed == computed + 1


def test_a_closing_token_is_run_anew():
    state = open_text(fused(backend=bracketing_backend()), "ab")
    state.append("c")
    assert state.num_tokens == 5
    assert state.num_computed == 4 + 2


def test_too_long_a_text_leaves_the_state_as_it_was():
    state = open_text(fused(max_tokens=10), "abcdefgh")
    before = state.vector
    with pytest.raises(InputError, match="the text has 12 tokens; expected at most 10, the model's limit; open a new"):
        state.append("ijkl")
    with pytest.raises(InputError, match="'' to append; expected some text"):
        state.append("")
    assert (state.text, state.num_tokens, state.num_computed) == ("abcdefgh", 8, 8)
    np.testing.assert_array_equal(state.vector, before)
    state.append("ij")
    assert state.num_tokens == 10
    with pytest.raises(InputError, match="the text has 11 tokens"):
        open_text(fused(max_tokens=10), "abcdefghijk")


def test_fewer_dims_are_the_first_ones_rescaled():
    state = open_text(fused(), "some text")
    full = state.vector
    np.testing.assert_allclose(state.embed(dims=8), full[:8] / np.linalg.norm(full[:8]), atol=1e-6)
    with pytest.raises(InputError, match="dims 33"):
        state.embed(dims=33)


def test_other_engines_and_modes_are_refused():
    with pytest.raises(
        ModelError, match="TransformersBackbone, which keeps no keys and values; expected the fused decoder"
    ):
        open_text(plain(), "text")
    with pytest.raises(ModelError, match="appending with bidirectional attention; expected a causal model"):
        open_text(plain("llama", "bidirectional"), "text")


def test_a_saved_state_goes_on_where_it_was(tmp_path):
    parts = fused("gemma3_text")
    state = open_text(parts, "the beginning é日", role="query")
    state.append(" and more")
    state.save(tmp_path / "state")
    loaded = load_state(parts, tmp_path / "state")
    assert (loaded.text, loaded.num_tokens, loaded.num_computed) == (state.text, state.num_tokens, state.num_computed)
    np.testing.assert_array_equal(loaded.vector, state.vector)
    loaded.append(" of it")
    assert loaded.num_computed == loaded.num_tokens
    expected = parts.embed("the beginning é日 and more of it", parts.spec.prompts.render("query"))
    np.testing.assert_allclose(loaded.vector, expected, atol=1e-5)
    with pytest.raises(InputError, match="state exists; expected a new path"):
        state.save(tmp_path / "state")
    state.save(tmp_path / "state", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_pooling_may_change_behind_a_saved_state(tmp_path):
    open_text(fused(), "some text").save(tmp_path / "state")
    last = fused(pooling=Pooling(mode="last"))
    np.testing.assert_allclose(load_state(last, tmp_path / "state").vector, last.embed("some text"), atol=1e-5)


def nudged(by: float) -> Parts:
    """The model with all weights moved a little, as a short training does."""
    model = hf_model("llama")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    parts = fused()
    decoder = FusedDecoder.from_backbone(model, causal=True, dtype=torch.float32, kernel="torch")
    return Parts(decoder, parts.tokenizer, parts.spec)


def test_another_model_is_refused(tmp_path):
    path = tmp_path / "state"
    open_text(fused(), "some text").save(path)
    load_state(nudged(0), path)
    for other in (fused(seed=1), fused("qwen3"), nudged(1e-3)):
        with pytest.raises(ModelError, match="state was written by another model; expected the model that wrote it"):
            load_state(other, path)


def test_another_dtype_or_tokenizer_is_refused(tmp_path):
    path = tmp_path / "state"
    parts = fused()
    open_text(parts, "ab text").save(path)
    half = FusedDecoder.from_backbone(hf_model("llama"), causal=True, dtype=torch.bfloat16, kernel="torch")
    with pytest.raises(
        ModelError, match=r"computed in torch\.float32; expected torch\.bfloat16; load .*dtype='float32'"
    ):
        load_state(Parts(half, parts.tokenizer, parts.spec), path)
    with pytest.raises(ModelError, match="has other tokens for its text; expected the tokenizer that wrote it"):
        load_state(fused(backend=merging_backend(1)), path)  # the probe has no "ab"


def test_other_files_and_versions_are_refused(tmp_path):
    parts = fused()
    with pytest.raises(InputError, match="nowhere does not exist; expected a saved text state"):
        load_state(parts, tmp_path / "nowhere")
    (tmp_path / "text").write_text("no state")
    with pytest.raises(InputError, match=r"text cannot be read: .*; expected a saved text state"):
        load_state(parts, tmp_path / "text")
    save_file({"a": torch.ones(1)}, tmp_path / "weights")
    with pytest.raises(InputError, match="weights is not a saved text state; expected one of version 1"):
        load_state(parts, tmp_path / "weights")
    open_text(parts, "text").save(tmp_path / "state")
    with safe_open(tmp_path / "state", framework="pt") as file:
        about = file.metadata()["slimvec_text_state"].replace('"format": 1', '"format": 2')
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "newer", metadata={"slimvec_text_state": about})
    with pytest.raises(InputError, match="newer is of version 2; expected one of version 1; open the text again"):
        load_state(parts, tmp_path / "newer")
