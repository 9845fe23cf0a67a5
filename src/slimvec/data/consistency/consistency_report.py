"""What a consistency filter did, and what its self-test found."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from slimvec.data.mining.mining_report import SearchReport
from slimvec.data.mining.texts import Numbers
from slimvec.frozen import Frozen
from slimvec.statistics.intervals import Proportion, proportion

REPORTED_KS = (1, 5, 10, 20, 50, 100)


class DroppedShare(Frozen):
    """What a k drops.

    Attributes:
        k: A record is kept when a positive is among the first k.
        dropped: Records dropped.
    """

    k: int
    dropped: Proportion


class GroupReport(Frozen):
    """The records of one source or language.

    Attributes:
        num_records: How many.
        dropped: Records that each k drops.
    """

    num_records: int
    dropped: Mapping[int, int]


class SelfTestShare(Frozen):
    """What a k does to wrong and to other pairs.

    Attributes:
        k: A record is kept when a positive is among the first k.
        caught: Planted wrong pairs that are dropped.
        lost: Other pairs that are dropped. They are taken for good; some may be wrong of themselves, so this is the
            most that is lost.
    """

    k: int
    caught: Proportion
    lost: Proportion


class SelfTest(Frozen):
    """Wrong pairs planted among the records, and the filter run on them.

    Attributes:
        share: Share of the records that were to get another's positives.
        seed: Random seed for their choice.
        num_planted: Wrong pairs.
        num_good: Other pairs.
        at: By k.
    """

    share: float
    seed: int
    num_planted: int
    num_good: int
    at: tuple[SelfTestShare, ...]


class FilterReport(SearchReport):
    """What the filter did.

    Attributes:
        k: A positive is kept when it is among the first k.
        num_kept: Records kept, with at least one positive.
        num_dropped: Records dropped.
        num_positives: Positives of all records.
        num_positives_removed: Positives taken out of records that were kept.
        at: What other k would drop.
        by_source: The same by source.
        by_language: The same by language; records without one under an empty name.
        self_test: With wrong pairs planted; None when not asked for.
    """

    k: int
    num_kept: int
    num_dropped: int
    num_positives: int
    num_positives_removed: int
    at: tuple[DroppedShare, ...]
    by_source: Mapping[str, GroupReport]
    by_language: Mapping[str, GroupReport]
    self_test: SelfTest | None = None


def reported_ks(k: int) -> tuple[int, ...]:
    """The k of every report, and the one in use."""
    return tuple(sorted({*REPORTED_KS, k}))


def dropped_shares(best: Numbers, k: int) -> tuple[DroppedShare, ...]:
    """Count what each k drops of records with these best ranks [R]."""
    return tuple(DroppedShare(k=cut, dropped=proportion(int((best > cut).sum()), len(best))) for cut in reported_ks(k))


def group_reports(best: Numbers, labels: Sequence[str], k: int) -> dict[str, GroupReport]:
    """Count the same by label [R]."""
    names = np.array(labels, dtype=object)
    groups = {name: best[names == name] for name in sorted(set(labels))}
    return {
        name: GroupReport(num_records=len(own), dropped={cut: int((own > cut).sum()) for cut in reported_ks(k)})
        for name, own in groups.items()
    }


def self_test_report(best: Numbers, planted: NDArray[np.bool_], k: int, *, share: float, seed: int) -> SelfTest:
    """Count what each k catches and loses; `best` [R] are the ranks with the wrong pairs in place."""
    wrong, good = best[planted], best[~planted]
    return SelfTest(
        share=share,
        seed=seed,
        num_planted=len(wrong),
        num_good=len(good),
        at=tuple(
            SelfTestShare(
                k=cut,
                caught=proportion(int((wrong > cut).sum()), len(wrong)),
                lost=proportion(int((good > cut).sum()), len(good)),
            )
            for cut in reported_ks(k)
        ),
    )
