"""The probe of length: do long texts still differ, and is what they say still found?"""

from dataclasses import dataclass
from typing import ClassVar

from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.length.needles import score_lengths
from slimvec.probes.length.summary import summarise
from slimvec.probes.protocol import ProbeConfig, skipped
from slimvec.probes.results import ProbeResult

_SHORTEST = 32


@dataclass(frozen=True)
class LengthProbe:
    """How a model bears long texts.

    Attributes:
        max_tokens: Longest document where the setting asks for none; up to 32,768 make sense. At most 1,024 are
            embedded for `quick` and 256 for `tiny`, whatever is asked for.
        num_documents: Number of documents of different content.
        num_needles: In each of them.
    """

    max_tokens: int = 4096
    num_documents: int = 10
    num_needles: int = 2

    name: ClassVar[str] = "length"
    question: ClassVar[str] = "Do long texts still differ, and is what they say still found?"

    def run(self, model: EvaluatedModel, config: ProbeConfig) -> ProbeResult:
        """Put the question to a model.

        Raises:
            InputError: an outside set that is there and malformed.
        """
        lengths = self.lengths(model, config)
        if len(lengths) < 2:
            return skipped(self, f"a model of {model.card.max_tokens} tokens has no two lengths to compare")
        scores = score_lengths(model, lengths, config, num_documents=self.num_documents, num_needles=self.num_needles)
        return summarise(self, lengths, scores, seed=config.seed)

    def lengths(self, model: EvaluatedModel, config: ProbeConfig) -> list[int]:
        """Give the lengths in tokens: doubling, and the longest that the model takes and the amount allows."""
        asked = config.max_tokens or self.max_tokens
        most = min({"tiny": 256, "quick": 1024, "full": asked}[config.amount], asked, model.card.max_tokens or asked)
        found = [_SHORTEST]
        while found[-1] * 2 < most:
            found.append(found[-1] * 2)
        return [*found, most] if most > found[-1] else found
