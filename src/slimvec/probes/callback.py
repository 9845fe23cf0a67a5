"""Probes while a model is trained: their measures beside those on held-out records, so one sees when a bias appears.

    validators = {name: ProbeValidator(probe) for name, probe in ...}
    train(recipe, output, validators=validators)

A probe draws from numpy's generators by its own seed, never from torch's, and the same items at every evaluation: a
curve shows the model's change alone, and the run goes on as if nobody had looked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from slimvec.data.embedders import TextEmbedder
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.evaluation.models import Embedded, ModelCard, OnProgress, Prompt, Usage, unknown_counts
from slimvec.evaluation.slimvec_model import choose_prompt
from slimvec.probes.cached_model import HasPrompts
from slimvec.probes.protocol import Probe, ProbeConfig
from slimvec.probes.run import run_probes
from slimvec.text.prompts import Prompts

_DEEPEST = 1
"""Slashes in the names of measures that are logged: what is further apart (by language, by template) rests on a few
items each at the amount drawn here."""


@runtime_checkable
class HasLimit(Protocol):
    """An embedder that says how long a text it takes."""

    @property
    def max_tokens(self) -> int:
        """Longest document, in tokens."""
        ...


class EmbedderModel:
    """Whatever embeds texts, a model in training for one, as something to probe.

    Args:
        embedder: Embeds with the weights as they are.
        name: In the card.
        max_tokens: Longest text it takes, where that is known: probes then ask for none that would lose its end.
    """

    def __init__(
        self, embedder: TextEmbedder, *, name: str = "model in training", max_tokens: int | None = None
    ) -> None:
        self._embedder, self._name, self._max_tokens = embedder, name, max_tokens

    @property
    def card(self) -> ModelCard:
        """What is known of it; no identity, as its weights change."""
        return ModelCard(name=self._name, kind="training", identity=None, max_tokens=self._max_tokens)

    @property
    def prompts(self) -> Prompts:
        """The templates of its prompts; those of a model without any where the embedder does not show them."""
        if isinstance(self._embedder, Embedder):
            return self._embedder.spec.prompts
        return self._embedder.prompts if isinstance(self._embedder, HasPrompts) else Prompts()

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage."""
        return choose_prompt(self.prompts, usage)

    def embed(self, texts: Sequence[str], prompt: Prompt, *, on_progress: OnProgress | None = None) -> Embedded:
        """Embed texts; errors as for the embedder."""
        role = prompt.role or "document"
        found = self._embedder.embed(texts, role=role, task=prompt.task, on_progress=on_progress)
        return Embedded(found.vectors, *unknown_counts(len(texts)))


@dataclass(frozen=True)
class ProbeValidator:
    """A probe as an evaluation of a training run (`slimvec.training.validation.Validator`).

    Attributes:
        probe: Asks.
        config: Configuration of the probe; a twentieth of the items, as it is asked again and again.
    """

    probe: Probe
    config: ProbeConfig = field(default_factory=lambda: ProbeConfig(amount="tiny"))

    def __call__(self, embedder: TextEmbedder) -> Mapping[str, float]:
        """Give the probe's measures by name, with `_` for spaces: the main ones, down to one `/`.

        Raises:
            InputError: the probe cannot be put to a model in training.
        """
        limit = embedder.max_tokens if isinstance(embedder, HasLimit) else None
        result = run_probes(EmbedderModel(embedder, max_tokens=limit), [self.probe], self.config).readings[0]
        if not result.measures:
            raise InputError(f"probe {result.probe} cannot be run in training: {result.skipped}", do="leave it out")
        kept = (measure for measure in result.measures if measure.name.count("/") <= _DEEPEST)
        return {measure.name.replace(" ", "_"): measure.value for measure in kept}


def probe_validators(probes: Sequence[Probe], *, seed: int = 0) -> dict[str, ProbeValidator]:
    """Give probes as evaluations by their names.

    Args:
        probes: Which.
        seed: Random seed for the items drawn.
    """
    return {probe.name: ProbeValidator(probe, ProbeConfig(amount="tiny", seed=seed)) for probe in probes}
