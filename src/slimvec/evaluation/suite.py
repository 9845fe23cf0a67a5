"""Suites: lists of tasks, written as small YAML files. No torch and no mteb here.

name: mine
about: One line on what it is for.
tasks:
  - {name: cacm, kind: retrieval}
  - {name: sts13, kind: sts, folder: sts12_16, where: {year: "2013"}, protocol: STS13}
  - {name: nfcorpus, hub: NFCorpus}
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.data.retrieval_files import find_retrieval_sets
from slimvec.errors import InputError
from slimvec.frozen import Frozen, checked
from slimvec.yaml_files import read_text, read_yaml

Kind = Literal["retrieval", "reranking", "sts", "pair_classification", "classification", "clustering", "bitext"]
CandidateSource = Literal["judged", "bm25"]
SHIPPED = ("core", "full", "multilingual")


class TaskEntry(Frozen):
    """A task of a suite: a local folder as a task of mteb's kind, or one of mteb's own from the hub.

    Attributes:
        name: In results; letters, digits, `_`, `-` and `.`.
        kind: What is measured. None for a task from the hub.
        hub: mteb's name of a task whose data mteb fetches.
        protocol: mteb's name of the task whose settings (measure, classifier, number of experiments, seeds) are taken
            for the local data, where these are the same as that task's.
        folder: Below the data folder; default the name.
        file: File in the folder, for all kinds but retrieval and reranking.
        train_file: Where a classifier's examples are.
        text: Field with the text: classification and clustering.
        label: Field with the label: classification, clustering, pair classification.
        first: Field with the first side of a pair: STS, pair classification, bitext.
        second: Field with the second side.
        score: Field with the gold similarity: STS.
        id: Field that names a sample; equal ids in several languages are taken for one sample. Default its number.
        where: Only rows with these values.
        by: Field by whose values a set is split into subsets, each scored by itself. None scores it as one.
        subsets: Only these subsets; default all.
        across: Pairs of languages, `en-de`: queries (or first sentences) of one against documents (or second sentences)
            of the other, joined by `align` (retrieval) or by the id (bitext).
        limit: Most samples (retrieval: queries) of a subset, chosen by a hash of their text.
        documents: Most documents of a subset: those relevant to its queries, which are fewer where these do not fit,
            then others chosen by a hash of their ids. Such a part is easier than the whole set.
        characters: Longest text (retrieval: of a document); longer ones are cut.
        examples: Most examples of a label that a classifier may draw from, chosen by a hash of their text.
        experiments: Classifiers that are fitted, each on other examples; default the protocol's.
        candidates: What is ranked again: the documents judged for a query, or those that BM25 finds.
        merge_identical: Take queries of the same text for one, with the judgements of all.
        instruction: What models that take instructions are given; default their own choice.
        split: mteb's name of the split.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    kind: Kind | None = None
    hub: str | None = None
    protocol: str | None = None
    folder: str = ""
    file: str = "test.jsonl.gz"
    train_file: str = "train.jsonl.gz"
    text: str = "text"
    label: str = "label"
    first: str = "s1"
    second: str = "s2"
    score: str = "score"
    id: str | None = None
    where: Mapping[str, str | int | bool] = {}
    by: str | None = None
    subsets: tuple[str, ...] = ()
    across: tuple[str, ...] = ()
    limit: int | None = Field(default=None, ge=2)
    documents: int | None = Field(default=None, ge=2)
    characters: int | None = Field(default=None, ge=1)
    examples: int | None = Field(default=None, ge=2)
    experiments: int | None = Field(default=None, ge=1)
    candidates: CandidateSource = "judged"
    merge_identical: bool = False
    instruction: str | None = None
    split: str = "test"

    @model_validator(mode="after")
    def _is_local_or_from_the_hub(self) -> Self:
        if (self.kind is None) == (self.hub is None):
            raise ValueError("a task needs either kind (local data) or hub (a task of mteb's)")
        if self.across and self.kind not in ("retrieval", "bitext"):
            raise ValueError(f"across goes with retrieval and bitext, not with {self.kind}")
        if self.documents is not None and self.kind not in ("retrieval", "reranking"):
            raise ValueError(f"documents goes with retrieval and reranking, not with {self.kind}")
        for name in ("examples", "experiments"):
            if getattr(self, name) is not None and self.kind != "classification":
                raise ValueError(f"{name} goes with classification, not with {self.kind}")
        if self.across and self.by is None:
            raise ValueError("across needs by: the field with the language")
        for pair in self.across:
            if len(pair.split("-")) != 2:
                raise ValueError(f"across {pair!r} should be two values with a hyphen between")
        return self


class Suite(Frozen):
    """A list of tasks.

    Attributes:
        name: Name of the suite.
        about: What it is for, and how long it takes.
        tasks: In the order they are run; names occur once.
    """

    name: str
    about: str = ""
    tasks: tuple[TaskEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_occur_once(self) -> Self:
        names = [task.name for task in self.tasks]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"task {twice} occurs twice")
        return self

    def only(self, names: Sequence[str]) -> "Suite":
        """Give the suite with these tasks alone, in its own order.

        Raises:
            InputError: a name that is not among its tasks.
        """
        known = [task.name for task in self.tasks]
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            raise InputError(f"suite {self.name} has no task {unknown!r}", expected=f"one of {', '.join(known)}")
        return self.model_copy(update={"tasks": tuple(task for task in self.tasks if task.name in names)})

    def instructed(self, instruction: str | None) -> "Suite":
        """Give the suite with an instruction for the tasks that have none of their own."""
        tasks = [task.model_copy(update={"instruction": task.instruction or instruction}) for task in self.tasks]
        return self.model_copy(update={"tasks": tuple(tasks)})


def read_suite(source: str | Path) -> Suite:
    """Read a suite.

    Args:
        source: The name of one that comes with slimvec (`core`, `full`, `multilingual`), or a YAML file.

    Raises:
        InputError: there is no such suite, or its file is malformed.
    """
    if str(source) in SHIPPED:
        text, place = (
            (files("slimvec.evaluation") / "suites" / f"{source}.yaml").read_text(encoding="utf-8"),
            str(source),
        )
    elif Path(source).is_file():
        text, place = read_text(Path(source), "a suite of tasks"), str(source)
    else:
        raise InputError(f"no suite {str(source)!r}", expected=f"a YAML file, or one of {', '.join(SHIPPED)}")
    values = read_yaml(text, place)
    with checked(f"{place}: ", expected="a suite of tasks"):
        return Suite.model_validate(values)


def folder_suite(data: Path) -> Suite:
    """Make a suite of all retrieval sets of a folder. Errors as for `find_retrieval_sets`."""
    folders = [path.absolute() for path in find_retrieval_sets(data)]
    tasks = [TaskEntry(name=path.name, folder=str(path), kind="retrieval") for path in folders]
    return Suite(name="folder", tasks=tuple(tasks))


def hub_suite(names: Sequence[str]) -> Suite:
    """Make a suite of tasks of mteb's, by their names.

    Raises:
        InputError: what cannot be a name, or one name twice.
    """
    with checked(f"tasks {', '.join(map(repr, names))}: ", expected="names of mteb's tasks"):
        tasks = tuple(TaskEntry(name=name, hub=name) for name in names)
        return Suite(name="mteb", about="Tasks from the hub.", tasks=tasks)
