"""How fast this machine trains: one step of in-batch negatives on real texts, timed, and thrown away."""

import time
from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F

from slimvec.data.records import Record
from slimvec.model.adapters import add_lora
from slimvec.model.folder import load_model
from slimvec.model.pooling import pool
from slimvec.text.batch import PackedBatch
from slimvec.training.recipe import Recipe
from slimvec.training.step.dtypes import run_dtype
from slimvec.training.step.folding import folded_lora

_WARM_PAIRS = 2
_ENOUGH_SECONDS = 4.0
"""A first step that takes so long is measured well enough, and no larger one follows."""


def step_speed(recipe: Recipe, records: Sequence[Record]) -> float:
    """Measure the tokens a second of a LoRA training, forward and backward. A slow machine is not kept long.

    The layers without gradient run as the others do here, so a training that runs them on the fused decoder is faster.

    Args:
        recipe: With `tuning.method: lora`.
        records: A few pairs; the first two are a step of their own, to warm up, and all there is on a slow machine.

    Raises:
        SlimvecError: the base cannot be loaded.
    """
    model = load_model(recipe.base.name, dtype=run_dtype(recipe.run), num_layers=recipe.model.num_layers)
    model.backbone.requires_grad_(False)
    add_lora(model.backbone, recipe.tuning)
    rate = 0.0
    with folded_lora(model.backbone.modules()) if recipe.tuning.folded else nullcontext():
        for pairs in (records[:_WARM_PAIRS], records):
            texts = [record.query for record in pairs] + [record.positives[0] for record in pairs]
            limit = recipe.batch.max_document_tokens
            sequences = [ids[:limit] for ids in model.tokenizer.tokenize(texts).sequences]
            batch = PackedBatch.from_sequences(sequences)
            start = time.perf_counter()
            vectors = F.normalize(pool(model.backbone(batch), batch, model.spec.pooling), dim=-1)
            cosines = vectors[: len(pairs)] @ vectors[len(pairs) :].T
            F.cross_entropy(cosines / recipe.loss.temperature, torch.arange(len(pairs))).backward()  # type: ignore[no-untyped-call]
            seconds = time.perf_counter() - start
            rate = batch.num_tokens / seconds
            if seconds > _ENOUGH_SECONDS:
                break
    return rate
