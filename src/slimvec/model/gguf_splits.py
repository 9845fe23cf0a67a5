"""How a byte-level tokenizer cuts text before it merges, by llama.cpp's name for it (`tokenizer.ggml.pre`).

A GGUF file gives the name and not the rule. Each rule here is the one of the models that the name was made for;
benchmarks/gguf_tokenizers.py holds every name against llama.cpp's ids. A name that is not here is refused: a rule that
is nearly right gives other tokens without a word.
"""

from dataclasses import dataclass

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_QWEN2 = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}|{_SIGNS}|{_SPACES}"
_LLAMA3 = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}"
_BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)
_QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_SEED_CODER = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}"
_MINICPM5 = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}+|{_SIGNS}|{_SPACES}"


@dataclass(frozen=True)
class Split:
    """A way to cut text.

    Attributes:
        rules: Regular expressions, each applied to the pieces of the one before; what none matches stays a piece.
        whole_pieces: A piece that is a token is taken whole, without a look at the merges.
        opens: A text begins with the bos token where the file does not say.
    """

    rules: tuple[str, ...]
    whole_pieces: bool = False
    opens: bool = False


_DIGITS = Split((r"\p{N}", _GPT2))
_KINDS = {
    Split((_GPT2,)): "gpt-2 phi-2 mpt olmo jais gigachat a.x-4.0 mellum exaone4 trillion granite-docling",
    _DIGITS: "smollm starcoder refact command-r codeshell exaone minerva-7b",
    Split((_LLAMA3,), whole_pieces=True, opens=True): "llama3 llama-v3 llama-bpe falcon3 pixtral midm-2.0 lfm2",
    Split((_LLAMA3,)): "dbrx smaug-bpe chatglm-bpe glm4",
    Split((_QWEN2,)): "qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan",
    Split((_TEKKEN,), whole_pieces=True, opens=True): "tekken",
    Split((_BLOOM,)): "bloom poro-chat gpt3-finnish",
    Split((_BLOOM, r"\p{N}")): "viking",
    Split((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}")): "deepseek-coder",
    Split((_QWEN35,)): "qwen35",
    Split((_SEED_CODER,)): "seed-coder",
    Split((r"\p{N}{1,3}", _MINICPM5), whole_pieces=True): "minicpm5",
}
SPLITS = {name: split for split, names in _KINDS.items() for name in names.split()}
"""Ways to cut text by llama.cpp's names."""
