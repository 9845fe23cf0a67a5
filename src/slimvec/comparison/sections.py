"""The sections of a study file but the recipe's own. No torch here."""

import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from slimvec.data.overlap_limit import MAX_SHARED
from slimvec.frozen import Frozen
from slimvec.model.spec import Pooling
from slimvec.probes.registry import PROBES
from slimvec.text.prompts import Prompts


class Section(Frozen):
    """A part of a study: frozen, closed to keys it does not know, without infinite numbers."""

    model_config = ConfigDict(allow_inf_nan=False)


class Loaded(Section):
    """Settings a model is scored with instead of its own; unset ones are the model's.

    Attributes:
        pooling: How states become a vector; a model trained with another shows what training brings to each.
        prompts: Templates and instructions.
        dims: Width of the vectors.
        task: Task name or whole instruction; a wrong one on purpose, for instance.
        tasks: Those of single sets, by the set's name, in place of `task`.
        recency: Attention calibration of a causal model, as `slimvec.model.attention` defines it.
        echo: Read every text twice and pool its second copy, as `slimvec.text.tokenizer` does; causal models only.
        num_layers: How many layers of a base that is scored untrained run, from the bottom.
    """

    pooling: Pooling | None = None
    prompts: Prompts | None = None
    dims: int | None = Field(default=None, ge=1)
    task: str | None = None
    tasks: Mapping[str, str] = {}
    recency: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    echo: bool = False
    num_layers: int | None = Field(default=None, ge=1)

    def hashed(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Give what results depend on; newer settings only where they are used, so that older results keep keys."""
        unused = {name for name in ("echo", "num_layers", "tasks") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude={*without, *unused})


class Variant(Section):
    """What a variant changes.

    Attributes:
        set: `section.key=value` over the recipe, as on the command line.
        load: What the model is loaded with when it is scored. Variants that differ in nothing else share one training.
        trained: False scores the base as it is.
        against: The variant it is compared with; default the study's reference.
        note: What it is, for the report.
    """

    set: tuple[str, ...] = ()
    load: Loaded = Loaded()
    trained: bool = True
    against: str | None = None
    note: str = ""


class Part(Section):
    """A part of a recipe that is added alone, and left out of the whole.

    Attributes:
        set: `section.key=value` over the recipe, where the part is in.
        when: More of them where another part is in as well, by its name.
        needs: Parts it makes no sense without: they are added with it, and it is left out with them.
        note: What it is, for the report.
    """

    set: tuple[str, ...] = Field(min_length=1)
    when: Mapping[str, tuple[str, ...]] = {}
    needs: tuple[str, ...] = ()
    note: str = ""


class Evaluation(Section):
    """What the models are scored on.

    Attributes:
        sets: Folders of retrieval sets, below the study's data folder.
        max_queries: Queries taken of a set, chosen by `seed`; default all.
        max_documents: Documents, those relevant to the chosen queries always among them; default all.
        language: Only this language of sets that have several; default all together.
        seed: Random seed for the choice and the bootstrap.
        max_shared: Refuse a study whose training data shares text with more than this share of the training records, or
            of a set's queries. 1 refuses none; what is shared stands in the report in any case.
        cache_states: Gigabytes of slimvec's cache for the states behind the layers below the recipe's
            `tuning.first_layer`, which variants and seeds have in common: their texts run through those once. A model
            of which the upper third is trained is then scored in a third of the time, but for the first.
    """

    sets: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    max_queries: int | None = Field(default=None, ge=1)
    max_documents: int | None = Field(default=None, ge=1)
    language: str | None = None
    seed: int = Field(default=0, ge=0)
    max_shared: float = Field(default=MAX_SHARED, ge=0, le=1)
    cache_states: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _different(self) -> Self:
        twice = next((name for name in self.sets if self.sets.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"sets name {twice!r} twice")
        return self


class MeasuredSpread(Section):
    """How much the score moves between trainings of this recipe, measured elsewhere, for a verdict of fewer seeds.

    Attributes:
        deviation: Standard deviation, between seeds, of the main metric's mean over the sets.
        seeds: It was measured with.
        source: Where: a study's report, for instance.
    """

    deviation: float = Field(gt=0, allow_inf_nan=False)
    seeds: int = Field(ge=3)
    source: str = Field(min_length=1)


class Probing(Section):
    """Probes that every variant is put to.

    Attributes:
        names: Which.
        amount: How much is drawn for each, as for `slimvec probe`; a quarter by default, as a study asks many models.
        measures: `PROBE:MEASURE`, what the report shows; default the first of each probe. All are stored.
    """

    names: tuple[str, ...] = Field(min_length=1)
    amount: Literal["tiny", "quick", "full"] = "quick"
    measures: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in (*self.names, *(measure.partition(":")[0] for measure in self.measures)):
            if name not in PROBES:
                raise ValueError(f"no probe {name!r}; there are {', '.join(PROBES)}")
        return self


class Sweep(Section):
    """Poolings that every model is read with besides its own; its states are computed once for all of them.

    Attributes:
        pooling: The poolings; of the family of betas each beta once.
        variants: Models to read so; default all whose own scoring names no pooling.
    """

    pooling: tuple[Pooling, ...] = Field(min_length=1)
    variants: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [pooling_name(pooling) for pooling in self.pooling]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"sweep has {twice} twice")
        places: dict[float, str] = {}
        for pooling, name in zip(self.pooling, names, strict=True):
            beta = beta_of(pooling)
            if beta is not None and places.setdefault(beta, name) != name:
                raise ValueError(f"sweep has beta {beta:g} twice, as {places[beta]} and {name}; a curve has each once")
        return self


class Check(Section):
    """A prediction that the sweep bears out or not. One of `best_beta` and `rises_with` is given.

    Attributes:
        name: The prediction, in plain words.
        of: The models it is about.
        best_beta: It says that each of them is best at this beta.
        rises_with: It says that the best beta is the higher the more of this a model has. `mixing` is how much of a
            state comes from the other tokens (see comparison/context_mixing.py).
    """

    name: str = Field(min_length=1)
    of: tuple[str, ...] = Field(min_length=1)
    best_beta: float | None = Field(default=None, ge=0)
    rises_with: Literal["mixing"] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.best_beta is None) == (self.rises_with is None):
            raise ValueError(f"check {self.name!r}: give one of best_beta, rises_with")
        if self.rises_with is not None and len(self.of) < 3:
            raise ValueError(f"check {self.name!r}: {len(self.of)} models show no order; name at least 3")
        return self


def pooling_name(pooling: Pooling) -> str:
    """Name a pooling as variants are named after it: `last`, `beta=0.5`, `mean, prompt left out`."""
    name = pooling.mode if pooling.beta is None else f"beta={pooling.beta:g}"
    return name if pooling.include_prompt else f"{name}, prompt left out"


def beta_of(pooling: Pooling) -> float | None:
    """Place a pooling in the family w_{t+1} = w_t (1 + b / t); None for those outside."""
    return {"mean": 0.0, "weighted": 1.0, "last": math.inf}.get(pooling.mode, pooling.beta)
