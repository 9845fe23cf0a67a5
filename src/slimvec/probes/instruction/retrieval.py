"""The questions of the instruction probe: outside sets where they are at hand, made facts where they are not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.data.retrieval_reading import read_retrieval_set
from slimvec.probes.facts import make_facts
from slimvec.probes.protocol import ProbeConfig

_FACTS_A_DOCUMENT = 3
_LANGUAGE = "en"


@dataclass(frozen=True)
class Share:
    """How much of an outside set is taken, at full.

    Attributes:
        name: Its folder.
        num_queries: Queries.
        num_documents: Documents; more where more are judged for the queries.
    """

    name: str
    num_queries: int
    num_documents: int


def gather_sets(config: ProbeConfig, shares: Sequence[Share], num_made: int) -> list[RetrievalSet]:
    """Gather the sets to search.

    Args:
        config: Its data may have the sets.
        shares: What is taken of each; of a set in several languages the English part.
        num_made: Queries made of facts where the data has none of the sets.

    Raises:
        InputError: a set is there and malformed.
    """
    found = []
    for share in shares:
        folder = config.folder(share.name)
        if folder is None:
            continue
        whole = read_retrieval_set(folder)
        whole = whole.by_language().get(f"{whole.name}/{_LANGUAGE}", whole)
        limits = {"num_queries": config.count(share.num_queries), "num_documents": config.count(share.num_documents)}
        found.append(whole.sample(**limits, seed=config.seed))
    return found or [_made_set(config.count(num_made), np.random.default_rng(config.seed))]


def _made_set(num_queries: int, generator: np.random.Generator) -> RetrievalSet:
    """Make documents of some facts each, and ask for one fact of each."""
    facts = make_facts(_FACTS_A_DOCUMENT * num_queries, generator)
    documents, queries = [], []
    for number in range(num_queries):
        own = facts[_FACTS_A_DOCUMENT * number : _FACTS_A_DOCUMENT * (number + 1)]
        documents.append(Document(str(number), " ".join(fact.text for fact in own)))
        queries.append(Query(str(number), own[number % _FACTS_A_DOCUMENT].question))
    qrels = {str(number): {str(number): 1} for number in range(num_queries)}
    return RetrievalSet("made facts", tuple(documents), tuple(queries), qrels)
