"""What a run will need: memory and time, from the shape of the base, before anything is loaded.

What is fixed by the shape is counted: weights, masters, gradients, moments, the folded copy of a LoRA run. What depends
on the software, the results kept for the backward pass and the time of a layer, is measured on a model of the base's
width with one and with two layers and random weights: the difference is one layer, and the rest cancels.

Letters: L layers, T tokens run at once.
"""

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.data.records import Record
from slimvec.frozen import Frozen
from slimvec.model.adapters import add_lora
from slimvec.model.architectures import Config, read_attention_mode, ties_head
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.depth import shallow_config
from slimvec.model.folder import load_model
from slimvec.model.gradient_checkpointing import checkpoint_gradients
from slimvec.model.pooling import pool
from slimvec.model.shapes import WeightCounts, count_weights, read_shape, sample_backbone
from slimvec.objectives.losses import BLOCK_ELEMENTS
from slimvec.reports.amounts import size
from slimvec.text.batch import PackedBatch
from slimvec.training.batches.filling import Filling, TargetFilling
from slimvec.training.recipe import Base, Recipe, TextVectorsObjective
from slimvec.training.recipe.objectives import Anchor, NextPhrase, NGrams, Revela
from slimvec.training.run.parameters import TrainedParameters, count_trained, uncounted
from slimvec.training.step.dtypes import run_dtype
from slimvec.training.step.folding import folded_lora
from slimvec.training.step.frozen import FastTraining, OpenFrozen, fast_frozen

_WARM_PAIRS = 2
_ENOUGH_SECONDS = 4.0
"""A first step that takes so long is measured well enough, and no larger one follows."""
MARGIN = 0.9
"""Share of the memory that a proposal fills: allocators keep pieces they cannot use."""
MICRO_BATCHES = tuple(1 << power for power in range(14, 7, -1))
"""Proposed sizes of a piece, largest first. Above 16,384 tokens no machine gets faster."""
_SHORT, _LONG = 256, 1024
_SHORTEST_PHRASE = 16
"""Tokens of passages that give a pair of vectors, at least."""


def step_speed(
    recipe: Recipe,
    records: Sequence[Record],
    *,
    open_frozen: OpenFrozen | None = None,
    fast_training: FastTraining = nullcontext,
) -> float:
    """Measure the tokens a second of a LoRA training, forward and backward. A slow machine is not kept long.

    Args:
        recipe: With `tuning.method: lora`.
        records: A few pairs; the first two are a step of their own, to warm up, and all there is on a slow machine.
        open_frozen: As the training will be given it.
        fast_training: Likewise.

    Raises:
        SlimvecError: the base cannot be loaded.
    """
    model = load_model(recipe.base.name, dtype=run_dtype(recipe.run), num_layers=recipe.model.num_layers)
    model.backbone.requires_grad_(False)
    add_lora(model.backbone, recipe.tuning)
    rate = 0.0
    with ExitStack() as stack:
        stack.enter_context(fast_frozen(model, recipe, open_frozen))
        stack.enter_context(fast_training(model.backbone))
        if recipe.tuning.folded:
            stack.enter_context(folded_lora(model.backbone.modules()))
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


