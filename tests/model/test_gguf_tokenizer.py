"""Byte-level tokenizers built from GGUF metadata: cut by their name's rule, composed and framed as the file says."""

import json

import pytest
from tokenizers import Regex, pre_tokenizers
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from slimvec.errors import ModelError
from slimvec.model.gguf_conversion import check_tokenizer
from slimvec.model.gguf_splits import SPLITS
from slimvec.model.gguf_tokenizer import build_tokenizer, check_split

SPECIALS = ("<|end|>", "<|begin|>", "<defined>")
LETTERS = tuple(bytes_to_unicode().values())
MERGES = ("a b", "Ã ©", "ab c")


def metadata(split="qwen2", architecture="qwen2", **changes):
    tokens = [*SPECIALS, *LETTERS, "ab", "Ã©", "abcd"]
    return {
        "general.architecture": architecture,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": split,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": list(MERGES[:2]),
        "tokenizer.ggml.token_type": [3, 3, 4] + [1] * (len(tokens) - 3),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 0,
    } | {f"tokenizer.ggml.{name}": value for name, value in changes.items()}


PROBE = "It's 2024,  we'LL\n\n go été."
PIECES = {
    "gpt-2": ["It", "'s", " 2024", ",", " ", " we", "'", "LL", "\n\n", " go", " été", "."],
    "smollm": ["It", "'s", " ", "2", "0", "2", "4", ",", " ", " we", "'", "LL", "\n\n", " go", " été", "."],
    "llama-bpe": ["It", "'s", " ", "202", "4", ",", " ", " we", "'LL", "\n\n", " go", " été", "."],
    "smaug-bpe": ["It", "'s", " ", "202", "4", ",", " ", " we", "'LL", "\n\n", " go", " été", "."],
    "qwen2": ["It", "'s", " ", "2", "0", "2", "4", ",", " ", " we", "'LL", "\n\n", " go", " été", "."],
    "qwen35": ["It", "'s", " ", "2", "0", "2", "4", ",", " ", " we", "'LL", "\n\n", " go", " été", "."],
    "seed-coder": ["It", "'s", " ", "2", "0", "2", "4", ",", " ", " we", "'LL", "\n\n", " go", " été", "."],
    "tekken": ["It", "'s", " ", "2", "0", "2", "4", ",", " ", " we", "'LL", "\n\n", " go", " été", "."],
    "minicpm5": ["It", "'s", " ", "202", "4", ",", " ", " we", "'LL", "\n\n", " go", " été", "."],
    "bloom": ["It's", " 2024", ", ", " we'LL", "\n\n", " go", " été", "."],
    "viking": ["It's", " ", "2", "0", "2", "4", ", ", " we'LL", "\n\n", " go", " été", "."],
    "deepseek-coder": [
        "It", "'", "s", " ", "2", "0", "2", "4", ",", " ", " we", "'", "LL", "\n", "\n", " go", " été", ".",
    ],
}  # fmt: skip


def test_every_rule_cuts_as_it_should():
    by_rule = {SPLITS[name]: name for name in reversed(PIECES)}
    assert {*by_rule} == {*SPLITS.values()}, "a rule without its pieces here"
    for name, wanted in PIECES.items():
        cuts = [pre_tokenizers.Split(Regex(rule), behavior="isolated") for rule in SPLITS[name].rules]
        found = [piece for piece, _ in pre_tokenizers.Sequence(cuts).pre_tokenize_str(PROBE)]
        assert found == wanted, name


def test_qwen_composes_characters_and_every_reader_agrees(tmp_path):
    described = metadata()
    made = build_tokenizer(described)
    assert made("e\u0301")["input_ids"] == made("\u00e9")["input_ids"] == [described_id(described, "Ã©")]
    made.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    check_tokenizer(tmp_path, described)
    assert AutoTokenizer.from_pretrained(tmp_path)("e\u0301")["input_ids"] == made("\u00e9")["input_ids"]
    plain = build_tokenizer(metadata("smollm", "llama"))
    assert plain("e\u0301")["input_ids"] != plain("\u00e9")["input_ids"]


def described_id(described, token):
    return described["tokenizer.ggml.tokens"].index(token)


def test_whole_pieces_go_before_merges():
    described = metadata("llama-bpe", "llama", add_bos_token=False)
    assert build_tokenizer(described)("abcd")["input_ids"] == [described_id(described, "abcd")]
    described = metadata("smaug-bpe", "llama")
    assert build_tokenizer(described)("abcd")["input_ids"] == [described_id(described, t) for t in ("ab", "c", "d")]


@pytest.mark.parametrize(
    ("split", "changes", "frame"),
    [
        ("qwen2", {}, []),
        ("llama-bpe", {}, [1, "x"]),
        ("llama-bpe", {"add_bos_token": False}, []),
        ("smollm", {"add_bos_token": True, "add_eos_token": True}, [1, "x", 0]),
        ("smollm", {"add_eos_token": True}, ["x", 0]),
    ],
)
def test_special_tokens_stand_around_a_text_as_the_file_says(split, changes, frame):
    described = metadata(split, "llama", **changes)
    own = described_id(described, "x")
    assert build_tokenizer(described)("x")["input_ids"] == [own if part == "x" else part for part in frame or ["x"]]


def test_tokens_of_their_own_kind_are_found_in_a_text():
    described = metadata()
    made = build_tokenizer(described)
    assert made("<defined><|end|>")["input_ids"] == [2, 0]
    assert made.backend_tokenizer.get_added_tokens_decoder()[0].special
    assert not made.backend_tokenizer.get_added_tokens_decoder()[2].special


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ModelError, match=r"tokenizer splitting None; expected one of a\.x-4"):
        check_split({"tokenizer.ggml.model": "gpt2"})
    with pytest.raises(ModelError, match=r"no tokenizer\.ggml\.merges; expected the lists"):
        build_tokenizer({k: v for k, v in metadata().items() if not k.endswith("merges")})
    with pytest.raises(ModelError, match="do not fit together"):
        build_tokenizer(metadata(merges=["no such"]))
    with pytest.raises(ModelError, match="eos around every text; expected the numbers"):
        build_tokenizer(metadata(add_eos_token=True, eos_token_id=9999))
