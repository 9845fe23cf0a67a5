"""The names that training rows have elsewhere, read as the fields of a record.

| read as | sentence-transformers | FlagEmbedding | Tevatron | ms-swift |
| --- | --- | --- | --- | --- |
| query | `anchor`, `sentence1`, `question` | `query` | `query` | `query`, `messages` |
| positives | `positive`, `sentence2`, `answer` | `pos` | `positive_passages` | `response`, `positive_messages` |
| negatives | `negative`, `negative_1`... | `neg` | `negative_passages` | `rejected_response`, `negative_messages` |
| scores | - | `pos_scores`, `neg_scores` | - | - |
| task | - | `prompt` | - | - |

`hard_negative` and `hard_negatives` are negatives too; `positive_document_ids` and `negative_document_ids` (Tevatron)
are ids of passages. A `label` of 1 says that a row is a pair; any other value, and a `score` beside two sentences,
makes it a row that cannot be trained on as one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from slimvec.data.bad_rows import BadRowError
from slimvec.data.tables import Row

_QUERIES = ("query", "anchor")
_POSITIVES = ("positive", "positives", "positive_id", "positive_ids", "pos", "positive_passages", "positive_messages")
_NEGATIVES = (
    "negative",
    "negatives",
    "negative_id",
    "negative_ids",
    "neg",
    "negative_passages",
    "hard_negative",
    "hard_negatives",
    "rejected_response",
    "negative_messages",
)
_WEAK = {"query": ("sentence1", "question", "messages"), "positives": ("sentence2", "answer", "response")}
"""Read only where nothing else is: beside a query and a positive they say something else."""
_FIELDS = {"query": _QUERIES, "positives": _POSITIVES, "negatives": _NEGATIVES}
_OWN = frozenset({"query", *_POSITIVES[:4], *_NEGATIVES[:4]})
_IDS = {"positive_document_ids": "positive_ids", "negative_document_ids": "negative_ids"}
_SCORES = ("pos_scores", "neg_scores")
_LABELS = ("label", "labels")
_NUMBERED = re.compile(r"negative_\d+")
_IN_PAIRS = ("score", "similarity_score")
_OF_NO_MEANING = frozenset({"id", "_id", "query_id", "idx", "type"})
"""Names of rows: nothing is lost where they are not read."""
_ALIASES = frozenset().union(*_FIELDS.values(), *_WEAK.values(), _IDS, _SCORES, _LABELS, _IN_PAIRS, {"prompt"}) - _OWN


class Columns:
    """Which columns of a source are read; those that are not are remembered.

    Args:
        fields: Names that slimvec has for them itself.
        aliases: Whether the names that other libraries have for the fields of pairs are read too.
    """

    def __init__(self, fields: Sequence[str], *, aliases: bool = True) -> None:
        self._read, self._aliases = frozenset(fields) | (_ALIASES if aliases else frozenset()), aliases
        self.unread: dict[str, None] = {}

    def __call__(self, name: str) -> bool:
        """Say whether a column is read."""
        if name in self._read or (self._aliases and _NUMBERED.fullmatch(name)):
            return True
        if name not in _OF_NO_MEANING:
            self.unread[name] = None
        return False

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass rows on, and learn the names of all that they have."""
        for row in rows:
            for name in row.values:
                self(name)
            yield row


def canonical_row(row: Mapping[str, object]) -> Mapping[str, object]:
    """Give a row with slimvec's names; one that has them already comes back as it is.

    Raises:
        BadRowError: it is marked as no pair, has two columns for one field, or one that is not what it should be.
    """
    given = {name: value for name, value in row.items() if value is not None}
    names = [name for name in given if name in _ALIASES or _NUMBERED.fullmatch(name)]
    if not names:
        return row
    _check_pair(given)
    made = {name: value for name, value in given.items() if name not in names}
    for field, aliases in _FIELDS.items():
        found = [name for name in aliases if name in given]
        found = found or [name for name in _WEAK.get(field, ()) if name in given]
        if len(found) > 1:
            raise BadRowError("fields", f"both {found[0]} and {found[1]}", expected="one of them")
        if found and found[0] not in _OWN:
            made[field] = _query(given[found[0]]) if field == "query" else _texts(given[found[0]])
    _add_numbered(made, given)
    if titles := _passage_titles(given.get("positive_passages")):
        made.setdefault("titles", titles)
    for name, field in _IDS.items():
        if name in given:
            made[field] = given[name]
    if "prompt" in given:
        made.setdefault("task", given["prompt"])
    scores = [score for name in _SCORES if isinstance(values := given.get(name), list) for score in values]
    if scores:
        made.setdefault("scores", scores)
    return made


def _check_pair(row: Mapping[str, object]) -> None:
    """Refuse what is marked as no pair, or is graded.

    Raises:
        BadRowError: it is.
    """
    for name in _LABELS:
        if name in row and not (isinstance(row[name], int | float) and row[name] == 1):
            found = f"{name} {str(row[name])[:40]}" + (", which says that this is not a pair" if row[name] == 0 else "")
            do = "leave such rows out (skip bad rows does), or read graded pairs with kind: graded"
            raise BadRowError("label", found, expected="1, a pair", do=do)
    if "sentence1" in row:
        for name in _IN_PAIRS:
            if name in row:
                found = f"{name} beside sentence1 and sentence2"
                raise BadRowError("label", found, expected="pairs that belong together", do="read it with kind: graded")


def _add_numbered(made: dict[str, object], row: Mapping[str, object]) -> None:
    """Join `negative_1`, `negative_2` and so on, in the order of their numbers, after other negatives."""
    names = sorted(filter(_NUMBERED.fullmatch, row), key=lambda name: int(name.rpartition("_")[2]))
    if names:
        own = made.pop("negatives", made.pop("negative", []))
        made["negatives"] = [*(own if isinstance(own, list | tuple) else [own]), *(row[name] for name in names)]


def _query(value: object) -> object:
    """The text of a query, which may be a conversation of one message."""
    return _message(value) if isinstance(value, list) else value


def _texts(value: object) -> object:
    """Texts, which may be passages with a title, or conversations of one message."""
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, dict) and "role" in item for item in value):
        return [_message(value)]
    return [
        _message(item) if isinstance(item, list) else _passage(item) if isinstance(item, dict) else item
        for item in value
    ]


def _passage(passage: Mapping[str, object]) -> object:
    """Title and text of a passage, with a space between as in retrieval sets."""
    title, text = passage.get("title"), passage.get("text")
    return f"{title} {text}" if isinstance(title, str) and title.strip() and isinstance(text, str) else text


def _passage_titles(passages: object) -> list[str]:
    """The titles of passages, which `_passage` puts before their texts."""
    found = (item.get("title") for item in passages if isinstance(item, dict)) if isinstance(passages, list) else ()
    return [title for title in found if isinstance(title, str) and title.strip()]


def _message(messages: Sequence[object]) -> object:
    """The text of a conversation of one message.

    Raises:
        BadRowError: it has another form.
    """
    if len(messages) == 1 and isinstance(messages[0], dict) and "content" in messages[0]:
        return messages[0]["content"]
    raise BadRowError("fields", f"messages with {len(messages)} entries", expected="one message with a text as content")
