"""The recipe as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from slimvec.frozen import Section, refuse
from slimvec.objectives.settings import Loss, check_mined, check_mrl_dims
from slimvec.training.recipe.data import Batch, Source
from slimvec.training.recipe.model import Base, ModelSettings, Tuning
from slimvec.training.recipe.objectives import (
    Adaptation,
    Anchor,
    Contrastive,
    NextPhrase,
    NGrams,
    Objective,
    Revela,
    TextObjective,
    TextVectorsObjective,
)
from slimvec.training.recipe.run import LENGTHS, Optim, Run, Validation

Tree = dict[str, Any]

KINDS = ("method", "mode")
"""Keys that decide what else a section may hold: another one replaces its section."""
_ADAPTER_KEYS = {"method", "rank", "alpha", "dropout", "first_layer", "embedding_rank", "merge"}
"""Settings that decide what an adapter is."""


class Stage(Section):
    """What a stage changes. It starts from the result of the one before.

    The sections are kept as they are written, and mean something only over the recipe's own: settings that are not
    named stay, lists are replaced, null takes a section away. A section that gets another `method` or `mode` is
    replaced, as is an objective of another kind, and a length takes the place of the recipe's.

    Attributes:
        name: Name of the stage, for metrics and messages.
        model: Changes, likewise all below.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)
    model: Tree | None = None
    tuning: Tree | None = None
    data: list[Tree] | None = None
    objective: Tree = Field(default={}, exclude_if=lambda tree: not tree)
    adaptation: Tree | None = None
    loss: Tree | None = None
    optim: Tree | None = None
    batch: Tree | None = None
    run: Tree | None = None
    validation: Tree | None = None

    def over(self, recipe: Mapping[str, Any]) -> Tree:
        """Put the changes over a recipe's tree, which stays as it is."""
        given = {key: getattr(self, key) for key in type(self).model_fields if key in self.model_fields_set - {"name"}}
        kept = {key: value for key, value in recipe.items() if given.get(key, value) is not None}
        if _is_other_kind(self.objective, recipe.get("objective")):
            kept.pop("objective", None)
        return merged(kept, {key: value for key, value in given.items() if value is not None})


def _is_other_kind(objective: Tree, before: Tree | None) -> bool:
    """Whether an objective, as it is written, is of another kind than the one before."""
    own = (before or {}).get("kind", "contrastive")
    return bool(objective.get("kind", own) != own)


