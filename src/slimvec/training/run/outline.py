"""What a recipe would do, worked out without a weight: its stages, their data, and how many steps they would take."""

from collections.abc import Callable, Iterator

from slimvec.data.records import Record
from slimvec.frozen import Frozen
from slimvec.model.sources import find_source
from slimvec.training.batches.deals import even_steps
from slimvec.training.batches.filling import Contrasts, Filling, TargetFilling, check_filling
from slimvec.training.batches.sources import SourceRecord, distinct_texts, read_training_data, source_numbers
from slimvec.training.batches.tasks import check_tasks, named_tasks
from slimvec.training.recipe import Recipe, Source, StageRecipe, TextVectorsObjective
from slimvec.training.recipe.objectives import NGrams
from slimvec.training.run.validation import split_records
from slimvec.training.step.contrastive import plan_contrastive


class SourceOutline(Frozen):
    """A source of a stage.

    Attributes:
        path: Path of the file, or address of a hub dataset.
        present: Whether its files are there; None for a hub dataset, which is not asked for.
        num_records: That the stage takes; None when not all sources of the stage are there.
        unread: Columns of the file that nothing is made of; empty likewise.
    """

    path: str
    present: bool | None
    num_records: int | None = None
    unread: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """What there is of it, in words."""
        if self.num_records is not None:
            return f"{self.num_records:,} records"
        return {None: "on the hub", True: "there", False: "missing"}[self.present]


class StageOutline(Frozen):
    """A stage.

    Attributes:
        name: Empty in a recipe without stages.
        objective: Its kind.
        attention: As the recipe has it; None for the base's own.
        tuning: `lora` or `full`.
        sources: In the recipe's order.
        num_held_out: Records kept for validation; None when the data is not there.
        steps_per_epoch: Steps of the first epoch; None likewise, and where a step is filled with so many tokens.
        steps: In all; None likewise, and for stages limited in tokens or time.
        tokens: Limit in tokens.
        max_minutes: Limit in time.
        filling: Pairs and negatives of a batch, or queries and targets; None when the data is not there, and for texts.
    """

    name: str
    objective: str
    attention: str | None
    tuning: str
    sources: tuple[SourceOutline, ...]
    num_held_out: int | None = None
    steps_per_epoch: int | None = None
    steps: int | None = None
    tokens: int | None = None
    max_minutes: float | None = None
    filling: Filling | TargetFilling | None = None

    @property
    def length(self) -> str:
        """How long it lasts, in words."""
        if self.max_minutes is not None:
            return f"{self.max_minutes:g} minutes"
        if self.tokens is not None:
            return f"{self.tokens:,} tokens"
        if self.steps is not None:
            return f"{self.steps:,} steps"
        missing = self.num_held_out is None
        return "steps not known without the data" if missing else "steps not known before its texts are tokenized"

    def lines(self, number: int) -> Iterator[str]:
        """Write it for people, as the `number`th."""
        attention = f"{self.attention} attention" if self.attention else "the base's attention"
        name = f"stage {number}, {self.name}" if self.name else "the run"
        held = f", {self.num_held_out:,} records held out" if self.num_held_out else ""
        yield f"{name}: {self.objective}, {self.tuning}, {attention}, {self.length}{held}"
        if self.filling is not None:
            yield f"  {self.filling}"
        for source in self.sources:
            yield f"  {source.path}: {source.state}"