class Forecast(Frozen):
    """What a stage needs, in one process.

    Attributes:
        num_parameters: Parameters of the bare model.
        num_trained: Trainable parameters, those of the head and of the objective among them.
        tokens_per_step: At most, with all texts as long as the recipe lets them be.
        keeps_graph: Whether such a step keeps all intermediate results, or computes them twice.
        bytes: By purpose; they add up to the highest memory in use.
        seconds_per_step: At most.
        micro_batch_tokens: Largest piece that fits the memory asked about; None without one, or if none does.
        graph_tokens: Largest batch that can keep its results in that memory; 0 for none, None where tokens are
            predicted, which never has to.
        uncounted: What none of this holds, in words.
    """

    num_parameters: int
    num_trained: int
    tokens_per_step: int
    keeps_graph: bool
    bytes: dict[str, int]
    seconds_per_step: float
    micro_batch_tokens: int | None = None
    graph_tokens: int | None = None
    uncounted: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """The highest memory in use."""
        return sum(self.bytes.values())

    def lines(self, name: str, filling: Filling | TargetFilling | None, *, memory: int | None) -> Iterator[str]:
        """Write it for people.

        Args:
            name: Name of the stage; empty in a recipe without stages.
            filling: What fills its steps, where that is known.
            memory: In bytes, that it shall fit; default none.
        """
        title = f"stage {name}: " if name else ""
        yield f"{title}{self.num_parameters:,} parameters, {self.num_trained:,} trained"
        twice = "" if self.keeps_graph else ", computed twice (gradient cache)"
        seconds = f"{self.seconds_per_step:,.1f} s on this machine"
        yield f"a step: at most {self.tokens_per_step:,} tokens{twice}, {seconds}"
        if filling is not None:
            yield str(filling)
        parts = ", ".join(f"{purpose} {size(needed)}" for purpose, needed in self.bytes.items() if needed)
        yield f"memory: {size(self.total_bytes)} ({parts})"
        if self.uncounted:
            yield f"not counted: {'; '.join(self.uncounted)}"
        if memory is not None:
            yield self._advice(memory)

    def _advice(self, memory: int) -> str:
        """Say what fits."""
        if self.micro_batch_tokens is None:
            return (
                f"{size(memory)} are not enough for any piece; try batch.gradient_checkpointing=true, shorter texts, "
                "LoRA, or run.shard=true over several processes"
            )
        fits = "fits" if self.total_bytes <= memory else "does not fit"
        sizes = {"micro_batch_tokens": self.micro_batch_tokens, "graph_tokens": self.graph_tokens}
        settings = (f"batch.{key}={value}" for key, value in sizes.items() if value is not None)
        return f"the recipe {fits} {size(memory)}; {' '.join(settings)}"


@dataclass(frozen=True)
class LayerCost:
    """What a token costs in one layer.

    Attributes:
        kept_bytes: Kept for the backward pass.
        layer_bytes: Kept within a layer that is computed again; as `kept_bytes` without gradient checkpointing.
        seconds: Forward and backward.
    """

    kept_bytes: float
    layer_bytes: float
    seconds: float


def base_config(base: Base, *, config: Path | None = None) -> Config:
    """Give the shape of a base, touching no network.

    Args:
        base: As a recipe has it. A new tokenizer of a recipe, which is not there yet, counts as full.
        config: A folder with a `config.json` to take instead.

    Raises:
        InputError: it, or the tokenizer that it takes, is not on this machine.
        ModelError: its config cannot be used.
    """
    if base.shape is None or base.tokenizer is None or config is not None:
        return read_shape(base.name, revision=base.revision, config=config)
    choice = base.tokenizer
    if choice.vocabulary is not None:
        return base.shape.config(choice.vocabulary)
    assert choice.source is not None
    return base.shape.config(int(read_shape(choice.source, revision=choice.revision)["vocab_size"]))


def forecast(recipe: Recipe, config: Config, *, memory: int | None = None, num_processes: int = 1) -> Forecast:
    """Predict what one process of a stage needs.

    Args:
        recipe: Recipe of the stage.
        config: Shape of its base.
        memory: Bytes it has; the sizes of pieces are proposed for them.
        num_processes: That share each batch, and with `run.shard` the weights.
    """
    config = shallow_config(config, recipe.model.num_layers)
    counts = count_weights(config, first_layer=recipe.tuning.first_layer)
    trained = count_trained(recipe, config, counts)
    cost = measure_layer(recipe, config)
    fixed = {"runtime": _runtime_bytes(), **_weight_bytes(recipe, counts, trained, num_processes)}
    fixed["lm_head"] = _head_bytes(recipe, config)
    tokens = tokens_per_step(recipe, num_processes)
    batch = recipe.batch
    piece = min(batch.micro_batch_tokens, tokens)
    # Predicting tokens sums the gradients of pieces up; only a contrastive loss needs its whole batch at once.
    predicts = recipe.predicted_share is not None
    keeps = predicts or tokens <= batch.graph_tokens
    at_once = tokens if keeps and not predicts else piece
    needed = fixed | _batch_bytes(recipe, config, cost, at_once)
    layers = int(config["num_hidden_layers"])
    # A forward pass is a third of a step's work; the gradient cache takes it twice.
    seconds = layers * tokens * cost.seconds * (1 if keeps else 4 / 3)
    proposal: dict[str, int | None] = {}
    if memory is not None:
        proposal = _propose(recipe, config, cost, tokens, int(memory * MARGIN) - sum(fixed.values()))
    return Forecast(
        num_parameters=counts.total,
        num_trained=trained.total,
        tokens_per_step=tokens,
        keeps_graph=keeps,
        bytes=needed,
        seconds_per_step=seconds,
        uncounted=uncounted(recipe, config),
        **proposal,
    )


