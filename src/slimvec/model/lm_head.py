"""The language-model head of a base: what turns a state into scores of the next token."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from slimvec.errors import ModelError
from slimvec.model.architectures import is_decoder, read_config
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.opening import open_model
from slimvec.model.weight_files import WeightFiles, refuse_not_finite

_NAME = "lm_head.weight"


def load_lm_head(
    source: str | Path, backbone: TransformersBackbone, *, revision: str | None = None
) -> Callable[[], Tensor]:
    """Give the head of a language model: a function, since a tied head moves with the embedding.

    Args:
        source: The base, as it was before any training; embedding models that were trained of it have no head.
        backbone: Its bare model, or one trained from it.
        revision: Of a hub name.

    Returns:
        A function that gives [V, H]. The head's own weights are frozen, on the backbone's device in its dtype; where
        they are tied they are the backbone's embedding, trained with it.

    Raises:
        ModelError: no decoder, or one without a head whose embedding is not tied to it.
    """
    weights = open_model(source, revision=revision).weights
    config = read_config(weights)
    if not is_decoder(config):
        raise ModelError(f"{source} is an encoder ({config['model_type']})", expected="a language model with a head")
    embedding = backbone.hf_model.get_input_embeddings()
    files = WeightFiles(weights)
    if _NAME in files.names:
        stored = files.read(_NAME)
        refuse_not_finite(stored, f"{_NAME} of {weights}")
        head: Tensor = stored.to(backbone.device, embedding.weight.dtype)
        return lambda: head
    # Gemma's config class ties by default and does not write it; transformers' own reading of the config knows.
    if not backbone.config.tie_word_embeddings:
        raise ModelError(f"{source} has no {_NAME}", expected="one, or a head that is tied to the embedding")
    return tied_head(backbone)


def tied_head(backbone: TransformersBackbone) -> Callable[[], Tensor]:
    """Give the head of a model whose head is its embedding: a function that gives [V, H], trained with it."""
    embedding = backbone.hf_model.get_input_embeddings()
    return lambda: embedding.weight
