"""Records to tokens and vectors back to a batch."""

import numpy as np
import pytest
import torch

from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.text.prompts import Prompts, Task
from slimvec.training.batches.collation import Collator
from slimvec.training.batches.targets import Groups, KnownAnswers
from tests import tiny

TASKS = {"retrieval": Task(instruction="find"), "sts": Task(instruction="same", symmetric=True)}
PROMPTS = Prompts(query="{task}: ", document="d: ", tasks=TASKS)


def collator(**settings):
    made = tiny.embedding_model()
    limits = {"max_query_tokens": 100, "max_document_tokens": 100, "max_negatives": 7} | settings
    return made.tokenizer.backend, Collator(made.tokenizer, PROMPTS, **limits)


def read(backend, row):
    return "".join(backend.id_to_token(i) for i in row).replace("\u0120", " ")


RECORDS = [
    Record("one", ("first", "1st"), ("x", "y")),
    Record("two", ("second",), task="sts"),
    Record("three", ("third",), ("z",), task="as i say"),
]


def test_texts_are_in_order_with_their_prompts():
    backend, collate = collator()
    texts = collate(RECORDS, epoch=0)
    decoded = [read(backend, row) for row in texts.tokenized.sequences]
    queries = ["find: one", "two", "as i say: three"]
    documents = ["d: first", "second", "d: third", "d: x", "d: y", "d: z"]
    assert decoded == queries + documents
    assert texts.tokenized.prefix_lengths == [6, 0, 10, 3, 0, 3, 3, 3, 3]
    assert texts.ids.tolist() == [text_id(t) for t in ("one", "two", "three", "first", "second", "third", *"xyz")]
    assert texts.negative_counts == (2, 0, 1)
    assert texts.num_tokens == sum(map(len, decoded))


def test_each_epoch_takes_the_next_positive():
    backend, collate = collator()
    for epoch, wanted in enumerate(["d: first", "d: 1st", "d: first"]):
        row = collate(RECORDS, epoch=epoch).tokenized.sequences[3]
        assert read(backend, row) == wanted


def test_limits_are_by_role_and_counted():
    _, collate = collator(max_query_tokens=8, max_document_tokens=7, max_negatives=1)
    texts = collate(RECORDS[:1], epoch=0)
    assert texts.tokenized.lengths == [8, 7, 4]
    assert texts.tokenized.num_truncated == 2
    assert texts.negative_counts == (1,)


def test_vectors_are_sorted_into_a_batch():
    _, collate = collator()
    texts = collate(RECORDS, epoch=0)
    vectors = torch.eye(9) * 3
    vectors.requires_grad_()
    batch = texts.assemble(vectors)
    assert batch.query.argmax(1).tolist() == [0, 1, 2]
    assert batch.positive.argmax(1).tolist() == [3, 4, 5]
    assert batch.negative_mask.tolist() == [[True, True], [False, False], [True, False]]
    assert batch.negatives.argmax(2)[batch.negative_mask].tolist() == [6, 7, 8]
    assert batch.negative_ids[batch.negative_mask].tolist() == [text_id(t) for t in "xyz"]
    assert batch.query.detach().norm(dim=1).tolist() == [1.0, 1.0, 1.0]
    batch.negatives[batch.negative_mask].sum().backward()
    assert bool((vectors.grad[:6] == 0).all())
    without = collate([RECORDS[1]], epoch=0).assemble(torch.eye(2))
    assert without.negatives is None


class Teacher:
    """A vector that says which text it is, and what was asked."""

    identity, dims = "big", 3

    def __init__(self):
        self.asked = []

    def __call__(self, texts, role, task):
        self.asked.append((role, task, len(texts)))
        return np.array([[len(text), role == "query", 0] for text in texts], dtype=np.float32)


