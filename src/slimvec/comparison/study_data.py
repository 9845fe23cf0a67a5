"""The data of a study, read before its first training: whether it fits the recipes, and what it shares with the sets.

What was found is kept in slimvec's cache by the recipes, the bytes of their data and the sets: the next call of a study
that is stopped and goes on, or of which --dry-run was asked, reads none of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slimvec.comparison.study import Study, naming
from slimvec.comparison.trainings import data_files
from slimvec.data.contamination import ScoredTexts, TrainingOverlap, training_overlap
from slimvec.data.records import Record
from slimvec.data.retrieval import RetrievalSet
from slimvec.files import sha256_of, sha256_of_json
from slimvec.frozen import Frozen
from slimvec.model.cache import note, read_note
from slimvec.model.manifest import package_versions
from slimvec.training.batches.sources import SourceRecord, check_sources, read_training_data
from slimvec.training.batches.tasks import Tasks, named_tasks
from slimvec.training.recipe import Recipe
from slimvec.training.run.outline import plan_stage

_NOTES = "studies"
"""Kind of note in slimvec's cache."""
_FORM = 2
"""Raised where the same data would be judged otherwise."""


@dataclass(frozen=True)
class StudyStage:
    """A stage that a study trains.

    Attributes:
        owner: The variant or base that it belongs to, for messages.
        recipe: Its recipe.
    """

    owner: str
    recipe: Recipe

    @property
    def data_key(self) -> str:
        """Hash what decides its records: their files, how they are read, and the seed where it chooses among them."""
        recipe = self.recipe
        chosen = [recipe.run.seed] if any(source.limit for source in recipe.data) else []
        how = [recipe.kind, getattr(recipe.texts or recipe.objective, "field", None)]
        return sha256_of_json([how, chosen, [source.model_dump(mode="json") for source in recipe.data]])

    @property
    def key(self) -> str:
        """Hash all that decides whether its records fit it."""
        tree: dict[str, Any] = self.recipe.model_dump(mode="json")
        return sha256_of_json([self.data_key, tree | {"run": tree["run"] | {"seed": 0}}])


class StudyData(Frozen):
    """What was found.

    Attributes:
        tasks: By key of a data set (`StudyStage.data_key`), the tasks that its records name.
        shared_text: What the records share with what is scored.
    """

    tasks: dict[str, Tasks]
    shared_text: TrainingOverlap


def trained_stages(study: Study) -> list[StudyStage]:
    """List the stages of all trainings of a study, its bases among them.

    Of those that differ in their seeds alone, one for each choice of records.
    """
    trained = [name for name, cell in study.plain.items() if cell.trained]
    recipes = [(f"variant {name}", study.recipe_of(name, seed)) for name in trained for seed in study.seeds]
    recipes += [(f"base {name}", study.base_recipe(name, seed)) for name in study.bases for seed in study.seeds]
    found: dict[str, StudyStage] = {}
    for owner, whole in recipes:
        for part in whole.stage_recipes():
            stage = StudyStage(f"{owner}, stage {part.name}" if part.name else owner, part.recipe)
            found.setdefault(stage.key, stage)
    return list(found.values())


def examine_data(study: Study, datasets: Sequence[RetrievalSet]) -> StudyData | None:
    """Read the data of all trainings of a study, hold it against their recipes and against what is scored.

    Args:
        study: The study; of sources with a limit, the records that its seeds choose.
        datasets: Its sets, as they are scored.

    Returns:
        None where nothing is trained.

    Raises:
        InputError: data that cannot be read or does not fit a recipe; the message names the variant.
    """
    stages = trained_stages(study)
    if not stages:
        return None
    for stage in stages:
        with naming(study.name, stage.owner):
            check_sources(stage.recipe.data)
    key = _note_key(stages, datasets)
    known = None if key is None else read_note(_NOTES, key, StudyData)
    if known is None:
        known = _examine(study, stages, datasets)
        if key is not None:
            note(_NOTES, key, known.model_dump_json())
    return known


def _note_key(stages: Sequence[StudyStage], datasets: Sequence[RetrievalSet]) -> str | None:
    """Name what is found of some data; None where it is on a hub, and may be another next time."""
    if any(source.is_hub for stage in stages for source in stage.recipe.data):
        return None
    files = {path for stage in stages for path in data_files(stage.recipe)}
    return sha256_of_json(
        [
            _FORM,
            package_versions(),
            [stage.key for stage in stages],
            {str(path): sha256_of(path) for path in files},
            [[dataset.name, dataset.content_hash] for dataset in datasets],
        ]
    )


def _examine(study: Study, stages: Sequence[StudyStage], datasets: Sequence[RetrievalSet]) -> StudyData:
    """Read each data set once, and plan each stage with its own."""
    found: dict[str, tuple[list[Record], list[SourceRecord]]] = {}
    for stage in stages:
        with naming(study.name, stage.owner):
            if stage.data_key not in found:
                found[stage.data_key] = read_training_data(stage.recipe)
            plan_stage(stage.recipe, *found[stage.data_key])
    records = [record for own, _ in found.values() for record in own]
    return StudyData(
        tasks={key: named_tasks(own) for key, (own, _) in found.items()},
        shared_text=training_overlap(records, [ScoredTexts.of_set(dataset) for dataset in datasets]),
    )
