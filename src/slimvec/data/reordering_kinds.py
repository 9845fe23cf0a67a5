"""Names of the ways to reorder a text and of what is reordered; apart, so that recipes are read without numpy."""

from typing import Literal

Reordering = Literal["neighbours", "words", "numbers", "clauses", "shuffle", "negation"]
"""Two neighbouring words change places; two words of four letters or more, as nouns and verbs mostly are; two different
numbers; the clauses on the two sides of `because`, `before` and the like; all words are shuffled; the sentence is
denied, or no longer. Members of a list, which mean the same in any order, are not exchanged with each other."""

Origin = Literal["positive", "query", "sentence"]
"""What is reordered: a positive, for retrieval; the query, for pairs that say the same; or a sentence of a positive,
which then asks for itself with some words left out. The last form teaches order with any documents."""
