"""Instructions for retrieval: the same task in other words and languages, and other tasks."""

from collections.abc import Mapping

OWN = "right"
NONE = "missing"

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "paraphrased": (
        "Find the passage that answers the question or fits the description",
        "For the following question or short description, retrieve the text which deals with it",
    ),
    "wrong": (
        "Decide whether the customer's review is positive or negative",
        "Name the programming language in which this function is written",
    ),
    "another language": (
        "Finde den Text, von dem die Frage oder kurze Beschreibung handelt",
        "Trouve le texte dont parle la question ou la courte description",
    ),
}
"""By kind. Two of each, so that a kind is not one sentence's accident; in Latin script alone, so that the tokenizer
reads them as it reads the right one."""