class Outline(Frozen):
    """A recipe.

    Attributes:
        base: As the recipe names it.
        base_found: Where it is on this machine, or that it starts from random weights; None if it would be fetched.
        stages: One after the other.
        missing: Files of data that are not there.
    """

    base: str
    base_found: str | None
    stages: tuple[StageOutline, ...]
    missing: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Write it for people: the base, each stage with its sources, and what is missing."""
        yield f"base {self.base}: {self.base_found or 'not on this machine, would be fetched'}"
        for number, stage in enumerate(self.stages, start=1):
            yield from stage.lines(number)
        if self.missing:
            yield f"missing: {len(self.missing)} files of data"
            yield from (f"  {path}" for path in self.missing)


def outline_recipe(recipe: Recipe) -> Outline:
    """Resolve everything but the weights. Missing data is reported; data that is there is read and planned.

    Raises:
        InputError: no such base, or source of a tokenizer, or data that is malformed or does not fit the recipe.
    """
    base = recipe.base
    found = None if base.source is None else find_source(base.source, revision=base.revision)
    if base.tokenizer is not None and base.tokenizer.source is not None:
        find_source(base.tokenizer.source, revision=base.tokenizer.revision)
    stages = recipe.stage_recipes()
    missing = dict.fromkeys(path for stage in stages for path in _missing(stage.recipe))
    return Outline(
        base=base.name,
        base_found="random weights" if base.source is None else None if found is None else str(found),
        stages=tuple(map(outline_stage, stages)),
        missing=tuple(missing),
    )


def _missing(recipe: Recipe) -> list[str]:
    """List the files of a stage that are not there."""
    paths = [path for source in recipe.data for path in _files(source)]
    if recipe.validation is not None and recipe.validation.path is not None:
        paths.append(str(recipe.validation.path))
    return [path for path in paths if not _is_file(path)]


def _files(source: Source) -> list[str]:
    """List the files of a source."""
    paths = (None if source.is_hub else source.path, source.passages)
    return [str(path) for path in paths if path is not None]


def _is_file(path: str) -> bool:
    return Source(path=path).path.is_file()


def outline_stage(stage: StageRecipe) -> StageOutline:
    """Describe a stage, and plan it if its data is there.

    Raises:
        InputError: its data is malformed or does not fit the recipe.
    """
    recipe = stage.recipe
    given = "attention" in recipe.model.model_fields_set
    outline = StageOutline(
        name=stage.name,
        objective=recipe.kind,
        attention=recipe.model.attention if given else None,
        tuning=recipe.tuning.method,
        sources=tuple(_outline_source(source) for source in recipe.data),
        steps=recipe.run.steps,
        tokens=recipe.run.tokens,
        max_minutes=recipe.run.max_minutes,
    )
    on_hub = any(source.is_hub for source in recipe.data)
    if _missing(recipe) or on_hub:
        return outline
    records, held = read_training_data(recipe)
    return outline.model_copy(update=plan_stage(recipe, records, held))


def _outline_source(source: Source) -> SourceOutline:
    present = None if source.is_hub else all(map(_is_file, _files(source)))
    return SourceOutline(path=str(source.path), present=present)


def plan_stage(recipe: Recipe, records: list[Record], held: list[SourceRecord]) -> dict[str, object]:
    """Count records, and steps where they are known without tokens: what a stage would refuse of its data, it refuses.

    Args:
        recipe: Recipe of the stage.
        records: As its kind reads them, and likewise what each source held.
        held: One for each source.

    Returns:
        Fields of its outline.

    Raises:
        InputError: the data does not fit the recipe.
    """
    split = split_records(records, recipe)
    if "prompts" in recipe.model.model_fields_set:
        check_tasks(recipe, recipe.model.prompts, named_tasks(split.training), named_tasks(split.validation))
    counts: dict[str, object] = {"sources": tuple(map(_counted_source, held)), "num_held_out": len(split.validation)}
    if isinstance(recipe.objective, TextVectorsObjective):
        length = even_steps(len(distinct_texts(split.training, queries=True)), recipe.objective.texts)
        return counts | _steps(recipe, length, lambda epochs: epochs * length)
    if isinstance(recipe.objective, NGrams):
        targets = TargetFilling.of(split.training, recipe.objective)
        return counts | {"filling": targets} | _steps(recipe, targets.steps, lambda epochs: epochs * targets.steps)
    if recipe.texts is not None:
        return counts
    plan = plan_contrastive(split.training, recipe, source_numbers(held)[split.numbers])
    filling = Filling.of(plan, Contrasts(split.training, recipe))
    check_filling(filling, split.training, recipe)
    return counts | {"filling": filling} | _steps(recipe, plan.epoch_length(0), plan.num_steps)


def _counted_source(held: SourceRecord) -> SourceOutline:
    return SourceOutline(path=held.path, present=True, num_records=held.num_used, unread=held.unread)


def _steps(recipe: Recipe, per_epoch: int, of_epochs: Callable[[int], int]) -> dict[str, object]:
    """Give the steps of an epoch, and those of the run where its length is in epochs."""
    epochs = recipe.run.epochs
    return {"steps_per_epoch": per_epoch, **({} if epochs is None else {"steps": of_epochs(epochs)})}
