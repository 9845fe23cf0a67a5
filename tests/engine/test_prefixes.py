"""All prefixes in one pass equal each prefix embedded alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimvec.engine.prefixes import prefixes
from slimvec.errors import InputError, ModelError
from slimvec.model.architectures import DECODERS
from slimvec.model.pooling import pool
from slimvec.model.running_pooling import running_pool
from slimvec.model.spec import Pooling
from slimvec.text.batch import PackedBatch
from slimvec.text.located import locate
from tests.engine.causal_models import POOLINGS, fused, merging_backend, plain, texts
from tests.tiny import bracketing_backend


@pytest.mark.parametrize("build", [fused, plain])
@pytest.mark.parametrize("architecture", DECODERS)
def test_prefixes_equal_each_prefix_alone(architecture, build):
    @given(text=texts, pooling=st.sampled_from(POOLINGS), role=st.sampled_from(["query", "document"]))
    def holds(text, pooling, role):
        parts = build(architecture, pooling=pooling, backend=merging_backend())
        found = prefixes(parts, text, role=role)
        tokens = locate(parts.tokenizer, text, prompt=parts.spec.prompts.render(role))
        assert found.num_tokens == list(range(tokens.first + 1, len(tokens.ids) + 1))
        assert found.ends == tokens.ends
        alone = [parts.embed_ids(tokens.ids[:number], tokens.prefix_length) for number in found.num_tokens]
        np.testing.assert_allclose(found.vectors, alone, atol=1e-5)
        np.testing.assert_allclose(found.vectors[-1], parts.embed(text, tokens.prompt), atol=1e-5)

    holds()


@given(text=texts, data=st.data())
def test_offsets_take_the_tokens_that_end_there_or_before(text, data):
    parts = fused()
    at = data.draw(st.lists(st.integers(1, len(text)), min_size=1, max_size=6))
    found = prefixes(parts, text, at=at, dims=8)
    assert found.ends == at  # a token a byte: every character ends one
    whole = prefixes(parts, text, dims=8)
    rows = [max(i for i, end in enumerate(whole.ends) if end <= offset) for offset in at]
    np.testing.assert_array_equal(found.vectors, whole.vectors[rows])
    assert found.vectors.shape == (len(at), 8)
    # With a token a byte, characters embedded on their own are the same tokens.
    alone = [parts.embed_ids(locate(parts.tokenizer, text).ids[:n], dims=8) for n in found.num_tokens]
    np.testing.assert_allclose(found.vectors, alone, atol=1e-5)


def test_a_token_ends_within_a_longer_one_only_behind_it():
    parts = fused(backend=merging_backend())
    assert locate(parts.tokenizer, "xabcx").ends == [1, 4, 5]
    assert prefixes(parts, "xabcx", at=[1, 2, 3, 4, 5]).ends == [1, 1, 1, 4, 5]


@pytest.mark.parametrize("beta", [0.0, 1.0, 50.0, 1e4])
@pytest.mark.parametrize("start", [0, 700])
def test_running_sums_stay_exact_over_thousands_of_tokens(beta, start):
    states = torch.randn(8000, 3, generator=torch.Generator().manual_seed(0)) + 0.3
    pooling = Pooling(mode="beta", beta=beta, include_prompt=False)
    found = running_pool(states, pooling, start=start)
    lengths = [start + 1, start + 2, 1234, 4000, 7999, 8000]
    batch = PackedBatch.from_sequences([[0] * n for n in lengths], [start] * len(lengths))
    expected = pool(torch.cat([states[:n] for n in lengths]), batch, pooling)
    torch.testing.assert_close(found[[n - start - 1 for n in lengths]], expected, atol=1e-5, rtol=1e-5)


def test_cls_pooling_has_no_running_sum():
    with pytest.raises(ValueError, match="every prefix has the same vector"):
        running_pool(torch.ones(2, 2), Pooling(mode="cls"))


def test_models_that_have_no_prefixes_are_refused():
    with pytest.raises(ModelError, match=r"^prefixes with bidirectional attention; expected a causal model$"):
        prefixes(plain("llama", "bidirectional"), "text")
    with pytest.raises(ModelError, match="prefixes with cls pooling; expected mean, weighted, beta or last"):
        prefixes(fused(pooling=Pooling(mode="cls")), "text")
    with pytest.raises(
        ModelError, match=r"closes every text with 1 special token\(s\); expected one that adds nothing"
    ):
        prefixes(fused(backend=bracketing_backend()), "text")


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ([2, 5], "offset 5; expected 0 to 4, the length of the text"),
        ([-1], "offset -1; expected 0 to 4, the length of the text"),
        ([0], "offset 0; expected at least 3, where the first token ends; leave the offset out"),
    ],
)
def test_offsets_outside_the_text_are_refused(at, message):
    with pytest.raises(InputError, match=message):
        prefixes(fused(backend=merging_backend()), "abcx" if at == [0] else "text", at=at)


def test_wrong_input_is_refused():
    with pytest.raises(
        InputError, match="the text has 241 tokens; expected at most 240, the model's limit; embed it by"
    ):
        prefixes(fused(), "ax" * 120 + "x")
    with pytest.raises(InputError, match="text 0 is empty"):
        prefixes(fused(), " ")
    with pytest.raises(InputError, match="dims 33; expected 1 to 32"):
        prefixes(fused(), "text", dims=33)
