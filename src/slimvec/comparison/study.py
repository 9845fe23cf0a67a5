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

    bases:                        # models the study trains first, once a seed, for all variants that start from them
      decoder: { ... a whole recipe ... }
    variants:
      mean: { set: ["base.source=${base:decoder}"] }
    sweep:                        # more poolings of every model, on states that are computed once
      pooling: [{mode: beta, beta: 0}, {mode: beta, beta: 0.5}, last]
    checks:                       # what theory says of the sweep
      - { name: bidirectional models want 0, best_beta: 0, of: [bidirectional] }
    probes: { names: [order, position] }   # what each variant sees of a text, beside what it finds
    equal: tokens                 # refuse variants that are not trained by equally many tokens
"""

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from string import Template
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from slimvec.comparison.sections import (
    Check,
    Evaluation,
    MeasuredSpread,
    Part,
    Probing,
    Section,
    Sweep,
    Variant,
    beta_of,
    pooling_name,
)
from slimvec.errors import InputError, ModelError
from slimvec.frozen import checked
from slimvec.training.recipe import Recipe
from slimvec.training.recipe.reading import parse_recipe
from slimvec.yaml_files import read_text, read_yaml

_MOST_BYTES = 200
"""Length of a variant's name: file systems take 255 bytes, seed and endings among them."""
BASE_PREFIX = "base:"
"""Marks a source that is a base of the study. No hub name has it."""


