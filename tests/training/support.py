"""What several training tests need: records, tiny models, and a recipe for them."""

import numpy as np

from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.model.adapters import add_lora
from slimvec.model.spec import LoraSettings
from slimvec.training.batches.collation import Collator
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.loop import Trainer
from slimvec.training.step.contrastive import ContrastiveSteps
from slimvec.training.step.events import Audience
from slimvec.training.step.objective import make_objective
from tests import tiny

WORDS = ("red", "blue", "green", "cat", "dog", "bird", "runs", "sleeps", "sings", "north", "south", "slow")

RECIPE = """\
base: {source: in-memory}
data: [{path: none.jsonl}]
tuning: {rank: 4, alpha: 8}
loss: {temperature: 0.1}
optim: {lr: 0.01}
batch: {pairs: 6, max_query_tokens: 120, max_document_tokens: 120, micro_batch_tokens: 256, graph_tokens: 4096}
run: {steps: 6, seed: 3, dtype: fp32}
"""


class StopError(Exception):
    """What `stop_after` ends a run with."""


def stop_after(step):
    """Give a callback that ends a run behind a step."""

    def callback(event):
        if event.step == step:
            raise StopError

    return callback


class LetterTeacher:
    """A teacher whose vector of a text says which letters it has, and which text it is."""

    def __init__(self, dims=12, identity="big"):
        self.dims, self.identity, self.asked = dims, identity, []

    def __call__(self, texts, role, task):
        assert task is None
        self.asked += texts
        axes = np.random.default_rng(5).normal(size=(128, self.dims))
        counts = [np.bincount([ord(letter) % 128 for letter in f"{role} {text}"], minlength=128) for text in texts]
        rows = [
            count @ axes + np.random.default_rng(text_id(text)).normal(size=self.dims)
            for count, text in zip(counts, texts, strict=True)
        ]
        return np.stack(rows).astype(np.float32)


def records(num=24):
    """Pairs that share a letter, over and over, and little else."""
    return [
        Record(
            query=f"{WORDS[i % 12]} {chr(65 + i) * 6}",
            positives=(f"{chr(65 + i) * 8} {WORDS[i * 5 % 12]}" + " so" * (i % 3),),
            negatives=(f"not {WORDS[(i + 1) % 12]} {i}",) * (i % 3 > 0),
            source="made",
        )
        for i in range(num)
    ]


def recipe(*overrides):
    return parse_recipe(RECIPE, overrides=overrides)


def model(settings, architecture="llama", mode="causal", **spec):
    """A tiny model made trainable as the recipe says."""
    made = tiny.embedding_model(architecture, mode, **spec)
    if settings.tuning.method == "full":
        made.requires_grad_(True)
    else:
        tuning = settings.tuning
        lora = LoraSettings(rank=tuning.rank, alpha=tuning.alpha, dropout=tuning.dropout)
        add_lora(made.backbone, lora, seed=settings.run.seed)
    return made


def collator(made, settings):
    return Collator(
        made.tokenizer,
        made.spec.prompts,
        max_query_tokens=settings.batch.max_query_tokens,
        max_document_tokens=settings.batch.max_document_tokens,
        max_negatives=settings.batch.negatives,
    )


def trainer(
    folder, settings, *, data=None, made=None, objective=None, on_step=(), on_validation=(), notice=None, **more
):
    made = made or model(settings)
    folder.mkdir(parents=True, exist_ok=True)
    return Trainer(
        made,
        ContrastiveSteps(
            data or records(),
            settings,
            objective=objective or make_objective(settings.loss),
            collator=collator(made, settings),
        ),
        settings,
        folder=folder,
        run_id=more.pop("run_id", "test"),
        audience=Audience(on_step, on_validation, *([notice] if notice else [])),
        **more,
    )


def trained(made):
    return {name: p.detach().clone() for name, p in made.named_parameters() if p.requires_grad}