class StageError(ValueError):
    """A stage that is no valid recipe when put over the recipe's own sections.

    Args:
        index: Number of the stage, from 0.
        error: What is wrong with it; its places are those of a recipe.
    """

    def __init__(self, index: int, error: ValidationError) -> None:
        self.index = index
        self.error = error
        super().__init__(f"stage {index + 1}: {error}")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Put one tree over another, mapping by mapping; neither changes."""
    if any(key in above and above[key] != below.get(key) for key in KINDS):
        return dict(above)
    kept = dict(below)
    if any(key in above for key in LENGTHS):  # one is given: it takes the place of the others
        kept = {key: value for key, value in kept.items() if key not in LENGTHS}
    for key, value in above.items():
        inner = kept.get(key)
        kept[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return kept


def _is_default(objective: Objective) -> bool:
    """Whether an objective goes unwritten: fingerprints of runs from before there was a choice stay as they were."""
    return objective == Contrastive()


class Recipe(Section):
    """Everything a run depends on. Sections as named; unset keys have the defaults of this version.

    Attributes:
        stages: One after the other; the sections above are then what all of them have in common. Default: one stage.
        data_root: Where relative paths of data files begin; default the working directory.
    """

    base: Base
    model: ModelSettings = ModelSettings()
    tuning: Tuning = Tuning()
    data: tuple[Source, ...] = ()
    objective: Objective = Field(default=Contrastive(), exclude_if=_is_default)
    adaptation: Adaptation | None = None
    loss: Loss = Loss()
    optim: Optim = Optim()
    batch: Batch = Batch()
    run: Run = Run()
    validation: Validation | None = None
    stages: tuple[Stage, ...] = ()
    data_root: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.stages:
            self._check_stages()
        else:
            self._check_single()
        return self

    @property
    def kind(self) -> str:
        """What is learnt: the objective's kind, or that of the adaptation in its place."""
        return self.objective.kind if self.adaptation is None else self.adaptation.objective

    @property
    def learns_from_pairs(self) -> bool:
        """Whether vectors of queries and their documents are trained, each behind its prompt."""
        return self.kind in ("contrastive", "anchor")

    @property
    def trains_head(self) -> bool:
        """Whether the layers behind the pooling are trained."""
        if self.predicted_share is not None:
            return False
        if isinstance(self.objective, TextVectorsObjective) and not self.objective.trains_head:
            return False
        given = bool(self.model.head) or self.tuning.method == "full"
        return given if self.tuning.train_head is None else self.tuning.train_head

    @property
    def texts(self) -> Adaptation | TextObjective | None:
        """The section by which the recipe learns from texts; None where it learns from pairs."""
        if self.adaptation is not None:
            return self.adaptation
        return self.objective if isinstance(self.objective, TextObjective) else None

    @property
    def keeps_language_model(self) -> bool:
        """Whether the model is saved with the head by which it predicts the next token."""
        return self.tuning.keep_language_model or isinstance(self.objective, NGrams)

    @property
    def predicted_share(self) -> float | None:
        """Share of the tokens that are predicted, where that is all that is learnt; None where vectors are."""
        if self.adaptation is not None:
            return self.adaptation.predicted_share
        if isinstance(self.objective, NGrams):
            return self.objective.tokens / (self.batch.max_query_tokens + self.objective.tokens)
        return None

    def stage_recipes(self) -> "tuple[StageRecipe, ...]":
        """Give the recipe of each stage, complete, with paths that begin at `data_root`.

        A recipe without stages is one stage without a name.
        """
        if not self.stages:
            return (StageRecipe("", self._located()),)
        own = self.model_dump(exclude_unset=True, exclude={"stages"})
        return tuple(
            StageRecipe(stage.name, Recipe.model_validate(stage.over(own))._located()) for stage in self.stages
        )

    def _check_stages(self) -> None:
        """See that each stage is a valid recipe."""
        names = [stage.name for stage in self.stages]
        for index, name in enumerate(names):
            message = f"stage {name!r} is there already; give it another name"
            refuse(name in names[:index], f"stages.{index}.name", message)
        own = self.model_dump(exclude_unset=True, exclude={"stages"})
        for index, stage in enumerate(self.stages):
            try:
                recipe = Recipe.model_validate(stage.over(own))
            except ValidationError as error:
                raise StageError(index, error) from error
            self._check_adapter(index, recipe.tuning)

    def _check_adapter(self, index: int, tuning: Tuning) -> None:
        """See that stages whose adapter is saved alone all train the same one."""
        kept, own = [settings.model_dump(include=_ADAPTER_KEYS) for settings in (tuning, self.tuning)]
        why = "its base would be a stage's result, which is not kept"
        wrong = kept != own and not (tuning.merge and self.tuning.merge)
        refuse(wrong, f"stages.{index}.tuning", f"merge false with stages that change the adapter: {why}")

    def _check_single(self) -> None:
        """See that the sections go together."""
        refuse(not self.data, "data", "data is missing; add data")
        refuse(not self.run.lengths, "run", f"no length is given; give one of {', '.join(LENGTHS)}")
        message = "trained_dims is what training writes; use loss.mrl_dims"
        refuse(self.model.trained_dims, "model.trained_dims", message)
        self._check_base()
        self._check_frozen()
        if self.model.num_layers is not None:
            self._check_depth(self.model.num_layers)
        check_mined(self.loss, self.batch.negatives)
        if self.texts is None and any(source.order_negatives is not None for source in self.data):
            self._check_order_negatives()
        if self.model.dims is not None:
            check_mrl_dims(self.loss, self.model.dims)
        for key in ("max_query_tokens", "max_document_tokens"):
            self._check_longest("batch", self.batch, key)
        message = "shard with an adapter, which is small in every process; set tuning.method to full, or leave it"
        refuse(self.run.shard and self.tuning.method != "full", "run.shard", message)
        message = "attention_ramp with causal attention; set model.attention to bidirectional, where it leads"
        refuse(self.run.attention_ramp and self.model.attention != "bidirectional", "run.attention_ramp", message)
        message = f"embedding_rank with {self.kind}, which predicts tokens by a head made for the base's; set it to 0"
        refuse(self.tuning.embedding_rank and self._predicts, "tuning.embedding_rank", message)
        if self.adaptation is not None:
            self._check_adaptation(self.adaptation)
        if isinstance(self.objective, TextVectorsObjective):
            self._check_text_vectors(self.objective)
        if isinstance(self.objective, NextPhrase):
            self._check_causal("reads the answer")
        if isinstance(self.objective, TextObjective):
            self._check_text_objective(self.objective)
        if isinstance(self.objective, Anchor | Revela):
            self._check_reading()
        if isinstance(self.objective, NGrams):
            self._check_ngrams()

    def _check_base(self) -> None:
        """See that the sections go together with a new model.

        In later stages too: their weights were random once, and an adapter on them would have no base to name.
        """
        if self.base.shape is None:
            return
        most = self.base.shape.max_positions
        message = f"max_tokens {self.model.max_tokens} is above the shape's max_positions {most}"
        refuse(self.model.max_tokens > most, "model.max_tokens", message)
        message = "merge false on a new model: the adapter's base would be random weights, which are not kept"
        refuse(not self.tuning.merge, "tuning.merge", message)

    def _check_depth(self, num_layers: int) -> None:
        """See that a model of its first layers only is asked for nothing that takes all of them."""
        key = "model.num_layers"
        message = f"num_layers {num_layers} with {self.kind} that predicts tokens, from all layers; leave it out"
        refuse(self._predicts, key, message)
        message = f"num_layers {num_layers} of a new model; set base.shape.layers to the number it shall have"
        refuse(self.base.shape is not None, key, message)
        first = self.tuning.first_layer if self.tuning.method == "lora" else 0
        message = f"first_layer {first} is not below model.num_layers {num_layers}"
        refuse(first >= num_layers, "tuning.first_layer", message)

    @property
    def _predicts(self) -> bool:
        """Whether the base's language-model head has a part in the training or in what is saved."""
        lm_weight = isinstance(self.objective, NextPhrase) and bool(self.objective.lm_weight)
        reads = self.predicted_share is not None or isinstance(self.objective, Anchor | Revela)
        return reads or lm_weight or self.keeps_language_model

    def _check_frozen(self) -> None:
        """See that there are frozen layers to keep or to round, and that they give the same from step to step."""
        kept = bool(self.run.cache_states)
        rounded = self.tuning.frozen_dtype == "int8"
        if not kept and not rounded:
            return
        refuse(kept and rounded, "run.cache_states", "cache_states with frozen_dtype int8; leave one of them out")
        key, name = ("run.cache_states", "cache_states") if kept else ("tuning.frozen_dtype", "frozen_dtype int8")
        message = "set tuning.first_layer above 0 with method lora, embedding_rank to 0, or leave it out"
        refuse(not self.tuning.num_frozen, key, f"{name} without frozen layers; {message}")
        message = "with attention_ramp, which changes what frozen layers give; leave one of them out"
        refuse(self.run.attention_ramp, key, f"{name} {message}")
        message = "cache_states with an adaptation, which masks other tokens each time; leave cache_states out"
        refuse(kept and self.adaptation, "run.cache_states", message)

    def _check_order_negatives(self) -> None:
        """See that hard negatives of reordered words are compared with something."""
        message = "order_negatives count among batch.negatives, which is 0; set it to 1 or more"
        refuse(not self.batch.negatives, "batch.negatives", message)
        message = "order_negatives are compared by the term q-d of the contrastive loss alone, which is left out"
        refuse(not self.loss.contrastive or "q-d" not in self.loss.terms, "loss.terms", message)

    def _check_adaptation(self, adaptation: Adaptation) -> None:
        """See that the sections go together with token prediction."""
        message = f"adaptation beside objective {self.objective.kind}; leave one of them out"
        refuse(self.objective != Contrastive(), "adaptation", message)
        given, wanted = self.model.attention, adaptation.attention
        why = "reads the answer" if given == "bidirectional" else "has nothing to learn"
        message = f"adaptation by {adaptation.objective} with {given} attention {why}; set model.attention to {wanted}"
        refuse("attention" in self.model.model_fields_set and given != wanted, "model.attention", message)
        self._check_texts("adaptation", "an adaptation", adaptation)

    def _check_text_objective(self, objective: TextObjective) -> None:
        """See that the sections go together with an objective that learns from texts."""
        for key in ("distill", "graded", "mixing", "hardness"):
            message = f"{key} belongs to records, and objective {self.kind} has texts; leave one of them out"
            refuse(getattr(self.loss, key), f"loss.{key}", message)
        self._check_texts("objective", f"objective {self.kind}", objective)

    def _check_reading(self) -> None:
        """See that the model can predict texts from vectors: causally, in all of its layers, whole in each process."""
        self._check_causal("predicts what it reads")
        message = f"{self.kind} with tuning.first_layer: what it reads goes through all layers; set it to 0"
        refuse(self.tuning.method == "lora" and self.tuning.first_layer, "tuning.first_layer", message)
        refuse(self.run.shard, "run.shard", f"shard with objective {self.kind}, which needs whole weights")

    def _check_ngrams(self) -> None:
        """See that the sections go together with n-grams, which a causal model writes."""
        self._check_causal("predicts what it reads")
        message = "validation scores vectors, and objective ngrams trains what the model writes; set it to null"
        refuse(self.validation, "validation", message)
        message = "cache_states with objective ngrams, which draws other texts each time; leave cache_states out"
        refuse(self.run.cache_states, "run.cache_states", message)
        self._check_unchanged("objective", "objective ngrams writes documents as they stand")

    def _check_causal(self, why: str) -> None:
        """See that the recipe asks for no attention to what comes after, with which an objective does as it says."""
        asked = "attention" in self.model.model_fields_set and self.model.attention == "bidirectional"
        message = f"{self.kind} with bidirectional attention {why}; set model.attention to causal"
        refuse(asked or self.run.attention_ramp, "model.attention", message)

    def _check_unchanged(self, key: str, why: str) -> None:
        """See that no source changes the words of its pairs, where the section `key` takes them as they stand."""
        for name in ("rearrange", "order_negatives"):
            changed = any(getattr(source, name) for source in self.data)
            refuse(changed, key, f"{name} belongs to pairs, and {why}; leave one of them out")

    def _check_longest(self, place: str, section: Section, key: str = "max_tokens") -> None:
        """See that a limit of texts, if it is given, is not above the model's."""
        found, most = getattr(section, key), self.model.max_tokens
        message = f"{key} {found} is above the model's max_tokens {most}"
        refuse(key in section.model_fields_set and found > most, f"{place}.{key}", message)

    def _check_texts(self, key: str, name: str, section: Adaptation | TextObjective) -> None:
        """See that the sections go together with texts in the place of pairs, which the section `key` asks for."""
        self._check_unchanged(key, f"{name} has texts")
        self._check_longest(key, section)
        self._check_text_validation(name)

    def _check_text_vectors(self, objective: TextVectorsObjective) -> None:
        """See that the sections go together with distillation on plain texts."""
        self._check_longest("objective", objective)
        message = "shard with objective.head_texts, which fills a whole head"
        refuse(self.run.shard and objective.head_texts, "run.shard", message)
        self._check_text_validation(objective.kind)

    def _check_text_validation(self, what: str) -> None:
        """See that nothing holds out pairs where there are texts."""
        message = f"validation holds out pairs, and {what} has texts; give its path, or set it to null"
        refuse(self.validation is not None and self.validation.path is None, "validation", message)

    def _located(self) -> "Recipe":
        """Give a copy whose data files begin at `data_root`."""
        if self.data_root is None:
            return self
        root = self.data_root
        sources = (_moved(source, root) for source in self.data)
        changes: dict[str, object] = {"data": tuple(sources), "data_root": None}
        if self.validation is not None and self.validation.path is not None:
            changes["validation"] = self.validation.model_copy(update={"path": root / self.validation.path})
        return self.model_copy(update=changes)


@dataclass(frozen=True)
class StageRecipe:
    """A stage with everything it depends on.

    Attributes:
        name: Empty when the recipe has no stages.
        recipe: Its own, without stages.
    """

    name: str
    recipe: Recipe


def _moved(source: Source, root: Path) -> Source:
    """Let the relative paths of a source begin at a folder."""
    paths = {"path": None if source.is_hub else source.path, "passages": source.passages}
    return source.model_copy(update={key: root / path for key, path in paths.items() if path is not None})
