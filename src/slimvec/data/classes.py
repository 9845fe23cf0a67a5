"""Class examples instead of labels: a text's positive is another text of its class (KaLM-Embedding-V2, 2506.20923).

A label as positive would make all texts of a class false negatives of each other, and teaches a name instead of what
the texts have in common.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimvec.data.bad_rows import BadRows
from slimvec.data.columns import Columns
from slimvec.data.records import Record, check_text
from slimvec.data.tables import iter_rows, located
from slimvec.errors import InputError
from slimvec.ranking.words import normal_form


@dataclass(frozen=True, slots=True)
class ClassExample:
    """A text and the class it is in.

    Attributes:
        text: The text.
        label: Name of the class.
        language: Language code, when known.
    """

    text: str
    label: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class ClassRecords:
    """Records made of class examples; iterating gives the records.

    Attributes:
        records: One for each example that was used, in the order of the examples.
        num_examples: Examples that came in.
        num_classes: Classes that records were made of.
        num_single: Examples left out because their class has no other.
        num_repeated: Examples left out because an earlier one of the class has the same text.
        num_ambiguous: Examples left out because the same text is in several classes.
        num_skipped: Examples left out because their label is to be skipped.
    """

    records: tuple[Record, ...]
    num_examples: int
    num_classes: int
    num_single: int
    num_repeated: int
    num_ambiguous: int
    num_skipped: int

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


def class_records(
    examples: Iterable[ClassExample],
    *,
    seed: int = 0,
    num_negatives: int = 7,
    skip: Collection[str] = (),
    source: str = "",
    task: str | None = None,
) -> ClassRecords:
    """Make records of class examples.

    Every example is a query once and a positive once: each class is put in a random circle, and the positive is the
    next in it. Negatives are examples of other classes, each of another class as long as there are enough. A record's
    group is its class. The same examples and seed give the same records.

    Args:
        examples: Examples of all classes; texts are compared without white space and capitals.
        seed: Random seed for circles and negatives.
        num_negatives: Number of negatives of each record; fewer when the other classes have fewer examples in all. KaLM
            takes 7.
        skip: Labels that are not a class, such as clinc150's `oos`, whose texts have nothing in common.
        source: Source of the records.
        task: Task of the records.

    Raises:
        InputError: fewer than two classes have two examples each, or no example has a label that is to be skipped.
    """
    all_examples = list(examples)
    unknown = set(skip) - {example.label for example in all_examples}
    if unknown:
        raise InputError(f"no example has the label {min(unknown)!r}, to be skipped", expected="a label that one has")
    wanted = [example for example in all_examples if example.label not in skip]
    usable, num_repeated, num_ambiguous = _unambiguous(wanted)
    classes = _by_class(usable)
    single = [label for label, members in classes.items() if len(members) == 1]
    for label in single:
        del classes[label]
    if len(classes) < 2:
        raise InputError(
            f"{len(classes)} classes with two different examples or more", expected="at least two such classes"
        )
    generator = random.Random(f"{seed}/classes")
    positives = _positives(classes, generator)
    negatives = _Negatives(classes, num_negatives, generator)
    records = tuple(
        Record(
            query=example.text,
            positives=(positives[example.text],),
            negatives=negatives.draw(example.label),
            task=task,
            language=example.language,
            source=source,
            group=example.label,
        )
        for example in usable
        if example.label in classes
    )
    return ClassRecords(
        records,
        num_examples=len(all_examples),
        num_classes=len(classes),
        num_single=len(single),
        num_repeated=num_repeated,
        num_ambiguous=num_ambiguous,
        num_skipped=len(all_examples) - len(wanted),
    )


def read_class_records(
    path: str | Path,
    *,
    seed: int = 0,
    num_negatives: int = 7,
    skip: Collection[str] = (),
    task: str | None = None,
    label: str = "label",
    bad: BadRows | None = None,
) -> ClassRecords:
    """Make records of a classification file, whose folder names their source.

    Args:
        path: A `.jsonl`, `.jsonl.gz` or `.parquet` file.
        seed: As for `class_records`.
        num_negatives: As for `class_records`.
        skip: As for `class_records`.
        task: Task of the records.
        label: The field with the class: a text or a whole number.
        bad: Learns which columns are not read.

    Raises:
        InputError: the file cannot be read, a row is malformed (with its place), or fewer than two classes have two
            examples each.
    """
    path = Path(path)
    examples = list(_read_examples(path, label, bad or BadRows()))
    name = path.absolute().parent.name
    return class_records(examples, seed=seed, num_negatives=num_negatives, skip=skip, source=name, task=task)


def _read_examples(path: Path, label: str, bad: BadRows) -> Iterator[ClassExample]:
    columns = Columns(("text", label, "lang", "language"), aliases=False)
    for row in columns.watch(iter_rows(path, fields=columns)):
        bad.unread[str(path)] = tuple(columns.unread)
        try:
            language = row.values.get("language") or row.values.get("lang")
            yield ClassExample(
                check_text(row.values.get("text"), "text"),
                _label(row.values.get(label), label),
                None if language is None else check_text(language, "language"),
            )
        except InputError as error:
            raise located(error, row.place) from error


def _label(value: object, name: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return check_text(value, name)


def _unambiguous(examples: Sequence[ClassExample]) -> tuple[list[ClassExample], int, int]:
    """The examples whose text is in one class only, each text once; and how many were repeated and ambiguous."""
    labels: dict[str, set[str]] = {}
    for example in examples:
        labels.setdefault(normal_form(example.text), set()).add(example.label)
    kept: dict[str, ClassExample] = {}
    num_repeated = num_ambiguous = 0
    for example in examples:
        key = normal_form(example.text)
        if len(labels[key]) > 1:
            num_ambiguous += 1
        elif key in kept:
            num_repeated += 1
        else:
            kept[key] = example
    return list(kept.values()), num_repeated, num_ambiguous


def _by_class(examples: Iterable[ClassExample]) -> dict[str, list[str]]:
    classes: dict[str, list[str]] = {}
    for example in examples:
        classes.setdefault(example.label, []).append(example.text)
    return classes


def _positives(classes: dict[str, list[str]], generator: random.Random) -> dict[str, str]:
    """The next text in its class's circle, by text."""
    following: dict[str, str] = {}
    for members in classes.values():
        circle = generator.sample(members, len(members))
        following.update(zip(circle, circle[1:] + circle[:1], strict=True))
    return following


class _Negatives:
    """Draws examples of other classes."""

    def __init__(self, classes: dict[str, list[str]], count: int, generator: random.Random) -> None:
        self._classes, self._count, self._generator = classes, count, generator
        self._labels = list(classes)
        self._num_texts = sum(map(len, classes.values()))

    def draw(self, label: str) -> tuple[str, ...]:
        """Texts of other classes, all different: one of each of some classes, then another round."""
        count = min(self._count, self._num_texts - len(self._classes[label]))
        drawn: dict[str, None] = {}
        while len(drawn) < count:
            others = self._generator.sample(self._labels, min(len(self._labels), count - len(drawn) + 1))
            for other in [other for other in others if other != label][: count - len(drawn)]:
                left = [text for text in self._classes[other] if text not in drawn]
                if left:
                    drawn[self._generator.choice(left)] = None
        return tuple(drawn)