def tokens_per_step(recipe: Recipe, num_processes: int = 1) -> int:
    """Give the tokens of a process's share of a batch, with all texts as long as the recipe lets them be."""
    batch = recipe.batch
    if recipe.adaptation is not None:
        return -(-recipe.adaptation.step_tokens // num_processes)
    if recipe.texts is not None:  # passages, and what is made of them once more: phrases, or a second view
        return -(-2 * recipe.texts.step_tokens // num_processes)
    if isinstance(recipe.objective, NGrams):
        targets = -(-recipe.objective.queries // num_processes) * recipe.objective.targets
        return targets * (batch.max_query_tokens + recipe.objective.tokens)
    longest = recipe.model.max_tokens if "max_tokens" in recipe.model.model_fields_set else 1 << 30
    if isinstance(recipe.objective, TextVectorsObjective):
        return -(-recipe.objective.texts // num_processes) * min(recipe.objective.max_tokens, longest)
    query, document = (min(tokens, longest) for tokens in (batch.max_query_tokens, batch.max_document_tokens))
    return -(-batch.pairs // num_processes) * (query + document * (1 + batch.negatives))


def measure_layer(recipe: Recipe, config: Config) -> LayerCost:
    """Measure what a token costs in one layer, with texts as long as the recipe's documents.

    On a busy machine two layers may seem no slower than one; then the time is half of theirs, which is too much rather
    than too little.
    """
    found = {layers: _measure_sample(recipe, config, layers, recipe.batch.gradient_checkpointing) for layers in (1, 2)}
    kept, seconds = (found[2][part] - found[1][part] for part in (0, 1))
    whole = kept
    if recipe.batch.gradient_checkpointing:
        whole = _measure_sample(recipe, config, 2, False)[0] - _measure_sample(recipe, config, 1, False)[0]
    return LayerCost(max(kept, 0.0), max(whole, 0.0), seconds if seconds > 0 else found[2][1] / 2)


def _measure_sample(recipe: Recipe, config: Config, layers: int, checkpointed: bool) -> tuple[float, float]:
    """Give bytes kept and seconds taken for a token by a model of so many layers."""
    mode = recipe.model.attention if "attention" in recipe.model.model_fields_set else read_attention_mode(config)
    backbone = sample_backbone(config, mode, num_layers=layers, dtype=run_dtype(recipe.run))
    if recipe.tuning.method == "full":
        backbone.requires_grad_(True)
    else:
        backbone.requires_grad_(False)
        add_lora(backbone, recipe.tuning.model_copy(update={"first_layer": 0}))
    if checkpointed:
        checkpoint_gradients(backbone)
    backbone.train()
    with folded_lora(backbone.modules()) if recipe.tuning.folded else nullcontext():
        length = min(_longest(recipe), _SHORT)
        short, long = (PackedBatch.from_sequences([[1] * length] * (most // length)) for most in (_SHORT, _LONG))
        (kept_short, _), *runs = _run(backbone, short), _run(backbone, long), _run(backbone, long)
    kept = (runs[0][0] - kept_short) / (long.num_tokens - short.num_tokens)
    return kept, min(seconds for _, seconds in runs) / long.num_tokens


def _longest(recipe: Recipe) -> int:
    """Give the tokens of the longest text that is run."""
    if isinstance(recipe.objective, NGrams):
        return recipe.batch.max_query_tokens + recipe.objective.tokens
    return recipe.batch.max_document_tokens if recipe.texts is None else recipe.texts.max_tokens


def _run(backbone: TransformersBackbone, batch: PackedBatch) -> tuple[int, float]:
    """Run forward and backward: bytes kept between the two, and seconds."""
    kept: list[Tensor] = []  # held, so that no two tensors can have one address

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    start = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total = backbone(batch).float().sum()
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    total.backward()
    return sum(storages.values()), time.perf_counter() - start


def _weight_bytes(
    recipe: Recipe, counts: WeightCounts, parameters: TrainedParameters, num_processes: int
) -> dict[str, int]:
    """Count what lies in memory all the time."""
    width, trained = run_dtype(recipe.run).itemsize, parameters.total
    if recipe.run.shard and num_processes > 1:
        share = -(-counts.total // num_processes)
        return {"weights": 4 * share, "gradients": 4 * share, "moments": 8 * share}
    found = {"weights": width * counts.total, "gradients": 4 * trained, "moments": 8 * trained}
    if recipe.tuning.method == "lora":
        # Trained in float32: the adapter, and with it what is trained of the head and beside the model.
        found |= {"adapter": 4 * trained, "folded": width * counts.linear * recipe.tuning.folded}
    elif width < 4:
        found["masters"] = 4 * trained
    return found


def _head_bytes(recipe: Recipe, config: Config) -> int:
    """Count a language-model head that is not the embedding: it is there beside the bare model, and frozen."""
    objective = recipe.objective
    wanted = recipe.predicted_share is not None or isinstance(objective, Anchor | Revela)
    if isinstance(objective, NextPhrase):
        wanted = bool(objective.lm_weight)
    if not wanted or recipe.base.source is None or ties_head(config):
        return 0
    return run_dtype(recipe.run).itemsize * int(config["vocab_size"]) * int(config["hidden_size"])


def _batch_bytes(recipe: Recipe, config: Config, cost: LayerCost, at_once: int) -> dict[str, int]:
    """Count what a step needs for a while: results kept, one layer's gradients, vectors, similarities."""
    layers, width = int(config["num_hidden_layers"]), int(config["hidden_size"])
    batch = recipe.batch
    piece = min(at_once, batch.micro_batch_tokens)
    kept = {
        "activations": int(layers * cost.kept_bytes * at_once + cost.layer_bytes * piece),
        "states": 16 * width * piece,
    }
    if recipe.predicted_share is not None:
        # Scores of every token of the vocabulary: in the model's dtype, in float32, and their gradient.
        scores = int(piece * recipe.predicted_share) * int(config["vocab_size"])
        return kept | {"scores": scores * (2 * run_dtype(recipe.run).itemsize + 8)}
    pairs, texts = batch.pairs, batch.pairs * (2 + batch.negatives)
    if recipe.texts is not None:
        pairs = recipe.texts.step_tokens // _SHORTEST_PHRASE
        texts = 2 * pairs
    if isinstance(recipe.objective, TextVectorsObjective):
        pairs = texts = recipe.objective.texts
    similarities = min(BLOCK_ELEMENTS, pairs * texts)
    return kept | {"vectors": 16 * width * texts, "similarities": 24 * similarities}


def _propose(recipe: Recipe, config: Config, cost: LayerCost, tokens: int, room: int) -> dict[str, int | None]:
    """Find the largest piece, and the largest batch with its results kept, that fit into some bytes."""

    def fits(at_once: int) -> bool:
        batch = recipe.batch.model_copy(update={"micro_batch_tokens": at_once})
        changed = recipe.model_copy(update={"batch": batch})
        return sum(_batch_bytes(changed, config, cost, at_once).values()) <= room

    micro = next((size for size in MICRO_BATCHES if fits(size)), None)
    if recipe.predicted_share is not None:
        return {"micro_batch_tokens": micro, "graph_tokens": None}
    graph = 0 if micro is None else max((size for size in (*MICRO_BATCHES, tokens) if fits(size)), default=0)
    return {"micro_batch_tokens": micro, "graph_tokens": graph}


def _runtime_bytes() -> int:
    """Give what Python and its libraries take in this process, which has loaded what a training loads."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