class Study(Section):
    """A study as its file states it.

    Attributes:
        name: Name of its folder and its report.
        question: What it asks, in a sentence.
        recipe: The base recipe, whole.
        seeds: Every variant is trained once with each; they choose the order of the data and the adapter's start.
        reference: The variant all others are compared with, but for those that name another.
        variants: By name.
        factors: By name, the levels and their overrides. Every combination is a variant named `level/level`.
        parts: By name. They become the variants `+name` (the recipe with this part), `all` and `-name` (all but it,
            and compared with all). A part that needs another is compared with that one added.
        bases: By name, whole recipes of models that variants start from, as the source `${base:NAME}`. Each is trained
            once with each seed: what training from scratch owes to chance is in the seeds' spread, as it should be.
        sweep: Poolings that need no training of their own. The models so read are the variants `NAME@POOLING`, which
            are compared in a table of their own.
        checks: Predictions about the sweep.
        probes: Put to every variant but those of the sweep.
        equal: `tokens` refuses trained variants whose recipes are not of equally many tokens (`run.tokens`), and warns
            of those that were not trained by equally many. `steps` leaves lengths to the recipe.
        training_spread: How much trainings differ by chance, measured elsewhere, for a verdict of under three seeds.
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
    bases: Mapping[str, Mapping[str, Any]] = {}
    sweep: Sweep | None = None
    checks: tuple[Check, ...] = ()
    probes: Probing | None = None
    equal: Literal["steps", "tokens"] = "steps"
    training_spread: MeasuredSpread | None = None
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
        names = list(self.plain)
        if len(names) < 2:
            raise ValueError(f"{len(names)} variants: a comparison needs at least two")
        for name in (self.reference, *(cell.against for cell in self.plain.values() if cell.against)):
            if name not in names:
                raise ValueError(f"reference {name!r} is not a variant; there are {', '.join(names)}")
        swept = {*(self.sweep.variants if self.sweep else ()), *(name for check in self.checks for name in check.of)}
        if swept - set(names):
            raise ValueError(
                f"variant {min(swept - set(names))!r} is named and not there; there are {', '.join(names)}"
            )
        self._check_files()
        self._check_betas()
        self._check_tasks()
        unswept = {name for check in self.checks for name in check.of} - self.swept.keys()
        if unswept:
            raise ValueError(f"checks are about {min(unswept)!r}, which the sweep leaves out")
        return self

    def _check_files(self) -> None:
        """See that every variant has a name of its own, in the names of files too."""
        named = [*(name for name, _ in self._named()), *(name for cells in self.swept.values() for name in cells)]
        files = [run_name(name) for name in named]
        odd = next((name for name in files if not (name.isprintable() and 0 < len(name.encode()) <= _MOST_BYTES)), None)
        if odd is not None:
            raise ValueError(
                f"a variant is named {odd[:40]!r}; files are named so: give 1 to {_MOST_BYTES} printable bytes"
            )
        twice = next((name for name in files if files.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two variants are named {twice!r}, or would share that file; give one another name")

    def _check_betas(self) -> None:
        """See that the sweep holds what the checks are about."""
        betas = {beta_of(pooling) for pooling in self.sweep.pooling} if self.sweep else set()
        finite = {beta for beta in betas if beta is not None and beta < math.inf}
        for check in self.checks:
            if len(finite) < 2 or check.best_beta not in {None, *finite}:
                wanted = "" if check.best_beta is None else f", {check.best_beta:g} among them"
                raise ValueError(f"check {check.name!r} needs a sweep over at least two finite betas{wanted}")

    def _check_tasks(self) -> None:
        """See that tasks are for sets that are scored."""
        sets = [Path(name).name for name in self.evaluation.sets]
        for name, cell in self.plain.items():
            unknown = cell.load.tasks.keys() - set(sets)
            if unknown:
                raise ValueError(f"load.tasks of {name} name {min(unknown)!r}; the sets are {', '.join(sets)}")

    @property
    def cells(self) -> dict[str, Variant]:
        """All variants by name: the plain ones, then those of the sweep."""
        found = dict(self.plain)
        for cells in self.swept.values():
            found.update(cells)
        return found

    @property
    def swept(self) -> dict[str, dict[str, Variant]]:
        """By plain variant that is swept, its variants by name, in the order of the sweep's poolings."""
        if self.sweep is None:
            return {}
        plain = self.plain
        chosen = self.sweep.variants or [name for name, cell in plain.items() if cell.load.pooling is None]
        return {
            name: {
                f"{name}@{pooling_name(pooling)}": plain[name].model_copy(
                    update={"load": plain[name].load.model_copy(update={"pooling": pooling}), "against": name}
                )
                for pooling in self.sweep.pooling
            }
            for name in chosen
        }

    @property
    def plain(self) -> dict[str, Variant]:
        """Variants that are listed, every combination of the factors, every part in and out."""
        return dict(self._named())

    def _named(self) -> list[tuple[str, Variant]]:
        """List the plain variants with their names, of which none is there twice in a valid study."""
        combinations = product(*(levels.items() for levels in self.factors.values())) if self.factors else ()
        crossed = [
            ("/".join(level for level, _ in chosen), Variant(set=tuple(o for _, own in chosen for o in own)))
            for chosen in combinations
        ]
        return [*self.variants.items(), *crossed, *self._parted().items()]

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
        """Give the whole recipe of a run. A base of the study stands in it as the source `base:NAME`.

        Raises:
            InputError: the variant's overrides do not fit the recipe, or what it is loaded with does not.
        """
        cell = self.cells[variant]
        recipe = self._recipe(self.recipe, cell.set, seed, self.bases, f"variant {variant}")
        if cell.load.recency and recipe.model.attention == "bidirectional":
            raise InputError(
                f"variant {variant} of study {self.name}: recency {cell.load.recency:g} of bidirectional attention",
                expected="causal attention",
            )
        if cell.load.echo and recipe.model.attention == "bidirectional":
            raise InputError(
                f"variant {variant} of study {self.name}: echo of bidirectional attention", expected="causal attention"
            )
        if cell.load.num_layers and (cell.trained or str(recipe.base.source).startswith(BASE_PREFIX)):
            raise InputError(
                f"variant {variant} of study {self.name}: load.num_layers {cell.load.num_layers} of a trained model",
                expected="a base that is scored untrained, for a trained model has its own depth",
                do="set model.num_layers in its recipe",
            )
        return recipe

    def base_recipe(self, name: str, seed: int) -> Recipe:
        """Give the whole recipe of a base.

        Raises:
            InputError: it is none.
        """
        return self._recipe(self.bases[name], (), seed, (), f"base {name}")

    def _recipe(
        self, tree: Mapping[str, Any], overrides: Collection[str], seed: int, bases: Collection[str], what: str
    ) -> Recipe:
        try:
            text = fill(yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True), self.folders, bases)
            filled = [fill(override, self.folders, bases) for override in overrides]
        except KeyError as error:
            raise InputError(f"{what} of study {self.name} names {error.args[0]}", expected="a base's name") from error
        with naming(self.name, what):
            return parse_recipe(text, name="its recipe", overrides=[*filled, f"run.seed={seed}"])


