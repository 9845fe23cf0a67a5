"""One record of all with the same query, so that none of its answers is taken for a negative of another."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from slimvec.data.cleaning.cleaning_report import CleaningTally
from slimvec.data.records import Record
from slimvec.ranking.words import normal_form

_Key = tuple[str, str | None, str | None, str, str | None, bool]


def merge_same_queries(records: Iterable[Record], tally: CleaningTally) -> Iterator[Record]:
    """Merge records with the same query (white space and capitals aside), task, language, source and group.

    The first one's query stays, and so does its place. A negative of one that is a positive of another is left out.
    Records with scores and without are not merged with each other. All records are held in memory.

    Args:
        records: To be merged.
        tally: Counts each record that went into another.
    """
    groups: dict[_Key, list[Record]] = {}
    for record in records:
        labels = (record.task, record.language, record.source, record.group)
        key = (normal_form(record.query), *labels, bool(record.scores))
        group = groups.setdefault(key, [])
        if group:
            tally.merge(record.source)
        group.append(record)
    for group in groups.values():
        yield group[0] if len(group) == 1 else _merged(group)


def _merged(group: list[Record]) -> Record:
    """One record; where a text is scored twice the first score counts."""
    positives = dict.fromkeys(text for record in group for text in record.positives)
    negatives = dict.fromkeys(text for record in group for text in record.negatives if text not in positives)
    known = {*positives, group[0].query}
    contrasts = dict.fromkeys(text for record in group for text in record.contrasts if text not in known)
    scores: dict[str, float] = {}
    for record in group:
        if record.scores:
            for text, score in zip((*record.positives, *record.negatives), record.scores, strict=True):
                scores.setdefault(text, score)
    texts = (*positives, *negatives)
    return replace(
        group[0],
        positives=tuple(positives),
        negatives=tuple(negatives),
        contrasts=tuple(contrasts),
        titles=tuple(dict.fromkeys(title for record in group for title in record.titles)),
        scores=tuple(scores[text] for text in texts) if scores else (),
    )
