"""Which texts answer a query, in all records of a run: a positive that is not drawn is not a negative either."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from slimvec.data.records import Record
from slimvec.data.text_ids import text_id, text_ids


class KnownAnswers:
    """The positives of each query, those of other records with the same query among them.

    Only queries with several are kept: the positive of the others is in the batch with them.

    Args:
        records: All of a run.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        found: dict[int, tuple[int, ...]] = {}
        for record in records:
            query = text_id(record.query)
            found[query] = tuple(dict.fromkeys((*found.get(query, ()), *text_ids(record.positives))))
        self._answers = {query: answers for query, answers in found.items() if len(answers) > 1}

    def ids(self, queries: Sequence[int], positives: Sequence[int]) -> Tensor | None:
        """Name the answers of B queries.

        Args:
            queries: Their ids.
            positives: Ids of the positives that are drawn.

        Returns:
            [B, P] int64, as in `EmbeddedBatch.answer_ids`; None where no query has several.
        """
        known = [self._answers.get(query, ()) for query in queries]
        count = max(map(len, known), default=0)
        if not count:
            return None
        rows = [(*answers, *[own] * (count - len(answers))) for answers, own in zip(known, positives, strict=True)]
        return torch.tensor(rows, dtype=torch.int64)
