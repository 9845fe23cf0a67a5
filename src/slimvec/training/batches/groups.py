"""Which texts of a run stand for the same thing, so that none of them is a negative for another."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import torch
from torch import Tensor

from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.objectives.batch import NO_GROUP


class Groups:
    """The groups of records, and of the texts they hold.

    A group counts within its source. A mined negative is in the group of the records of its source whose query or
    positive it is, of several in the first one's; class examples are queries once each, so theirs are all known.

    Args:
        records: All of a run.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._groups: dict[tuple[str, int], int] = {}
        for record in records:
            if record.group is not None:
                number = _group_id(record)
                for text in (record.query, *record.positives):
                    self._groups.setdefault((record.source, text_id(text)), number)

    def ids(self, records: Sequence[Record], mined: Sequence[Sequence[str]]) -> Tensor | None:
        """Number the groups of what B records bring into a batch.

        Args:
            records: B of them.
            mined: The negatives taken of each.

        Returns:
            [N] int64, of B queries, B positives, then the negatives record by record, equal for texts of one group
            and `NO_GROUP` for those without; None when the run has no groups.
        """
        if not self._groups:
            return None
        own = [_group_id(record) for record in records]
        negatives = [
            self._groups.get((record.source, text_id(text)), NO_GROUP)
            for record, texts in zip(records, mined, strict=True)
            for text in texts
        ]
        return torch.tensor([*own, *own, *negatives], dtype=torch.int64)


def _group_id(record: Record) -> int:
    """Give a number that is equal for one group of one source: 63 bits, the same in every process."""
    if record.group is None:
        return NO_GROUP
    named = f"{record.source}\0{record.group}".encode()
    return int.from_bytes(blake2b(named, digest_size=8).digest(), "big") >> 1
