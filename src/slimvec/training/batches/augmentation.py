"""What happens to a record's texts when it is drawn for a batch: the one hook for changes that are made on the fly.

A change is a function `(record, generator) -> record`. It is fixed by the run's seed, its own name, the record's number
and the epoch, so that a run that is resumed, or spread over other processes, draws what it would have drawn. To add
one: a field of `slimvec.training.recipe.Source`, a pure function in `slimvec.data`, and a line in `changes_of`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from slimvec.data.records import Record
from slimvec.data.rewriting import add_order_negative, rearrange_documents
from slimvec.training.recipe import Source

Augment = Callable[[Record, np.random.Generator], Record]


@dataclass(frozen=True)
class Change:
    """A change with what the rest of a step has to know of it.

    Attributes:
        name: Part of what it draws from, so that one change never alters what another one draws.
        apply: Gives the record as it goes into the batch.
        keeps_meaning: Texts stay as many and in their order, and each says what it said before: where texts are
            compared (false negatives, groups, a teacher's vectors) the new one counts as the old one.
    """

    name: str
    apply: Augment
    keeps_meaning: bool = False


@dataclass(frozen=True)
class DrawnRecords:
    """Records as they go into a batch.

    Attributes:
        records: In the order asked for.
        stands_for: By a text that replaced one of the data, that one.
    """

    records: tuple[Record, ...]
    stands_for: Mapping[str, str]


class Augmentation:
    """The changes of a run.

    Args:
        records: Records of the run.
        changes: By source, in the order in which they are made.
        sources: [N], number of each record's source; default all of the first.
        seed: The run's.
    """

    def __init__(
        self,
        records: Sequence[Record],
        changes: Sequence[Sequence[Change]],
        *,
        sources: NDArray[np.int64] | None = None,
        seed: int,
    ) -> None:
        self._records, self._changes, self._sources, self._seed = records, changes, sources, seed

    def draw(self, numbers: Sequence[int], epoch: int) -> DrawnRecords:
        """Give records by their numbers as an epoch has them."""
        stands_for: dict[str, str] = {}
        drawn = tuple(self._draw(number, epoch, stands_for) for number in numbers)
        return DrawnRecords(drawn, stands_for)

    def _draw(self, number: int, epoch: int, stands_for: dict[str, str]) -> Record:
        """Give one record, and note which texts now stand for which."""
        record = self._records[number]
        source = 0 if self._sources is None else int(self._sources[number])
        for change in self._changes[source] if self._changes else ():
            changed = change.apply(record, _generator(self._seed, change.name, number, epoch))
            if change.keeps_meaning:
                for new, old in zip(_texts(changed), _texts(record), strict=True):
                    if new != old:
                        stands_for[new] = stands_for.get(old, old)
            record = changed
        return record


def changes_of(source: Source) -> tuple[Change, ...]:
    """Give the changes that a source of a recipe asks for, in the order in which they are made."""
    changes: list[Change] = []
    if source.rearrange is not None:
        apply = partial(rearrange_documents, permute=source.rearrange.permute, rotate=source.rearrange.rotate)
        changes.append(Change("rearrange", apply, keeps_meaning=True))
    if source.order_negatives is not None:
        made = source.order_negatives
        apply = partial(add_order_negative, share=made.share, kinds=made.kinds, of=made.of)
        changes.append(Change("order negatives", apply))
    return tuple(changes)


def _texts(record: Record) -> tuple[str, ...]:
    """All texts of a record, each in its place."""
    return (record.query, *record.positives, *record.negatives)


def _generator(*stream: int | str) -> np.random.Generator:
    """Give a generator that only `stream` decides, the same in every process."""
    entropy = int.from_bytes(hashlib.sha256(repr(stream).encode()).digest()[:16], "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
