"""Probes while a model is trained: their measures beside those on held-out records, so one sees when a bias appears.

    validators = {name: ProbeValidator(probe) for name, probe in ...}
    train(recipe, output, validators=validators)

A probe draws from numpy's generators by its own seed, never from torch's, and the same items at every evaluation: a
curve shows the model's change alone, and the run goes on as if nobody had looked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError
from slimvec.evaluation.cached_model import HasPrompts
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.slimvec_model import EmbedderModel
from slimvec.probes.protocol import Probe, ProbeConfig
from slimvec.probes.run import run_probes
from slimvec.text.embeddings import TextEmbedder
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


def embedder_to_probe(embedder: TextEmbedder, *, name: str = "model in training") -> EmbedderModel:
    """Take whatever embeds texts, a model in training for one, as something to probe.

    It has no identity, as its weights change, and a model without prompts where the embedder does not show them. Probes
    ask for no text longer than it takes, where it says how long that is.

    Args:
        embedder: Embeds with the weights as they are.
        name: What its card calls it.
    """
    prompts = embedder.prompts if isinstance(embedder, HasPrompts) else Prompts()
    prompts = embedder.spec.prompts if isinstance(embedder, Embedder) else prompts
    limit = embedder.max_tokens if isinstance(embedder, HasLimit) else None
    card = ModelCard(name=name, kind="training", identity=None, max_tokens=limit)
    return EmbedderModel(embedder, prompts, card)


@dataclass(frozen=True)
class ProbeValidator:
    """A probe as an evaluation of a training run (`slimvec.training.run.validation.Validator`).

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
        result = run_probes(embedder_to_probe(embedder), [self.probe], self.config).readings[0]
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
