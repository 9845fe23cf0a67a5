"""A sweep over rope scalings: which of them finds needles best in texts longer than the model was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack, get_args

import numpy as np

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.model.opening import OpenSettings
from slimvec.model.rope_scaling import RopeKind, RopeScaling
from slimvec.probes.length.length_probe import score_lengths
from slimvec.probes.protocol import ProbeConfig
from slimvec.statistics.intervals import Interval, bootstrap_intervals, paired_difference
from slimvec.statistics.resampling import Values

SCALINGS = tuple(RopeScaling(kind=kind, factor=factor) for kind in get_args(RopeKind) for factor in (2.0, 4.0))
NUM_DOCUMENTS, NUM_NEEDLES = 10, 2


@dataclass(frozen=True)
class RopeScore:
    """What a scaling finds.

    Attributes:
        scaling: None for the model as it is.
        score: nDCG@10 of needles, mean over lengths, with its interval over documents.
        gain: Less that of the model as it is, on the same documents.
        by_length: nDCG@10 at each length.
    """

    scaling: RopeScaling | None
    score: Interval
    gain: Interval
    by_length: tuple[float, ...]


@dataclass(frozen=True)
class RopeSweep:
    """What was tried, and what is best.

    Attributes:
        lengths: In tokens, at most.
        scores: The model as it is, then the scalings in the order given.
        best: The one with the highest score; the model as it is where no gain is distinguishable from 0.
    """

    lengths: tuple[int, ...]
    scores: tuple[RopeScore, ...]
    best: RopeScore


def sweep_rope(
    source: str,
    config: ProbeConfig,
    *,
    lengths: Sequence[int],
    tried: Sequence[RopeScaling] = SCALINGS,
    dtype: str = "auto",
    **settings: Unpack[OpenSettings],
) -> RopeSweep:
    """Find the rope scaling that finds needles best, without any training.

    The model with what was found: `Embedder.load(source, rope=sweep.best.scaling, max_tokens=...)`; saved, it keeps it.

    Args:
        source: The model.
        config: Amount, seed, and `longdocs` where they are at hand.
        lengths: Lengths of the documents in tokens; those beyond what the model was trained on are what scaling is for,
            those within show what it costs.
        tried: Default all kinds by 2 and by 4.
        dtype: As for `Embedder.load`.
        settings: As for `Embedder.load`, without rope and max_tokens.

    Raises:
        InputError: no lengths, or none above 0.
        ModelError: the model cannot be used, or its positions cannot be stretched.
        FetchError: it has to be fetched and cannot be.
    """
    if not lengths or min(lengths) < 1:
        raise InputError(f"lengths {list(lengths)}", expected="some, in tokens")
    lengths = sorted(set(lengths))
    settings["max_tokens"] = lengths[-1]
    found: list[tuple[RopeScaling | None, Values]] = []
    for scaling in (None, *tried):
        settings["rope"] = scaling
        model = SlimvecModel(Embedder.load(source, dtype=dtype, **settings), name=source, identity="")
        needles = score_lengths(model, lengths, config, num_documents=NUM_DOCUMENTS, num_needles=NUM_NEEDLES)
        found.append((scaling, np.stack([one.ndcg.mean(axis=1) for one in needles])))
    plain = found[0][1].mean(axis=0)
    scores = tuple(
        RopeScore(
            scaling,
            bootstrap_intervals(by_length.mean(axis=0)[:, None], seed=config.seed)[0],
            paired_difference(by_length.mean(axis=0), plain, seed=config.seed),
            tuple(by_length.mean(axis=1).tolist()),
        )
        for scaling, by_length in found
    )
    best = max(scores, key=lambda one: one.score.value)
    return RopeSweep(tuple(lengths), scores, best if best.gain.low > 0 else scores[0])