@contextmanager
def naming(study: str, what: str) -> Iterator[None]:
    """Name the part of a study that an error of the body is about.

    Args:
        study: Its name.
        what: The part, as `variant base`.
    """
    try:
        yield
    except (InputError, ModelError) as error:
        kind = ModelError if isinstance(error, ModelError) else InputError
        raise kind(f"{what} of study {study}: {error.found}", expected=error.expected, do=error.do) from error


def run_name(variant: str) -> str:
    """Give a variant's name as the names of its files begin."""
    return variant.replace("/", "+")


def read_study(path: Path, *, folders: Mapping[str, Path]) -> Study:
    """Read a study file, and see that every variant and base gives a valid recipe.

    Args:
        path: YAML, as the module shows.
        folders: What `${NAME}` stands for.

    Raises:
        InputError: the file is missing or is no YAML, has unknown keys or settings that do not fit, or names a folder
            or base that is not given.
    """
    text = read_text(path, "a study, a YAML file")
    tree = read_yaml(text, f"study {path}")
    if not isinstance(tree, dict):
        raise InputError(f"study {path} holds no settings", expected=f"keys {', '.join(Study.model_fields)}")
    bases = tree.get("bases")
    _check_names(text, path, folders, bases if isinstance(bases, dict) else ())
    with checked(f"study {path}: "):
        study = Study.model_validate({**tree, "folders": folders})
    for name, variant in study.plain.items():
        recipe = study.recipe_of(name, study.seeds[0])
        if not variant.trained and recipe.base.source is None:
            raise InputError(
                f"variant {name} of study {study.name} is untrained and starts from a shape",
                expected="a base with weights: base.source",
                do="train it, or give the shape to one of the study's bases",
            )
    for name in study.bases:
        study.base_recipe(name, study.seeds[0])
    if study.equal == "tokens":
        check_equal_tokens(study)
    return study


def _check_names(text: str, path: Path, folders: Mapping[str, Path], bases: Collection[str]) -> None:
    """See that everything a study's text names as `${NAME}` is there.

    Raises:
        InputError: something is not.
    """
    try:
        fill(text, folders, bases)
    except KeyError as error:
        name = error.args[0]
        if name.startswith(BASE_PREFIX):
            there = f"one of {', '.join(bases)}" if bases else "a section bases"
            raise InputError(f"study {path} has no {name.replace(':', ' ')}", expected=there) from error
        raise InputError(f"study {path} needs the folder {name}", do=f"give it with --folder {name}=PATH") from error
    except ValueError as error:
        raise InputError(f"study {path}: {error}", expected="${NAME}, or $$ for a dollar sign") from error


def check_equal_tokens(study: Study) -> None:
    """See that all trainings are of equally many tokens, and all bases too.

    Raises:
        InputError: a recipe of another length, or of none in tokens.
    """
    trained = [
        (f"variant {name}", study.recipe_of(name, study.seeds[0])) for name, v in study.plain.items() if v.trained
    ]
    bases = [(f"base {name}", study.base_recipe(name, study.seeds[0])) for name in study.bases]
    for recipes in (trained, bases):
        lengths = {what: _num_tokens(recipe) for what, recipe in recipes}
        for what, length in lengths.items():
            if length is None:
                raise InputError(
                    f"study {study.name} is of equal tokens, and {what} is not of a length in tokens",
                    expected="run.tokens, in every stage",
                )
            first = next(iter(lengths))
            if length != lengths[first]:
                raise InputError(
                    f"study {study.name} is of equal tokens, and {what} is trained by {length:,}",
                    expected=f"{lengths[first]:,}, as {first}",
                )


def _num_tokens(recipe: Recipe) -> int | None:
    """Give the tokens a recipe asks for, over its stages; None where one is of another length."""
    lengths = [stage.recipe.run.tokens for stage in recipe.stage_recipes()]
    return None if None in lengths else sum(length for length in lengths if length is not None)


class _Template(Template):
    """`${folder}` and `${base:name}`."""

    braceidpattern = r"(?a:[_a-z][_a-z0-9]*(?::[a-z0-9][a-z0-9._-]*)?)"


def fill(text: str, folders: Mapping[str, Path], bases: Collection[str]) -> str:
    """Put folders in the place of their names; `${base:NAME}` becomes the source `base:NAME`.

    Raises:
        KeyError: another name.
        ValueError: a dollar sign before something else.
    """
    names = {name: str(folder) for name, folder in folders.items()}
    return _Template(text).substitute(names | {f"{BASE_PREFIX}{name}": f"{BASE_PREFIX}{name}" for name in bases})
