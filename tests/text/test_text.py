"""Prompts, tokenising and batch planning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slimvec.errors import InputError, ModelError
from slimvec.text.batch import PackedBatch, plan_batches
from slimvec.text.prompts import INSTRUCTED, Prompts, Task
from slimvec.text.tokenizer import Tokenizer
from tests.tiny import bracketing_backend, tokenizer_backend


def tokenizer(max_tokens=50, *, bracketing=False):
    return Tokenizer(bracketing_backend() if bracketing else tokenizer_backend(), max_tokens=max_tokens)


def test_prompts_by_role_and_task():
    prompts = INSTRUCTED.model_copy(
        update={"tasks": {**INSTRUCTED.tasks, "sts": Task(instruction="x", symmetric=True)}}
    )
    assert prompts.render("document") == ""
    assert prompts.render("query").startswith("Instruct: Given a question")
    assert prompts.render("query", "Find the cat") == "Instruct: Find the cat\nQuery:\n"
    assert prompts.render("query", "sts") == ""
    with pytest.raises(InputError, match="task 'stss'; expected one of retrieval, sts, or a whole instruction"):
        prompts.render("query", "stss")
    with pytest.raises(InputError, match="role 'passage'; expected query or document"):
        prompts.render("passage")


def test_task_names_are_one_word():
    with pytest.raises(ValidationError, match="must be one word"):
        Prompts(tasks={"two words": Task(instruction="x")})


def test_tokenize_counts_prefix_and_truncation():
    result = tokenizer(8).tokenize(["abc", "abcdefgh"], prompt="q: ")
    assert result.prefix_lengths == [3, 3]
    assert result.lengths == [6, 8]
    assert result.truncated == [False, True]
    assert result.num_truncated == 1


def test_blocks_change_nothing(monkeypatch):
    texts = [f"text {'x' * number}" for number in range(11)]
    whole = tokenizer(12).tokenize(texts, prompt="do ", first=5)
    monkeypatch.setattr("slimvec.text.tokenizer.BLOCK_TEXTS", 3)
    assert tokenizer(12).tokenize(texts, prompt="do ", first=5) == whole
    assert 0 < whole.num_truncated < 11


def test_special_tokens_open_the_prefix_and_close_the_text():
    result = tokenizer(8, bracketing=True).tokenize(["ab", "abcdefgh"], prompt="q:")
    cls, sep = (bracketing_backend().token_to_id(t) for t in ("[CLS]", "[SEP]"))
    assert result.prefix_lengths == [3, 3]
    assert [ids[0] for ids in result.sequences] == [cls, cls]
    assert [ids[-1] for ids in result.sequences] == [sep, sep]
    assert result.lengths == [6, 8]


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_an_error(text):
    with pytest.raises(InputError, match="text 8 is empty; expected some text"):
        tokenizer().tokenize(["fine", text], first=7)


@pytest.mark.parametrize("bracketing", [False, True])
def test_a_text_without_room_for_its_own_tokens_is_an_error(bracketing):
    with pytest.raises(InputError, match=r"text 0 \('hello'\) has no tokens of its own"):
        tokenizer(4, bracketing=bracketing).tokenize(["hello"], prompt="a long prompt")


def test_a_missing_tokenizer_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match=r"has no tokenizer\.json; expected a model folder with its tokenizer"):
        Tokenizer.from_folder(tmp_path, max_tokens=8)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        Tokenizer.from_folder(tmp_path, max_tokens=8)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100))
def test_batches_hold_every_text_once_and_keep_the_budget(lengths, budget):
    batches = plan_batches(lengths, token_budget=budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[index] for index in batch) <= budget
    longest_first = [lengths[index] for batch in batches for index in batch]
    assert longest_first == sorted(lengths, reverse=True)


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=7), min_size=1, max_size=6))
def test_a_batch_keeps_its_texts(sequences):
    batch = PackedBatch.from_sequences(sequences)
    assert batch.lengths == tuple(map(len, sequences))
    assert batch.input_ids.tolist() == [token for sequence in sequences for token in sequence]
    assert batch.position_ids.tolist() == [place for sequence in sequences for place in range(len(sequence))]
    assert batch.text_ids().tolist() == [i for i, sequence in enumerate(sequences) for _ in sequence]
    assert batch.cu_seqlens[-1] == batch.num_tokens == sum(batch.lengths)
    assert batch.max_seqlen == max(batch.lengths)


@pytest.mark.parametrize("sequences", [[], [[1], []]])
def test_a_batch_without_tokens_is_refused(sequences):
    with pytest.raises(ValueError, match="at least one text and a token in each"):
        PackedBatch.from_sequences(sequences)


def test_prefixes_must_fit():
    with pytest.raises(ValueError, match=r"prefix lengths \[3\] do not fit"):
        PackedBatch.from_sequences([[1, 2]], [3])
