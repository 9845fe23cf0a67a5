"""Models from scratch: what is said of one before there is any weight. No torch here, since recipes hold it.

Decoder and encoder of one shape are the same layers, distinguished by their attention mode and by what they are trained
to predict: so twins differ in nothing else. The weights of the output are tied to the embedding, which at a few million
parameters would be the larger half otherwise.
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from slimvec.frozen import Frozen

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<mask>")
"""Special tokens of a new tokenizer, with the ids 0 to 3. Every text stands between `<s>` and `</s>`, whoever reads it:
an encoder's `cls` is the state of the first, a decoder's `last` that of the last."""
SMALLEST_VOCABULARY = 256 + len(SPECIAL_TOKENS)
"""Every byte is a token, so that no text is unknown."""


class Shape(Frozen):
    """The shape of a model.

    Attributes:
        architecture: Whose layers it has; `llama`: rotary positions, RMS norms, gated feed-forward.
        hidden: Width of the states.
        layers: Number of layers.
        heads: Attention heads; they share the width.
        kv_heads: Heads of keys and values; default as many as heads.
        intermediate: Width of the feed-forward layers.
        max_positions: Longest text it is meant for.
    """

    architecture: Literal["llama"] = "llama"
    hidden: int = Field(ge=2)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int | None = Field(default=None, ge=1)
    intermediate: int = Field(ge=1)
    max_positions: int = Field(default=512, ge=2)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden {self.hidden} is not shared by {self.heads} heads of an even width each")
        if self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"heads {self.heads} are not shared by kv_heads {self.kv_heads}")
        return self

    def config(self, vocabulary: int) -> dict[str, Any]:
        """Give the contents of `config.json` for so many token ids."""
        return {
            "model_type": self.architecture,
            "vocab_size": vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads or self.heads,
            "max_position_embeddings": self.max_positions,
            "tie_word_embeddings": True,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        }


class TokenizerChoice(Frozen):
    """The tokenizer of a model from scratch: another model's, or one trained on its own texts.

    Attributes:
        source: A model whose tokenizer is taken.
        revision: Revision of a hub name.
        vocabulary: Train one of so many tokens, on the texts of the first stage. 8,192 leave a model of a few million
            parameters most of them for its layers.
    """

    source: str | None = Field(default=None, min_length=1)
    revision: str | None = None
    vocabulary: int | None = Field(default=None, ge=SMALLEST_VOCABULARY)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.source is None) == (self.vocabulary is None):
            raise ValueError("give one of source, vocabulary")
        return self
