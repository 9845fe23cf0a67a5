"""A study: one base recipe, variants of it, seeds, and the sets every trained model is scored on. No torch here.

    name: recipe-effects
    question: What does each part of the recipe bring?
    recipe: { ... a whole recipe ... }
    seeds: [0, 1, 2]
    reference: base
    variants:
      base: {}
      focal: { set: [loss.focal=0.5] }
    factors:                      # instead of variants, or beside them: every combination becomes a variant
      pooling: { mean: [], last: ["model.pooling.mode=last"] }
    evaluation: { sets: [cranfield, cacm], max_queries: 200, max_documents: 1000 }

`${NAME}` in the file stands for a folder given on the command line, so that no study names a machine's paths.
"""

from collections.abc import Collection, Mapping
from itertools import product
from pathlib import Path
from string import Template
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from slimvec.errors import InputError, validation_summary
from slimvec.model.spec import Pooling
from slimvec.text.prompts import Prompts
from slimvec.training.recipe import Recipe
from slimvec.training.recipe_reading import parse_recipe


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Loaded(_Section):
    """Settings a model is scored with instead of its own; unset ones are the model's.

    Attributes:
        pooling: How states become a vector; a model trained with another shows what training brings to each.
        prompts: Templates and instructions.
        dims: Width of the vectors.
        task: Task name or whole instruction; a wrong one on purpose, for instance.
    """

    pooling: Pooling | None = None
    prompts: Prompts | None = None
    dims: int | None = Field(default=None, ge=1)
    task: str | None = None


class Variant(_Section):
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


class Part(_Section):
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


class Evaluation(_Section):
    """What the models are scored on.

    Attributes:
        sets: Folders of retrieval sets, below the study's data folder.
        max_queries: Queries taken of a set, chosen by `seed`; default all.
        max_documents: Documents, those relevant to the chosen queries always among them; default all.
        language: Only this language of sets that have several; default all together.
        seed: Of the choice, and of the bootstrap.
    """

    sets: tuple[str, ...] = Field(min_length=1)
    max_queries: int | None = Field(default=None, ge=1)
    max_documents: int | None = Field(default=None, ge=1)
    language: str | None = None
    seed: int = Field(default=0, ge=0)


class Study(_Section):
    """A study as its file states it.

    Attributes:
        name: Of its folder and its report.
        question: What it asks, in a sentence.
        recipe: The base recipe, whole.
        seeds: Every variant is trained once with each; they choose the order of the data and the adapter's start.
        reference: The variant all others are compared with, but for those that name another.
        variants: By name.
        factors: By name, the levels and their overrides. Every combination is a variant named `level/level`.
        parts: By name. They become the variants `+name` (the recipe with this part), `all` and `-name` (all but it,
            and compared with all). A part that needs another is compared with that one added.
        evaluation: What is scored.
        limits: What the study cannot show, in plain words; printed under its findings.
        folders: What `${NAME}` in recipe and overrides stands for here; left out wherever the study is written.
    """

    name: str = Field(min_length=1, pattern=r"^[a-z0-9][a-z0-9.-]*$")
    question: str = Field(min_length=1)
    recipe: Mapping[str, Any]
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    reference: str
    variants: Mapping[str, Variant] = {}
    factors: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
    parts: Mapping[str, Part] = {}
    evaluation: Evaluation
    limits: tuple[str, ...] = ()
    folders: Mapping[str, Path] = Field(default={}, exclude=True)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} name one twice")
        unknown = {name for part in self.parts.values() for name in (*part.when, *part.needs)} - self.parts.keys()
        if unknown:
            raise ValueError(f"part {min(unknown)!r} is named and not there; there are {', '.join(self.parts)}")
        names = list(self.cells)
        if len(names) < 2:
            raise ValueError(f"{len(names)} variants: a comparison needs at least two")
        for name in (self.reference, *(cell.against for cell in self.cells.values() if cell.against)):
            if name not in names:
                raise ValueError(f"reference {name!r} is no variant; there are {', '.join(names)}")
        return self

    @property
    def cells(self) -> dict[str, Variant]:
        """All variants by name: those that are listed, every combination of the factors, every part in and out."""
        crossed = {
            "/".join(level for level, _ in chosen): Variant(set=tuple(o for _, overrides in chosen for o in overrides))
            for chosen in product(*(levels.items() for levels in self.factors.values()))
            if chosen
        }
        return {**self.variants, **crossed, **self._parted()}

    def _parted(self) -> dict[str, Variant]:
        """Give the variants of the parts."""
        if not self.parts:
            return {}
        found = {}
        for name, part in self.parts.items():
            against = f"+{part.needs[0]}" if part.needs else None
            found[f"+{name}"] = self._with({name, *part.needs}, part.note, against=against)
        found["all"] = self._with(self.parts.keys(), "all parts")
        for name in self.parts:
            without = {name, *(other for other, part in self.parts.items() if name in part.needs)}
            note = f"all but {' and '.join(sorted(without))}"
            found[f"-{name}"] = self._with(self.parts.keys() - without, note, against="all")
        return found

    def _with(self, names: Collection[str], note: str, *, against: str | None = None) -> Variant:
        """Give the variant with some of the parts, in the study's order."""
        overrides: list[str] = []
        for name, part in self.parts.items():
            if name in names:
                overrides += [*part.set, *(o for other, more in part.when.items() if other in names for o in more)]
        return Variant(set=tuple(overrides), against=against, note=note)

    def against(self, variant: str) -> str:
        """Name the variant that one is compared with."""
        return self.cells[variant].against or self.reference

    def recipe_of(self, variant: str, seed: int) -> Recipe:
        """Give the whole recipe of a run.

        Raises:
            InputError: the variant's overrides do not fit the recipe.
        """
        overrides = [_fill(override, self.folders) for override in self.cells[variant].set]
        text = _fill(yaml.safe_dump(dict(self.recipe), sort_keys=False, allow_unicode=True), self.folders)
        try:
            return parse_recipe(text, name="its recipe", overrides=[*overrides, f"run.seed={seed}"])
        except InputError as error:
            found = f"variant {variant} of study {self.name}: {error.found}"
            raise InputError(found, expected=error.expected, do=error.do) from error


def read_study(path: Path, *, folders: Mapping[str, Path]) -> Study:
    """Read a study file, and see that every variant gives a valid recipe.

    Args:
        path: YAML, as the module shows.
        folders: What `${NAME}` stands for.

    Raises:
        InputError: the file is missing or is no YAML, has unknown keys or settings that do not fit, or names a folder
            that is not given.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _fill(text, folders)
        tree = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"study {path} cannot be read: {error}", expected="a YAML file") from error
    except KeyError as error:
        name = error.args[0]
        raise InputError(f"study {path} needs the folder {name}", do=f"give it with --folder {name}=PATH") from error
    except ValueError as error:
        raise InputError(f"study {path}: {error}", expected="${NAME}, or $$ for a dollar sign") from error
    if not isinstance(tree, dict):
        raise InputError(f"study {path} holds no settings", expected=f"keys {', '.join(Study.model_fields)}")
    try:
        study = Study.model_validate({**tree, "folders": folders})
    except ValidationError as error:
        raise InputError(f"study {path}: {validation_summary(error)}") from None
    for variant in study.cells:
        study.recipe_of(variant, study.seeds[0])
    return study


def _fill(text: str, folders: Mapping[str, Path]) -> str:
    """Put folders in the place of their names."""
    return Template(text).substitute({name: str(folder) for name, folder in folders.items()})
