"""Which tokens feel a token: what `slimvec.model.guard` checks when a model is loaded, shown with its size.

Letters: N texts, L tokens a text, H width of a state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from slimvec.engine.embedder import Embedder
from slimvec.errors import ModelError
from slimvec.evaluation.cached_model import embedder_of
from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.protocol import ProbeConfig, answered, skipped
from slimvec.probes.results import Figure, ProbeResult, curve
from slimvec.reports.parts import Plot
from slimvec.statistics.intervals import Interval, bootstrap_intervals
from slimvec.statistics.resampling import Values
from slimvec.text.batch import PackedBatch

_WORDS = (
    "river stone quiet window seven letters crossed harbour morning teacher carried paper under bridges "
    "winter market sold green apples before noon sailor wrote home about rain children painted walls beside old "
    "station while trains waited for coal engineer measured copper pipes again doctor closed garden gate"
)
BEFORE = Figure("movement before the change", "ratio", None, "unchanged texts in the batch")
BEHIND = Figure("movement behind the change", "ratio", None, "unchanged texts in the batch")
_NOISE = 10.0
"""How many times further than unchanged texts a state has to move to count as moved."""


@dataclass(frozen=True)
class AttentionModeProbe:
    """Changes a token in the middle of a text, and sees how far the states of all others move.

    Attributes:
        num_texts: N at full; half of them are changed, the others lie unchanged in the same batch. 120 bring the
            interval to about a twentieth of the value.
        num_tokens: L; the token that is changed is the middle one. 25 is short enough for every model's window.
    """

    num_texts: int = 120
    num_tokens: int = 25

    name: ClassVar[str] = "attention"
    question: ClassVar[str] = "Does a token feel the tokens behind it, or only those before it?"

    def run(self, model: EvaluatedModel, config: ProbeConfig) -> ProbeResult:
        """Put the question to a model of slimvec's; others do not show their states.

        Raises:
            ModelError: its tokenizer knows none of the words, so that no token can be distinguished from another.
        """
        embedder = embedder_of(model)
        if embedder is None:
            return skipped(self, "the states of tokens are not to be had; load the model through slimvec")
        texts = self._texts(embedder, config)
        if min(map(len, texts)) < self.num_tokens:
            return skipped(self, f"every text is truncated; expected a limit of {self.num_tokens} tokens at least")
        config.on_progress(2 * len(texts))
        changed, still = moved_states(embedder, texts)
        if not np.isfinite(changed).all():
            return skipped(self, "states are not finite numbers; load the model with --dtype float32")
        middle = self.num_tokens // 2
        before, behind, beside = (
            bootstrap_intervals(values.mean(axis=1, keepdims=True), seed=config.seed)[0]
            for values in (changed[:, :middle], changed[:, middle + 1 :], still)
        )
        places = range(-middle, self.num_tokens - middle)
        curves = [
            curve(label, bootstrap_intervals(values, seed=config.seed), places, baseline=values is still)
            for label, values in (("text with a changed token", changed), ("unchanged text beside it", still))
        ]
        plot = Plot(
            title="How far the states move when the middle token is changed",
            x_label="tokens behind the changed one (negative: before it)",
            y_label="movement, share of the state's length",
            curves=tuple(curves),
        )
        rows = ((BEFORE, before), (BEHIND, behind))
        return answered(
            self,
            _answer(before, behind, beside, embedder.spec.attention),
            [figure.metric(found, len(changed), baseline=beside.value) for figure, found in rows],
            plots=[plot],
            num_texts=2 * len(texts),
            details={
                "declared": embedder.spec.attention,
                "engine": embedder.engine,
                "computed in": embedder.dtype,
                "tokens a text": self.num_tokens,
            },
            num_tokens=self.num_tokens,
            middle=middle + 1,
        )

    def _texts(self, embedder: Embedder, config: ProbeConfig) -> list[list[int]]:
        """Draw N texts of L tokens: words without a meaning, in the model's own tokens."""
        generator = np.random.default_rng(config.seed)
        count = 2 * config.count(self.num_texts // 2)  # every other one is changed
        drawn = [" ".join(generator.choice(_WORDS.split(), size=self.num_tokens)) for _ in range(count)]
        encodings = embedder.tokenizer.backend.encode_batch_fast(drawn, add_special_tokens=False)
        return [list(encoding.ids[: self.num_tokens]) for encoding in encodings]


def moved_states(embedder: Embedder, texts: Sequence[Sequence[int]]) -> tuple[Values, Values]:
    """Change the middle token of every other text, and measure how far each state moves.

    Args:
        embedder: Gives the states.
        texts: N token sequences of L tokens each, N even.

    Returns:
        Movements by text and place, of the changed texts and of the unchanged: [N / 2, L] each, shares of the
        states' lengths.

    Raises:
        ModelError: all tokens are the same, so that none can be changed.
    """
    num_tokens, middle = len(texts[0]), len(texts[0]) // 2
    pool = sorted({token for text in texts for token in text})
    if len(pool) < 2:
        raise ModelError(f"all words are token {pool[0]}", expected="a tokenizer that knows some English words")
    changed = [list(text) for text in texts]
    for number in range(0, len(texts), 2):
        old = texts[number][middle]
        changed[number][middle] = pool[(pool.index(old) + 1 + number) % len(pool)]
        if changed[number][middle] == old:
            changed[number][middle] = pool[pool.index(old) - 1]
    with torch.inference_mode():
        states = [embedder.backbone(PackedBatch.from_sequences(each)) for each in (texts, changed)]
    first, second = (found.double().cpu().view(len(texts), num_tokens, -1) for found in states)
    moves: Values = ((second - first).norm(dim=-1) / first.norm(dim=-1)).numpy()
    return moves[::2], moves[1::2]


def _answer(before: Interval, behind: Interval, beside: Interval, declared: str) -> str:
    """Say what came out, and whether it is what the model's files declare."""
    feels = before.low > _NOISE * beside.high + 1e-4
    does = "bidirectional" if feels else "causal"
    agrees = "as its files say" if does == declared else f"although its files say {declared}"
    leaks = "" if beside.low <= 1e-2 else f" Unchanged texts in the batch move by {beside.value:.1%}: texts leak."
    return (
        f"Changing a token moves the states before it by {before.value:.2%} of their length and those behind it by "
        f"{behind.value:.2%}: the model is {does}, {agrees}.{leaks}"
    )
