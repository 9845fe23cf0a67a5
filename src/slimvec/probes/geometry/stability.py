"""Whether a text's vector stays what it is: alone, among others, in another order, in another dtype."""

from collections.abc import Sequence

import numpy as np

from slimvec.evaluation.cached_model import bare_model
from slimvec.evaluation.models import EvaluatedModel, Prompt, Usage
from slimvec.evaluation.opening import open_evaluated
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.probes.protocol import ProbeConfig, embed_with
from slimvec.text.embeddings import Vectors

_EXACT = "float32"


def compare_batches(model: EvaluatedModel, texts: Sequence[str], config: ProbeConfig) -> dict[str, float]:
    """Give the lowest cosine of texts with themselves, embedded in other company.

    Args:
        model: A store of vectors is left aside, as it would give back what it was given.
        texts: N different ones.
        config: Its `on_progress` is called.

    Returns:
        `again` (the same batch twice), `reversed` (the other order) and `alone` (one at a time), each against the
        first batch.
    """
    bare, prompt = bare_model(model), _prompt(model)
    together = embed_with(bare, texts, prompt, config)
    again = embed_with(bare, texts, prompt, config)
    backwards = embed_with(bare, list(texts)[::-1], prompt, config)[::-1]
    alone = np.concatenate([embed_with(bare, [text], prompt, config) for text in texts])
    others = {"again": again, "reversed": backwards, "alone": alone}
    return {name: lowest_cosine(together, other) for name, other in others.items()}


def compare_dtypes(model: EvaluatedModel, texts: Sequence[str], config: ProbeConfig) -> float | str:
    """Give the lowest cosine of texts with themselves, computed in float32.

    Returns:
        The cosine, or why there is none.
    """
    bare, prompt = bare_model(model), _prompt(model)
    card = bare.card
    if not isinstance(bare, SlimvecModel) or not config.source:
        return "only a model of slimvec's that was loaded by name can be loaded anew in float32"
    if card.dtype == _EXACT:
        return "it is computed in float32 already"
    exact = open_evaluated(config.source, backend="slimvec", dtype=_EXACT, dims=card.dims, revision=card.revision)
    if exact.prompt(Usage("probe", "STS", None)).text != prompt.text:
        return "prompts given on the command line are not those of the model loaded anew"
    return lowest_cosine(embed_with(bare, texts, prompt, config), embed_with(exact, texts, prompt, config))


def lowest_cosine(first: Vectors, second: Vectors) -> float:
    """Lowest cosine of vectors [N, D] of length 1 with those of the same texts, at most 1."""
    cosines = (first.astype(np.float64) * second.astype(np.float64)).sum(axis=1)
    lengths = np.linalg.norm(first.astype(np.float64), axis=1) * np.linalg.norm(second.astype(np.float64), axis=1)
    return float(min(1.0, (cosines / lengths).min()))


def _prompt(model: EvaluatedModel) -> Prompt:
    return model.prompt(Usage("probe", "STS", None))
