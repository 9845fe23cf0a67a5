"""Every record once an epoch, no text twice in a batch, the same order every time."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.training.plan import BatchPlan
from slimvec.training.text_ids import text_id

RECORDS = st.lists(st.tuples(st.integers(0, 12), st.integers(20, 40)), min_size=2, max_size=40).map(
    lambda pairs: [Record(f"q{q}", (f"d{d}",)) for q, d in pairs]
)


@given(records=RECORDS, size=st.integers(2, 9), seed=st.integers(0, 5), epoch=st.integers(0, 2))
def test_each_record_once_and_no_text_twice_in_a_batch(records, size, seed, epoch):
    batches = BatchPlan.of(records, batch_size=size, seed=seed).epoch(epoch)
    assert Counter(i for batch in batches for i in batch) == Counter(range(len(records)))
    for batch in batches:
        assert 1 <= len(batch) <= size
        texts = [text for i in batch for text in (records[i].query, *records[i].positives)]
        assert len(texts) == len(set(texts))


@given(records=RECORDS, size=st.integers(2, 9), seed=st.integers(0, 5))
def test_steps_walk_through_the_epochs_and_can_start_anywhere(records, size, seed):
    plan = BatchPlan.of(records, batch_size=size, seed=seed)
    wanted = [tuple(batch) for epoch in range(3) for batch in plan.epoch(epoch)]
    assert plan.num_steps(3) == len(wanted)
    fresh = BatchPlan.of(records, batch_size=size, seed=seed)
    for number in reversed(range(len(wanted))):
        step = fresh.step(number)
        assert (step.step, step.indices) == (number, wanted[number])
        assert step.epoch == next(e for e in range(3) if number < plan.num_steps(e + 1))


@given(num=st.integers(2, 60), size=st.integers(2, 10))
def test_batches_of_distinct_texts_are_of_equal_size(num, size):
    records = [Record(f"q{i}", (f"d{i}",)) for i in range(num)]
    sizes = [len(batch) for batch in BatchPlan.of(records, batch_size=size, seed=0).epoch(0)]
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-num // size)


def test_seed_and_epoch_change_the_order():
    records = [Record(f"q{i}", (f"d{i}",)) for i in range(20)]
    orders = {
        str(BatchPlan.of(records, batch_size=4, seed=seed).epoch(epoch)) for seed in range(3) for epoch in range(3)
    }
    assert len(orders) == 9


def test_texts_equal_up_to_case_and_space_are_kept_apart():
    records = [Record("A  query", ("one",)), Record("a QUERY ", ("two",)), Record("other", ("three",))]
    for batch in BatchPlan.of(records, batch_size=3, seed=0).epoch(0):
        assert not {0, 1} <= set(batch)


def test_text_id_is_the_same_in_every_process():
    assert text_id("Straße  X") == text_id(" STRASSE x") == 7343192062411414991
    assert text_id("a") != text_id("b")


def test_one_record_is_no_training_data():
    with pytest.raises(InputError, match="1 training pairs; expected at least 2"):
        BatchPlan.of([Record("q", ("d",))], batch_size=2, seed=0)
