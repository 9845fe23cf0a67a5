"""Records in, the good ones out, and a count of what was left out and why."""

from slimvec.data.cleaning.cleaner import clean
from slimvec.data.cleaning.report import CleaningReport, CleaningTally
from slimvec.data.cleaning.settings import Cleaning, LanguageRule

__all__ = ["Cleaning", "CleaningReport", "CleaningTally", "LanguageRule", "clean"]
