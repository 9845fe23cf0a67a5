"""What a study's trainings share with the sets it scores on."""

import json
from collections.abc import Sequence

from slimvec.comparison.study import Study
from slimvec.data.contamination import ScoredTexts, TrainingOverlap, training_overlap
from slimvec.data.records import Record
from slimvec.data.retrieval import RetrievalSet
from slimvec.training.batches.sources import read_sources
from slimvec.training.recipe import Recipe


def study_overlap(study: Study, datasets: Sequence[RetrievalSet]) -> TrainingOverlap | None:
    """Hold the data of all trainings of a study, its bases among them, against what it scores.

    Args:
        study: The study; of sources with a limit, the records that its seeds choose.
        datasets: Its sets, as they are scored.

    Returns:
        None where nothing is trained.

    Raises:
        InputError: data that cannot be read.
    """
    records: list[Record] = []
    known: set[str] = set()
    for recipe in _recipes(study):
        for stage in recipe.stage_recipes():
            seed = stage.recipe.run.seed if any(source.limit for source in stage.recipe.data) else 0
            key = json.dumps([seed, [source.model_dump(mode="json") for source in stage.recipe.data]])
            if key not in known:
                known.add(key)
                records += read_sources(stage.recipe.data, seed=seed)[0]
    return training_overlap(records, [ScoredTexts.of_set(dataset) for dataset in datasets]) if records else None


def _recipes(study: Study) -> list[Recipe]:
    trained = [name for name, cell in study.plain.items() if cell.trained]
    found = [study.recipe_of(name, seed) for name in trained for seed in study.seeds]
    return [*found, *(study.base_recipe(name, seed) for name in study.bases for seed in study.seeds)]
