"""What several tests of the frame need: readings as probes give them, and probes that do what a test wants."""

from dataclasses import dataclass, field

from slimvec.engine.embedder import Embedder
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.probes.protocol import embed
from slimvec.probes.results import Metric, ProbeReport, ProbeResult
from slimvec.reports.parts import Curve, Plot, Table
from tests import tiny


def slimvec_model(architecture="llama", mode="causal", **settings):
    """A tiny model as something to probe."""
    embedder = Embedder.from_model(tiny.embedding_model(architecture, mode, **settings))
    return SlimvecModel(embedder, name=f"{architecture} {mode}", identity="0" * 64)


def measure(name="accuracy", value=0.7, *, low=0.6, high=0.8, unit="share", **more):
    given = {"baseline": 0.5, "baseline_name": "chance", "num_items": 100, "higher_is_better": True} | more
    return Metric(name=name, value=value, low=low, high=high, unit=unit, **given)


def dots(title="Accuracy by kind", categories=("role swap", "negation"), values=(0.7, 0.6)):
    xs = tuple(float(n) for n in range(len(categories)))
    lows, highs = (tuple(v + d for v in values) for d in (-0.1, 0.1))
    floor = Curve(label="chance", xs=xs, ys=(0.5,) * len(xs), baseline=True)
    curve = Curve(label="all languages", xs=xs, ys=values, lows=lows, highs=highs)
    return Plot(title=title, x_label="kind", y_label="share", kind="dots", categories=categories, curves=(curve, floor))


def lines(title="Similarity by depth", **more):
    xs = (64.0, 128.0, 256.0)
    curve = Curve(label="needle", xs=xs, ys=(0.9, 0.6, 0.5), lows=(0.8, 0.5, 0.4), highs=(1.0, 0.7, 0.6))
    return Plot(title=title, x_label="tokens", y_label="cosine", curves=(curve,), **more)


def result(probe="order", **more):
    given = {
        "question": "Does it see the order of words?",
        "definition": "Triplets of an anchor, a paraphrase and a reordering.",
        "answer": "It is right in 70.0% of the triplets.",
        "measures": (measure(), measure("margin", 0.031, low=0.02, high=0.04, unit="cosine", baseline=0.0)),
        "tables": (Table(title="By kind", header=("kind", "share"), rows=(("role swap", "70.0%"),)),),
        "plots": (dots(), lines(x_log=True)),
        "remedies": ("Train with order negatives",),
        "sources": ("A paper",),
        "num_texts": 300,
        "seconds": 1.5,
    }
    return ProbeResult(probe=probe, **given | more)


def report(*readings, name="model-a", **more):
    card = ModelCard(name=name, kind="planted", identity="0" * 64, prompts={"query": "ask:\n", "document": ""})
    given = {"amount": "full", "seed": 3, "created": "2026-11-23T19:00:00+00:00", "versions": {"python": "3.11"}}
    return ProbeReport(model=card, readings=readings or (result(),), **given | more)


@dataclass(frozen=True)
class Counting:
    """A probe that embeds some texts and measures a constant."""

    name: str = "counting"
    question: str = "How many?"
    texts: tuple[str, ...] = ("one", "two", "two")
    error: Exception | None = None
    skipped: str = ""
    seen: list = field(default_factory=list)

    def run(self, model, config):
        if self.error is not None:
            raise self.error
        self.seen.append((model, config))
        vectors = embed(model, self.texts, config)
        assert vectors.shape[0] == len(self.texts)
        return ProbeResult(
            probe=self.name,
            question=self.question,
            answer="" if self.skipped else "Done.",
            measures=() if self.skipped else (measure(), measure("a b/c d", 0.25), measure("a/b/c", 0.5)),
            skipped=self.skipped,
        )