def test_scores_grades_and_a_teachers_vectors_come_with_the_texts():
    teacher = Teacher()
    _, collate = collator(teacher=teacher)
    graded = Record("four", ("fourth",), scores=(0.5,), task="sts")
    scored = Record("one", ("first",), ("x", "y"), scores=(2.0, 1.0, 0.0))
    texts = collate([scored, graded], epoch=0, kinds=[0, 1], seed=9)
    assert teacher.asked == [("query", None, 1), ("query", "sts", 1), ("document", None, 3), ("document", "sts", 1)]
    batch = texts.assemble(torch.eye(6))
    assert batch.seed == 9
    assert batch.scores[0].tolist() == [2.0, 1.0, 0.0]
    assert bool(batch.scores[1, 1:].isnan().all())
    assert batch.grades.isnan().tolist() == [True, False]
    assert batch.grades[1] == 0.5
    lengths = [batch.teacher.query, batch.teacher.positive, batch.teacher.negatives[:1]]
    cosines = [[round(float(v[0]), 4) for v in part.reshape(-1, 3)] for part in lengths]
    assert cosines == [[round(3 / 10**0.5, 4), round(4 / 17**0.5, 4)], [1.0, 1.0], [1.0, 1.0]]


def test_a_text_without_tokens_and_an_unknown_task():
    _, collate = collator(max_query_tokens=6)
    with pytest.raises(InputError, match="has no tokens of its own"):
        collate(RECORDS, epoch=0)
    _, collate = collator()
    with pytest.raises(InputError, match="task 'none'; expected one of retrieval, sts"):
        collate([Record("q", ("d",), task="none")], epoch=0)


def test_groups_reach_the_batch_with_those_of_known_negatives():
    _, collate = collator()
    records = [
        Record("red one", ("red two",), ("blue one", "unknown"), source="a", group="0"),
        Record("blue one", ("blue two",), ("RED two",), source="a", group="1"),
        Record("red three", ("red four",), source="a", group="0"),
        Record("red one", ("other",), source="b", group="0"),
        Record("plain", ("pair",), ("red two",), source="a"),
    ]
    texts = collate(records[:2], epoch=0, groups=Groups(records))
    batch = texts.assemble(torch.eye(len(texts.ids)))
    red, blue = batch.group_ids.tolist()
    assert red != blue
    assert min(red, blue) >= 0
    assert batch.negative_group_ids[batch.negative_mask].tolist() == [blue, -1, red]
    rest = collate(records[2:], epoch=0, groups=Groups(records))
    found = rest.assemble(torch.eye(len(rest.ids)))
    assert found.group_ids[[0, 2]].tolist() == [red, -1]
    assert found.group_ids[1] not in (red, blue, -1)  # the same name in another source
    assert found.negative_group_ids[2].tolist() == [red]
    assert collate(records[4:], epoch=0).group_ids is None


def test_positives_that_are_not_drawn_are_known_answers():
    _, collate = collator()
    records = [Record("one", ("first", "1st")), Record("two", ("second",)), Record("One", ("uno",), ("z",))]
    names = [text_id(text) for text in ("first", "1st", "uno")]
    texts = collate(records[:2], epoch=0, answers=KnownAnswers(records))
    assert texts.answer_ids[0].tolist() == names  # its own, and those of a record with the same query
    assert texts.answer_ids[1].tolist() == [text_id("second")] * 3
    batch = texts.assemble(torch.eye(4))
    assert batch.answer_ids is texts.answer_ids
    alone = collate(records[:2], epoch=1)  # without the others: those of the batch
    assert alone.answer_ids[0].tolist() == names[:2]
    assert alone.ids[2] == names[1]
    assert collate([records[1]], epoch=0).answer_ids is None


def test_no_teacher_is_asked_about_contrasts():
    teacher = Teacher()
    _, collate = collator(teacher=teacher)
    records = [Record("one", ("first",), ("x", "y"), contrasts=("c", "d")), Record("two", ("second",), ("z",))]
    texts = collate(records, epoch=0)
    assert teacher.asked == [("query", None, 2), ("document", None, 5)]
    assert texts.contrast_counts == (2, 0)
    assert texts.teacher.abs().sum(-1).bool().tolist() == [True] * 6 + [False] * 2 + [True]
