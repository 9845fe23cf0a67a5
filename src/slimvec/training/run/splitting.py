"""Splits the records of a stage into training and validation, as its recipe says."""

from dataclasses import replace

from slimvec.data.contamination import ScoredTexts, training_overlap
from slimvec.data.records import Record
from slimvec.training.batches.sources import read_sources
from slimvec.training.recipe import Recipe, Source
from slimvec.training.run.validation import TrainingSplit, split_by_query


def split_records(records: list[Record], recipe: Recipe) -> TrainingSplit:
    """Hold records out for validation, or none without a section for it.

    Raises:
        InputError: too few are left on either side, or a file of held-out records cannot be read or shares more text
            with the training data than the recipe lets pass.
    """
    settings = recipe.validation
    if settings is None:
        return TrainingSplit(records, list(range(len(records))), [])
    others: list[Record] = []
    if settings.path is not None:
        others, _ = read_sources([Source(path=settings.path)], seed=recipe.run.seed)
    held = split_by_query(records, settings, others)
    if settings.path is None:  # parted by query on purpose: documents may be on both sides
        return held
    shared = training_overlap(held.training, [ScoredTexts.of_records(str(settings.path), others)])
    shared.check(settings.max_shared, setting="validation.max_shared")
    return replace(held, shared_text=shared)
