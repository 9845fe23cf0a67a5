"""Models from scratch: a tokenizer trained on texts, and weights drawn by a seed."""

from collections.abc import Iterable

import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from slimvec.errors import InputError
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.cache import Progress
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.manifest import Origin
from slimvec.model.scratch import SPECIAL_TOKENS, Shape, TokenizerChoice
from slimvec.model.shapes import build_bare
from slimvec.model.sources import resolve_source
from slimvec.model.spec import ModelSpec
from slimvec.text.tokenizer import Tokenizer


def draw_model(
    shape: Shape,
    choice: TokenizerChoice,
    spec: ModelSpec,
    *,
    texts: Iterable[str],
    seed: int,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> EmbeddingModel:
    """Make a model with random weights.

    Args:
        shape: Shape of its layers.
        choice: Choice of its tokenizer.
        spec: Its settings.
        texts: To train the tokenizer on, if it is trained.
        seed: Random seed for the weights; transformers' own initialisation, drawn in float32 and then rounded.
        dtype: Data type of the weights.
        progress: Called with what takes long.

    Raises:
        InputError: no such tokenizer, or texts that do not hold so many tokens.
        FetchError: the tokenizer has to be fetched and cannot be.
        ModelError: its source has none.
    """
    folder = None
    if choice.vocabulary is not None:
        if progress is not None:
            progress(f"training a tokenizer of {choice.vocabulary:,} tokens", None)
        tokenizer = Tokenizer(train_tokenizer(texts, choice.vocabulary), max_tokens=spec.max_tokens)
    else:
        assert choice.source is not None
        folder = resolve_source(choice.source, revision=choice.revision, progress=progress)
        tokenizer = Tokenizer.from_folder(folder, max_tokens=spec.max_tokens)
    config = shape.config(_num_ids(tokenizer.backend))
    if folder is not None:
        # Its special tokens have other ids, and transformers never trains the embedding of what is called padding.
        config |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        bare = build_bare(config, torch.float32).to(dtype).eval()
    model = EmbeddingModel(TransformersBackbone(bare, spec.attention), tokenizer, spec)
    model.origin = Origin(source=f"random weights, seed {seed}")
    model.tokenizer_folder = folder
    return model.eval()


def _num_ids(backend: tokenizers.Tokenizer) -> int:
    """Count a tokenizer's ids up to the highest; some tokenizers leave ids out."""
    return max(backend.get_vocab(with_added_tokens=True).values()) + 1


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> tokenizers.Tokenizer:
    """Train byte-level byte-pair encoding (arXiv 1508.07909), as GPT-2 and SmolLM2 have it.

    Equal texts give an equal tokenizer. Every text comes between `<s>` and `</s>`.

    Args:
        texts: To count in.
        vocabulary: Number of tokens.

    Raises:
        InputError: the texts do not hold so many.
    """
    backend = tokenizers.Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer=trainer)
    found = backend.get_vocab_size()
    if found < vocabulary:
        raise InputError(
            f"the texts give a vocabulary of {found:,} tokens",
            expected=f"{vocabulary:,}, as base.tokenizer.vocabulary says",
            do="lower it, or give more texts",
        )
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(token, backend.token_to_id(token)) for token in ("<s>", "</s>")]
    )
    return backend
