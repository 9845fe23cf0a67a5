"""`Record`: the one form every training example has, whatever file it came from."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slimvec.data.bad_rows import BadRowError
from slimvec.errors import InputError
from slimvec.numbers import finite_number

RECORD_FIELDS = (
    "query",
    "positive",
    "positives",
    "positive_id",
    "positive_ids",
    "negative",
    "negatives",
    "negative_id",
    "negative_ids",
    "contrast",
    "contrasts",
    "contrast_id",
    "contrast_ids",
    "title",
    "titles",
    "scores",
    "task",
    "lang",
    "language",
    "source",
    "group",
)
"""The fields of a row that are read; all others are left alone."""


@dataclass(frozen=True, slots=True)
class Record:
    """A query, the texts that answer it and the texts that do not.

    Attributes:
        query: The text that asks, describes or names.
        positives: At least one text that answers it.
        negatives: Texts that do not; may be empty, the rest of the batch serves then.
        scores: A teacher's score for each positive, then for each negative; or empty.
        task: Name of the task the prompts know, or a whole instruction; None takes the model's default.
        language: Language code of the query as the source writes it; None when it does not say.
        source: Where the record is from; batches are mixed and counts are kept by it.
        group: Name of what the record stands for within its source, such as a class: texts of records of one group
            are not negatives for each other. None for itself alone.
        contrasts: Texts made to be wrong, such as a positive with its words in another order. They are negatives that
            stay negatives however alike they look: `loss.margin`, which takes what is too alike for a right answer,
            does not touch them. A teacher's scores say nothing of them.
        titles: Titles of the positives, in no order: those that are known. The objective `ngrams` alone learns them.

    Raises:
        InputError: an empty text, no positive, a positive that is also a negative, a contrast that is the query or a
            positive, or scores that do not fit.
    """

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    task: str | None = None
    language: str | None = None
    source: str = ""
    group: str | None = None
    contrasts: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_text(self.query, "query")
        if not self.positives:
            raise BadRowError("fields", "no positive", expected="at least one")
        for name in ("positive", "negative", "contrast", "title"):
            texts: tuple[str, ...] = getattr(self, f"{name}s")
            for text in texts:
                check_text(text, name)
        both = set(self.positives) & set(self.negatives)
        if both:
            raise BadRowError(
                "negatives", f"{_short(min(both))} is a positive and a negative", expected="one of the two"
            )
        known = {self.query, *self.positives} & set(self.contrasts)
        if known:
            found = f"{_short(min(known))} is a contrast, and the query or a positive"
            raise BadRowError("negatives", found, expected="another text")
        num_texts = len(self.positives) + len(self.negatives)
        if self.scores and len(self.scores) != num_texts:
            expected = f"one for each of the {num_texts} texts, or none"
            raise BadRowError("scores", f"{len(self.scores)} scores", expected=expected)
        if not all(math.isfinite(score) for score in self.scores):
            raise BadRowError("scores", f"scores {list(self.scores)}", expected="finite numbers")


def check_text(text: object, name: str) -> str:
    """Give a text back if it is one.

    Args:
        text: Anything.
        name: What the text is, for the message.

    Raises:
        InputError: not a string, an empty one, or one that UTF-8 cannot write (half of a surrogate pair).
    """
    if not isinstance(text, str):
        raise BadRowError("fields", f"{name} is {_kind(text)}", expected="a string")
    if not text.strip():
        raise BadRowError("text", f"{name} is empty", expected="some text", do="leave it out")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        bad = f"\\u{ord(text[error.start]):04x}"
        found = f"{name} has half a surrogate pair, {bad}"
        raise BadRowError("encoding", found, expected="text that UTF-8 can write") from error
    return text


@dataclass(frozen=True, eq=False)
class PassageTexts(Mapping[str, str]):
    """Passages by id, as rows refer to them.

    Attributes:
        texts: By id, what is embedded: the title before the text.
        titles: By id, the titles of those that have one.
    """

    texts: Mapping[str, str]
    titles: Mapping[str, str]

    def __getitem__(self, id_: str) -> str:
        """Give the text of an id."""
        return self.texts[id_]

    def __iter__(self) -> Iterator[str]:
        """Go through the ids."""
        return iter(self.texts)

    def __len__(self) -> int:
        """Count the passages."""
        return len(self.texts)


def parse_record(row: Mapping[str, object], *, source: str = "", passages: Mapping[str, str] | None = None) -> Record:
    """Read a record from the fields of a row.

    `query` is asked for, and `positive` (a text) or `positives` (a list). `negative` or `negatives`, `contrast` or
    `contrasts`, `title` or `titles`, `scores`, `task`, `lang` or `language`, `source` and `group` are optional; null is
    the same as absent, and so is an empty title; other fields are left alone. Texts may stand as ids of passages
    instead: `positive_id`, `positive_ids` and so on. A text that a list repeats is kept once. A negative that is also a
    positive is a known false negative: it is left out, unless that leaves none or the row has scores, which would no
    longer fit.

    Args:
        row: Values by field.
        source: The record's source when the row names none.
        passages: Texts by id, for rows that hold ids; `PassageTexts` gives the titles of positives too, where the row
            has none of its own.

    Raises:
        InputError: a field is missing or is not what it should be. The message does not say where; the reader adds it.
    """
    if row.get("query") is None:
        raise BadRowError("fields", "no field query", expected="query and positive", do=f"the row has {_names(row)}")
    positives = _texts(row, "positive", passages)
    if positives is None:
        found = "no field positive or positives"
        raise BadRowError("fields", found, expected="one of them", do=f"the row has {_names(row)}")
    negatives = _texts(row, "negative", passages) or ()
    scores = _scores(row.get("scores"))
    true_negatives = tuple(text for text in negatives if text not in positives)
    return Record(
        query=check_text(row["query"], "query"),
        positives=positives,
        negatives=negatives if scores or not true_negatives else true_negatives,
        scores=scores,
        task=_optional(row, "task"),
        language=_optional(row, "language", "lang"),
        source=_optional(row, "source") or source,
        group=_optional(row, "group"),
        contrasts=_texts(row, "contrast", passages) or (),
        titles=_titles(row) or _titles_by_id(row, passages),
    )


def record_row(record: Record) -> dict[str, object]:
    """Give a record as a row that `parse_record` reads back; what is empty is left out."""
    row: dict[str, object] = {"query": record.query, "positives": list(record.positives)}
    row |= {"negatives": list(record.negatives)} if record.negatives else {}
    row |= {"contrasts": list(record.contrasts)} if record.contrasts else {}
    row |= {"titles": list(record.titles)} if record.titles else {}
    row |= {"scores": list(record.scores)} if record.scores else {}
    labels = {"task": record.task, "language": record.language, "source": record.source or None, "group": record.group}
    return row | {name: value for name, value in labels.items() if value is not None}


def _texts(row: Mapping[str, object], name: str, passages: Mapping[str, str] | None) -> tuple[str, ...] | None:
    """The texts of a role, written as a text, a list of texts, an id or a list of ids; None when there are none.

    Without repetitions, order kept.
    """
    forms = (name, f"{name}s", f"{name}_id", f"{name}_ids")
    found = [key for key in forms if row.get(key) is not None]
    if len(found) > 1:
        raise BadRowError("fields", f"both {found[0]} and {found[1]}", expected="one of them")
    if not found:
        return None
    key, value = found[0], row[found[0]]
    by_id = key in forms[2:]
    values = [value] if isinstance(value, str) or (by_id and isinstance(value, int)) else value
    if not isinstance(values, Sequence):
        noun = "an id or a list of ids" if by_id else "a text or a list of texts"
        raise BadRowError("fields", f"{forms[1]} is {_kind(value)}", expected=noun)
    texts = (_passage(item, key, passages) if by_id else check_text(item, name) for item in values)
    return tuple(dict.fromkeys(texts))


def _titles(row: Mapping[str, object]) -> tuple[str, ...]:
    """The titles of a row that are not empty."""
    given: dict[str, object] = {}
    for name in ("title", "titles"):
        value = row.get(name)
        given[name] = [title for title in value if not _is_blank(title)] if isinstance(value, list) else value
    return _texts({name: value for name, value in given.items() if not _is_blank(value)}, "title", None) or ()


def _titles_by_id(row: Mapping[str, object], passages: Mapping[str, str] | None) -> tuple[str, ...]:
    """The titles of the positives that a row has by their ids."""
    if not isinstance(passages, PassageTexts):
        return ()
    given = next((row[key] for key in ("positive_id", "positive_ids") if row.get(key) is not None), ())
    ids = given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    return tuple(dict.fromkeys(title for id_ in ids if (title := passages.titles.get(str(id_)))))


def _is_blank(value: object) -> bool:
    """Whether a value stands for no text."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _passage(id_: object, key: str, passages: Mapping[str, str] | None) -> str:
    """The text of an id."""
    if passages is None:
        found = f"{key} without passages"
        raise InputError(found, expected="the file that holds their texts", do="name it as passages")
    text = passages.get(str(id_))
    if text is None:
        raise BadRowError("passages", f"{key} {_short(id_)} is not among the passages", expected="an id that is")
    return text


def _scores(values: object) -> tuple[float, ...]:
    if values is None:
        return ()
    numbers = [finite_number(value) for value in values] if isinstance(values, Sequence) else [None]
    found = tuple(number for number in numbers if number is not None)
    if len(found) < len(numbers):
        raise BadRowError("scores", f"scores is {_short(values)}", expected="a list of finite numbers")
    return found


def _optional(row: Mapping[str, object], *names: str) -> str | None:
    """The first of some optional text fields that is there."""
    for name in names:
        if row.get(name) is not None:
            return check_text(row[name], name)
    return None


def _names(row: Mapping[str, object]) -> str:
    return ", ".join(row) or "no fields"


def _kind(value: object) -> str:
    return f"a {type(value).__name__} ({_short(value)})"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
