"""Training triplets whose negative is the anchor's words in another order, or negated, made from templates."""

from slimvec.data.triplets.making import LANGUAGES, SOURCE, TASK, make_triplets

__all__ = ["LANGUAGES", "SOURCE", "TASK", "make_triplets"]
