"""`clean`: records pass one rule after the other, the cheap ones first; nothing is left out without being counted."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b

from slimvec.data.cleaning.cleaning_report import CleaningTally
from slimvec.data.cleaning.rules import Role, Rule, lines_of, text_fault
from slimvec.data.cleaning.settings import Cleaning, LanguageRule
from slimvec.data.duplicates import NearDuplicateIndex
from slimvec.data.languages import Verdict, is_known, judge_language
from slimvec.data.records import Record
from slimvec.ranking.words import normal_form, split_tokens

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


def clean(records: Iterable[Record], settings: Cleaning) -> tuple[Iterator[Record], CleaningTally]:
    """Leave out the records and texts that break a rule.

    A stream: records come out as they go in, in the same order, but for `same_query: merge`, which gives out all at
    the end. Memory grows by 100 bytes a record for exact duplicates and by about 2 kB for near ones.

    Args:
        records: Records of any number of sources.
        settings: The rules.

    Returns:
        The good records, and the counts, which are complete when the records have been taken.

    Raises:
        InputError: while records are taken: languages are checked, and the extra `data` is not installed.
    """
    tally = CleaningTally()
    kept = _Cleaner(settings, tally).clean(records)
    return (merge_same_queries(kept, tally) if settings.same_query == "merge" else kept), tally


class _Cleaner:
    """The rules with what they remember of earlier records."""

    def __init__(self, settings: Cleaning, tally: CleaningTally) -> None:
        self.settings = settings
        self.tally = tally
        self._lines: dict[str, Counter[bytes]] = {}
        self._seen: set[bytes] = set()
        near = settings.near_duplicates
        self._near = None if near is None else NearDuplicateIndex(threshold=near)

    def clean(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self.tally.read(record.source)
            fitting = self._fit_texts(record)
            if fitting is None:
                continue
            rule = self._record_fault(fitting)
            if rule is None:
                yield fitting
            else:
                self.tally.drop(record.source, rule, f"{fitting.query} | {fitting.positives[0]}")

    def _fit_texts(self, record: Record) -> Record | None:
        """Take the unfit texts out of a record; None when it does not survive that."""
        fault = text_fault(record.query, "query", self.settings)
        if fault is not None:
            self.tally.drop(record.source, fault, record.query)
            return None
        common = self._common_lines(record)
        faults: dict[str, Rule] = {}
        for text in (*record.positives, *record.negatives):
            fault = self._document_fault(text, record, common)
            if fault is not None:
                faults[text] = fault
        if not faults:
            return record
        if all(text in faults for text in record.positives):
            self.tally.drop(record.source, faults[record.positives[0]], record.positives[0])
            return None
        for text, rule in faults.items():
            self.tally.remove(record.source, rule, text)
        return _without(record, faults)

    def _document_fault(self, text: str, record: Record, common: Counter[bytes]) -> Rule | None:
        role: Role = "document"
        fault = text_fault(text, role, self.settings)
        if fault is None and self.settings.copies and text in record.positives:
            fault = "copy" if normal_form(text) == normal_form(record.query) else None
        if fault is None and self._is_common(text, common):
            fault = "common_lines"
        return fault

    def _common_lines(self, record: Record) -> Counter[bytes]:
        """How many earlier records of the source had each line; this record's lines are counted for the next ones."""
        if self.settings.max_line_records is None:
            return Counter()
        lines = self._lines.setdefault(record.source, Counter())
        own = {_digest(line) for text in (*record.positives, *record.negatives) for line in lines_of(text)}
        before = Counter({line: lines[line] for line in own})
        lines.update(own)
        return before

    def _is_common(self, text: str, common: Counter[bytes]) -> bool:
        limit = self.settings.max_line_records
        if limit is None:
            return False
        lines = lines_of(text)
        boilerplate = sum(len(line) for line in lines if common[_digest(line)] >= limit)
        return boilerplate > sum(map(len, lines)) / 2

    def _record_fault(self, record: Record) -> Rule | None:
        if self.settings.language.check != "off" and self._is_other_language(record):
            self.tally.other_language(record.source)
            if self.settings.language.check == "drop":
                return "language"
        if self.settings.exact_duplicates and self._is_repeated(record):
            return "exact_duplicate"
        if (
            self._near is not None
            and self._near.add(split_tokens("\n".join((record.query, *record.positives)))) is not None
        ):
            return "near_duplicate"
        return None

    def _is_other_language(self, record: Record) -> bool:
        rule = self.settings.language
        languages = rule.allowed or ((record.language,) if record.language else ())
        verdict = judge_record(record, languages, rule)
        if verdict == "abstains":
            self.tally.unjudged(record.source, [language for language in languages if not is_known(language)])
        return verdict == "contradicts"

    def _is_repeated(self, record: Record) -> bool:
        key = _digest("\0".join((normal_form(record.query), *sorted(map(normal_form, record.positives)))))
        if key in self._seen:
            return True
        self._seen.add(key)
        return False


def judge_record(record: Record, languages: tuple[str, ...], rule: LanguageRule) -> Verdict:
    """Say whether a record is in one of some languages, by the texts that the rule names.

    With `either`, one text that can be judged and agrees is enough; otherwise each must agree.
    """
    texts = {"query": (record.query,), "document": record.positives, "either": (record.query, *record.positives)}
    verdicts = {
        judge_language(text, languages, min_bytes=rule.min_bytes, min_confidence=rule.min_confidence)
        for text in texts[rule.text]
    } - {"abstains"}
    if not verdicts:
        return "abstains"
    decisive: Verdict = "agrees" if rule.text == "either" else "contradicts"
    return decisive if decisive in verdicts else verdicts.pop()


def _without(record: Record, faults: dict[str, Rule]) -> Record:
    """A record without some of its texts and their scores."""
    texts = (*record.positives, *record.negatives)
    scores = tuple(score for text, score in zip(texts, record.scores, strict=False) if text not in faults)
    return replace(
        record,
        positives=tuple(text for text in record.positives if text not in faults),
        negatives=tuple(text for text in record.negatives if text not in faults),
        scores=scores if record.scores else (),
    )


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=12).digest()
