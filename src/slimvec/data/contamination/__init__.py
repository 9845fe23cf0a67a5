"""Training data that repeats evaluation data: found, counted, and left out if asked."""

from slimvec.data.contamination.evaluation_texts import EvaluationText, read_evaluation_texts
from slimvec.data.contamination.index import EvaluationIndex, Match
from slimvec.data.contamination.overlap import ScoredTexts, TrainingOverlap, training_overlap
from slimvec.data.contamination.search import (
    ContaminationReport,
    ContaminationTally,
    Decontamination,
    decontaminate,
    find_contamination,
)

__all__ = [
    "ContaminationReport",
    "ContaminationTally",
    "Decontamination",
    "EvaluationIndex",
    "EvaluationText",
    "Match",
    "ScoredTexts",
    "TrainingOverlap",
    "decontaminate",
    "find_contamination",
    "read_evaluation_texts",
    "training_overlap",
]
