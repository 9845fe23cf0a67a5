"""Changes made when a record is drawn: fixed by seed, record and epoch, and told to whoever compares texts."""

from dataclasses import replace

import numpy as np
import pytest

from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.training.batches.augmentation import Augmentation, Change, changes_of
from slimvec.training.step.contrastive import ContrastiveSteps
from slimvec.training.step.objective import make_objective
from tests.training.support import collator as collator_of
from tests.training.support import model, recipe, records
from tests.training.test_collation import Teacher, collator

RECORDS = [Record(f"query {n}", (f"first {n}", f"second {n}"), (f"not {n}",)) for n in range(6)]


def marked(record, generator):
    return replace(record, positives=tuple(f"{text} {generator.integers(1000)}" for text in record.positives))


def tasked(record, generator):
    return replace(record, task=f"task {generator.integers(1000)}")


MARK, TASK = Change("mark", marked, keeps_meaning=True), Change("task", tasked)


def test_without_changes_records_are_themselves():
    drawn = Augmentation(RECORDS, [(), ()], seed=1).draw([3, 1], epoch=0)
    assert drawn.records == (RECORDS[3], RECORDS[1])
    assert drawn.stands_for == {}


def test_a_draw_depends_on_seed_record_and_epoch_and_on_nothing_else():
    one = Augmentation(RECORDS, [(MARK,)], seed=1)
    first = one.draw([0, 1, 2], 0).records
    assert one.draw([2, 0], 0).records == (first[2], first[0])
    assert Augmentation(RECORDS, [(TASK, MARK)], seed=1).draw([0], 0).records[0].positives == first[0].positives
    assert one.draw([0], 1).records[0] != first[0]
    assert Augmentation(RECORDS, [(MARK,)], seed=2).draw([0], 0).records[0] != first[0]


def test_each_source_has_its_changes():
    sources = np.array([0, 0, 0, 1, 1, 1])
    drawn = Augmentation(RECORDS, [(), (TASK,)], sources=sources, seed=1).draw([0, 5], 0)
    assert drawn.records[0] is RECORDS[0]
    assert drawn.records[1].task is not None


def test_a_changed_text_stands_for_the_one_of_the_data_even_when_it_is_changed_twice():
    again = Change("again", marked, keeps_meaning=True)
    drawn = Augmentation(RECORDS, [(MARK, TASK, again)], seed=1).draw([4], 0)
    new = drawn.records[0].positives
    assert [drawn.stands_for[text] for text in new] == ["first 4", "second 4"]
    assert "not 4" not in drawn.stands_for
    assert "query 4" not in drawn.stands_for


def test_what_does_not_keep_the_meaning_stands_for_itself():
    def reversed_negative(record, _):
        return replace(record, negatives=(record.positives[0][::-1], *record.negatives))

    drawn = Augmentation(RECORDS, [(Change("reversed", reversed_negative),)], seed=1).draw([0], 0)
    assert drawn.records[0].negatives == ("0 tsrif", "not 0")
    assert drawn.stands_for == {}


class Attentive(Teacher):
    """A teacher that remembers what it was asked."""

    def __call__(self, texts, role, task):
        self.asked += texts
        return super().__call__(texts, role, task)


def test_texts_are_compared_and_taught_as_those_they_stand_for():
    teacher = Attentive()
    _, collate = collator(teacher=teacher)
    records = [Record("one", ("b a",), ("d c",))]
    texts = collate(records, epoch=0, stands_for={"b a": "a b.", "d c": "c d.."})
    assert texts.ids.tolist() == [text_id(text) for text in ("one", "a b.", "c d..")]
    assert [text for text in teacher.asked if isinstance(text, str)] == ["one", "a b.", "c d.."]
    assert texts.tokenized.lengths[1:] == [len("d: b a"), len("d: d c")]


def test_a_recipe_rearranges_the_documents_of_a_source():
    found = recipe("data.0.rearrange={permute: 0.25, rotate: 0.75}")
    changes = changes_of(found.data[0])
    assert [change.name for change in changes] == ["rearrange"]
    record = Record("q", (" ".join(f"Sentence {n}." for n in range(20)),))
    drawn = Augmentation([record], [changes], seed=1).draw([0], 0)
    assert drawn.records[0].positives != record.positives
    assert drawn.stands_for == {drawn.records[0].positives[0]: record.positives[0]}
    assert changes_of(recipe().data[0]) == ()


@pytest.mark.parametrize("shares", ["{}", "{permute: 0.6, rotate: 0.6}"])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(InputError, match="are shares of the documents: above 0, at most 1 together"):
        recipe(f"data.0.rearrange={shares}")


def test_a_run_that_goes_on_draws_what_it_would_have_drawn():
    settings = recipe("data.0.rearrange={rotate: 1}")
    data = [replace(r, positives=(f"{r.positives[0]}. And more. And {n}.",)) for n, r in enumerate(records())]
    made = model(settings)

    def drawn(numbers):
        seen = []
        collate = collator_of(made, settings)

        def listening(batch, **more):
            seen.append([record.positives for record in batch])
            return collate(batch, **more)

        steps = ContrastiveSteps(data, settings, objective=make_objective(settings.loss), collator=listening)
        for number in numbers:
            steps.backward(number, made)
        return seen

    whole, rest = drawn(range(6)), drawn([4, 5])
    assert whole[4:] == rest
    asis = {record.positives for record in data}
    assert any(positives not in asis for batch in whole for positives in batch)
