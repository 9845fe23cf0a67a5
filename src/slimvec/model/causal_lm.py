"""A causal language model: a backbone, its head, and a cache of keys and values to write text with.

Training predicts tokens with it, `synthesize` has it write, and likelihoods are read off it. It runs on any backbone
that gives states: transformers, or the fused decoder, which `slimvec.engine.language_model` puts under it.

Legend: N tokens, H width of a state, V tokens of the vocabulary.
"""

from collections.abc import Collection, Sequence
from typing import Protocol, Self

import torch
from torch import Tensor

from slimvec.errors import ModelError
from slimvec.model.architectures import is_decoder
from slimvec.model.folder import load_opened
from slimvec.model.lm_head import LMHead, head_of
from slimvec.model.opening import OpenedModel, open_model
from slimvec.model.protocols import Backbone
from slimvec.model.sampling import Sampling


class TokenCache(Protocol):
    """A text under way, whose keys and values are kept: each token is run once."""

    def extend(self, tokens: Sequence[int]) -> Tensor:
        """Run the tokens that follow, and give their states [N, H]."""
        ...


class CachingBackbone(Backbone, Protocol):
    """A causal backbone that can go on behind what it has run."""

    def open_cache(self) -> TokenCache:
        """Begin an empty text."""
        ...


class CausalLM:
    """A language model that predicts and writes tokens.

    Args:
        backbone: Its states.
        head: Its head.

    Attributes:
        backbone: Packed batch to states.
        head: States to scores.
    """

    def __init__(self, backbone: CachingBackbone, head: LMHead) -> None:
        self.backbone, self.head = backbone, head

    @classmethod
    def load(cls, opened: OpenedModel, *, device: torch.device) -> Self:
        """Load the language model of an opened model through transformers: see `open_language_model`.

        Args:
            opened: The model.
            device: Where to.

        Raises:
            ModelError: there is none, or it cannot be loaded.
        """
        opened = open_language_model(opened)
        backbone = load_opened(opened, device=device).backbone
        return cls(backbone, head_of(opened, backbone))

    def generate(
        self,
        tokens: Sequence[int],
        *,
        max_new_tokens: int,
        ends: Collection[int],
        sampling: Sampling,
        seed: int = 0,
    ) -> list[int]:
        """Go on from tokens: the same for the same seed, on one machine.

        Args:
            tokens: What stands there; at least one.
            max_new_tokens: When to stop at the latest.
            ends: Tokens that end a text.
            sampling: How tokens are chosen.
            seed: Random seed for the choice; no global random state is touched.

        Returns:
            The new tokens; the last is one of `ends` unless the limit came first.
        """
        with torch.inference_mode():
            cache, seen = self.backbone.open_cache(), list(tokens)
            states = cache.extend(tokens)
            choose = sampling.chooser(states.device, seed)
            for _ in range(max_new_tokens):
                seen.append(choose(seen, self.head.logits(states[-1:])))
                if seen[-1] in ends:
                    break
                if len(seen) - len(tokens) < max_new_tokens:
                    states = cache.extend(seen[-1:])
        return seen[len(tokens) :]


def open_language_model(opened: OpenedModel) -> OpenedModel:
    """Give what predicts the next token for a model.

    That is the model itself where it is a plain language model or was saved with its head. Where it was trained as an
    embedding model alone it is its base: the weights under an adapter, or those that merged weights started from.

    Raises:
        ModelError: an encoder, a model that attends in both directions, or a trained one whose base is not known.
    """
    if opened.is_language_model:
        if not is_decoder(opened.config) or opened.spec.attention != "causal":
            raise ModelError(
                f"{opened.folder} has {opened.spec.attention} attention", expected="a causal language model"
            )
        if opened.spec.num_layers is None:
            return opened
        return open_language_model(open_model(opened.weights, rope=opened.rope))  # the head belongs to all layers
    if opened.base is None:
        raise ModelError(
            f"{opened.folder} was trained as an embedding model and says nothing of its base",
            expected="a language model",
            do="save it with its language model, or as an adapter",
        )
    source, revision = (opened.weights, None) if opened.is_adapter else (opened.base.source, opened.base.revision)
    return open_language_model(open_model(source, revision=revision, rope=opened.rope))
