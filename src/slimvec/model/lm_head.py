"""The head of a language model: what turns a state into scores of the next token.

Legend: N tokens, H width of a state, V tokens of the vocabulary.
"""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from slimvec.errors import ModelError
from slimvec.model.architectures import is_decoder, ties_head
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.opening import OpenedModel, open_model
from slimvec.model.weight_files import WeightFiles, refuse_not_finite

_FOLDER = "language_model"
"""Where a trained model keeps a head that is not tied to its embedding; readers of embedding models pass it over."""
_NAME = "lm_head.weight"
_SLICE = 8192
"""Rows of the head that are multiplied at once where no gradient is asked for: a quarter of a gigabyte of logits is
never there as a whole, and a head in another dtype is converted piece by piece."""


class LMHead:
    """The head of a language model: states to scores of the next token.

    Args:
        weight: Gives its weights [V, H]: a function, since a tied head moves with the embedding in training.
    """

    def __init__(self, weight: Callable[[], Tensor]) -> None:
        self.weight = weight

    def is_tied(self, backbone: TransformersBackbone) -> bool:
        """Whether its weights are the backbone's embedding."""
        return self.weight() is backbone.hf_model.get_input_embeddings().weight

    def logits(self, states: Tensor) -> Tensor:
        """Give the scores [N, V] float32 of the token behind each state [N, H]."""
        return F.linear(states, self.weight().to(states.dtype)).float()

    def loss(self, states: Tensor, targets: Tensor) -> Tensor:
        """Give the summed cross-entropy of tokens [N] behind states [N, H], with its gradient."""
        logits = self.logits(states)
        return F.cross_entropy(logits, targets.to(logits.device), reduction="sum")

    def log_probabilities(self, states: Tensor, targets: Tensor) -> Tensor:
        """Give the logarithms of the probabilities of tokens [N] behind states [N, H]: [N] float32, no gradient."""
        with torch.inference_mode():
            weight = self.weight()
            total = states.new_full((len(states),), -torch.inf, dtype=torch.float32)
            for start in range(0, len(weight), _SLICE):
                logits = F.linear(states, weight[start : start + _SLICE].to(states.dtype)).float()
                total = torch.logaddexp(total, logits.logsumexp(dim=-1))
            chosen = weight[targets.to(weight.device)].to(states.dtype)
            return (states * chosen).sum(dim=-1).float() - total


def load_lm_head(source: str | Path, backbone: TransformersBackbone, *, revision: str | None = None) -> LMHead:
    """Load the head of a base for a model in training.

    Args:
        source: The base, as it was before any training; embedding models that were trained from it have no head.
        backbone: Its bare model, or one trained from it.
        revision: Revision of a hub name.

    Returns:
        The head. Its own weights are frozen, on the backbone's device in its dtype; where they are tied they are the
        backbone's embedding, trained with it.

    Raises:
        ModelError: no decoder, or one without a head whose embedding is not tied to it.
    """
    return head_of(open_model(source, revision=revision), backbone)


def head_of(opened: OpenedModel, backbone: TransformersBackbone) -> LMHead:
    """Give the head of an opened base, for a backbone that was loaded from it. As `load_lm_head`."""
    stored = read_lm_head(opened)
    if stored is None:
        return tied_head(backbone)
    head = stored.to(backbone.device, backbone.hf_model.get_input_embeddings().weight.dtype)
    return LMHead(lambda: head)


def tied_head(backbone: TransformersBackbone) -> LMHead:
    """Give the head of a model whose head is its embedding, trained with it."""
    embedding = backbone.hf_model.get_input_embeddings()
    return LMHead(lambda: embedding.weight)


def read_lm_head(opened: OpenedModel) -> Tensor | None:
    """Read the head's weights [V, H] as they are stored; None where they are the embedding's.

    Raises:
        ModelError: no decoder, or one without a head whose embedding is not tied to it.
    """
    if not is_decoder(opened.config):
        raise ModelError(
            f"{opened.folder} is an encoder ({opened.config['model_type']})", expected="a language model with a head"
        )
    kept = opened.folder / _FOLDER
    folder = kept if kept.is_dir() else opened.weights
    files = WeightFiles(folder)
    if _NAME in files.names:
        stored = files.read(_NAME)
        refuse_not_finite(stored, f"{_NAME} of {folder}")
        return stored
    if not ties_head(opened.config):
        raise ModelError(
            f"{opened.folder} has no {_NAME}",
            expected="a language model with its head, or one whose head is tied to the embedding",
        )
    return None


def kept_head(opened: OpenedModel | None, backbone: TransformersBackbone, *, wanted: bool) -> LMHead | None:
    """Give the head that a model is saved with.

    Args:
        opened: The model as it was opened; None for one in memory.
        backbone: Its weights.
        wanted: Save it if it has not been saved with the model before.

    Raises:
        ModelError: it is wanted, and the model's own weights do not predict the next token.
    """
    if opened is not None and opened.is_language_model and (wanted or opened.saved is not None):
        return head_of(opened, backbone)
    if wanted:
        raise ModelError(
            "the language model of weights that were trained as an embedding model alone",
            expected="a plain language model, or one that was saved with its head",
            do="train it with tuning.keep_language_model=true",
        )
    return None


def save_lm_head(head: LMHead, folder: Path) -> None:
    """Write a head with weights of its own into a model folder."""
    (folder / _FOLDER).mkdir()
    weight = head.weight().detach().contiguous().cpu()
    save_file({_NAME: weight}, folder / _FOLDER / "model.safetensors", {"format": "pt"})
