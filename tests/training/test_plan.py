"""Every record once an epoch, no text twice in a batch, groups kept together as far as asked, the same every time."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.training.batches.plan import BatchPlan

RECORDS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(20, 40), st.sampled_from("ab")), min_size=2, max_size=40
).map(lambda rows: [Record(f"q{q}", (f"d{d}",), task=task) for q, d, task in rows])
RATIOS = st.sampled_from([0.0, 0.3, 0.75, 1.0])


def plan_of(records, *, size, seed=0, sources=None, kinds=None, group_by="task", **settings):
    sources, kinds = (None if given is None else np.array(given) for given in (sources, kinds))
    return BatchPlan.of(
        records, batch_size=size, seed=seed, sources=sources, kinds=kinds, group_by=group_by, **settings
    )


def distinct(num, tasks=(None,)):
    return [Record(f"q{i}", (f"d{i}",), task=tasks[i % len(tasks)]) for i in range(num)]


@given(records=RECORDS, size=st.integers(2, 9), seed=st.integers(0, 5), epoch=st.integers(0, 2), ratio=RATIOS)
def test_each_record_once_and_no_text_twice_in_a_batch(records, size, seed, epoch, ratio):
    batches = plan_of(records, size=size, seed=seed, homogeneous=ratio).epoch(epoch)
    assert Counter(i for batch in batches for i in batch) == Counter(range(len(records)))
    for batch in batches:
        assert 1 <= len(batch) <= size
        texts = [text for i in batch for text in (records[i].query, *records[i].positives)]
        assert len(texts) == len(set(texts))


@given(records=RECORDS, size=st.integers(2, 9), ranks=st.integers(1, 4), ratio=RATIOS)
def test_ranks_share_each_batch_without_overlap_and_in_order(records, size, ranks, ratio):
    plan = plan_of(records, size=size, homogeneous=ratio)
    for number in range(plan.num_steps(2)):
        step = plan.step(number)
        slices = [step.slice(rank, ranks) for rank in range(ranks)]
        assert sum(slices, ()) == step.indices
        assert max(map(len, slices)) - min(map(len, slices)) <= 1


@given(records=RECORDS, size=st.integers(2, 9), seed=st.integers(0, 5), ratio=RATIOS)
def test_steps_walk_through_the_epochs_and_can_start_anywhere(records, size, seed, ratio):
    plan = plan_of(records, size=size, seed=seed, homogeneous=ratio)
    wanted = [tuple(batch.tolist()) for epoch in range(3) for batch in plan.epoch(epoch)]
    assert plan.num_steps(3) == len(wanted)
    fresh = plan_of(records, size=size, seed=seed, homogeneous=ratio)
    assert fresh.digest() == plan.digest()
    for number in reversed(range(len(wanted))):
        step = fresh.step(number)
        assert (step.step, step.indices) == (number, wanted[number])
        assert step.epoch == next(e for e in range(3) if number < plan.num_steps(e + 1))


@given(num=st.integers(2, 60), size=st.integers(2, 10))
def test_batches_of_distinct_texts_are_of_equal_size(num, size):
    sizes = [len(batch) for batch in plan_of(distinct(num), size=size).epoch(0)]
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-num // size)


@given(groups=st.lists(st.integers(1, 30), min_size=1, max_size=5), size=st.integers(2, 10), ratio=RATIOS)
def test_batches_of_groups_hold_at_least_half_of_what_they_may(groups, size, ratio):
    tasks = [f"t{number}" for number, count in enumerate(groups) for _ in range(count)]
    records = [Record(f"q{i}", (f"d{i}",), task=task) for i, task in enumerate([*tasks, "z", "z"])]
    sizes = [len(batch) for batch in plan_of(records, size=size, homogeneous=ratio).epoch(0)]
    assert min(sizes) >= min(size / 2, len(records))


def homogeneous_share(records, batches):
    """Share of the examples that are of the task most frequent in their batch."""
    most = [Counter(records[i].task for i in batch).most_common(1)[0][1] for batch in batches]
    return sum(most) / len(records)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.5, 0.8, 1.0])
def test_the_ratio_is_the_share_that_stays_in_its_group(ratio):
    tasks = [f"t{i}" for i in range(40)]
    records = distinct(40 * 50, tasks)
    batches = plan_of(records, size=50, homogeneous=ratio).epoch(0)
    # What is dealt back is of the batch's own task once in forty times. Without any homogeneity the most frequent of
    # forty tasks among fifty draws is there four times.
    wanted = ratio + (1 - ratio) / 40 if ratio else 4 / 50
    assert homogeneous_share(records, batches) == pytest.approx(wanted, abs=0.01)


@given(seed=st.integers(0, 9), ratio=RATIOS)
def test_kinds_never_meet(seed, ratio):
    records = distinct(37, "ab")
    kinds = [i % 3 for i in range(37)]
    for batch in plan_of(records, size=5, seed=seed, kinds=kinds, homogeneous=ratio).epoch(seed):
        assert len({kinds[i] for i in batch}) == 1


def test_groups_by_source_and_language():
    records = [Record(f"q{i}", (f"d{i}",), language="en" if i % 2 else "de", source=f"s{i // 20}") for i in range(40)]
    for by, label in (("language", lambda r: r.language), ("source", lambda r: r.source)):
        for batch in plan_of(records, size=5, homogeneous=1.0, group_by=by).epoch(0):
            assert len({label(records[i]) for i in batch}) == 1


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    weights=st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=4, max_size=4),
    temperature=st.sampled_from([1.0, 2.0, float("inf")]),
    ratio=RATIOS,
)
def test_weighted_sources_come_by_their_share_and_each_in_whole_rounds(sizes, weights, temperature, ratio):
    sources = [number for number, size in enumerate([*sizes, 2]) for _ in range(size)]
    weights = [*weights[: len(sizes)], 1.0]
    plan = plan_of(
        distinct(len(sources)),
        size=4,
        sources=sources,
        weights=weights,
        temperature=temperature,
        homogeneous=ratio,
    )
    seen, epochs = Counter(), 6
    for epoch in range(epochs):
        batches = plan.epoch(epoch)
        assert all(len(set(batch.tolist())) == len(batch) for batch in batches)
        seen.update(i for batch in batches for i in batch.tolist())
        for source in set(sources):
            counts = [seen[i] for i in range(len(sources)) if sources[i] == source]
            assert max(counts) - min(counts) <= 1
    powers = [w * n ** (1 / temperature) for w, n in zip(weights, [*sizes, 2], strict=True)]
    for source, power in enumerate(powers):
        wanted = epochs * len(sources) * power / sum(powers)
        assert sum(seen[i] for i in range(len(sources)) if sources[i] == source) == pytest.approx(wanted, abs=1)


def test_equal_weights_of_any_value_are_every_record_once():
    sources = [0] * 7 + [1] * 23 + [2]
    plan = plan_of(distinct(31), size=4, sources=sources, weights=[0.1, 0.1, 0.1])
    for epoch in range(50):
        assert sorted(np.concatenate(plan.epoch(epoch))) == list(range(31))


def test_texts_in_half_of_all_examples_leave_batches_of_two():
    records = [Record(f"q{i}", ("yes" if i % 2 else "no",)) for i in range(3000)]
    batches = plan_of(records, size=50).epoch(0)
    assert Counter(len(batch) for batch in batches).most_common(1)[0] == (2, 1500)


def test_seed_and_epoch_change_the_order_and_the_digest():
    records = distinct(20)
    plans = [plan_of(records, size=4, seed=seed) for seed in range(3)]
    assert len({str(plan.epoch(epoch)) for plan in plans for epoch in range(3)}) == 9
    assert len({plan.digest() for plan in plans}) == 3
    assert plan_of(distinct(21), size=4).digest() != plans[0].digest()


def test_the_order_is_the_same_with_every_release():
    batches = plan_of(distinct(10, "ab"), size=4, seed=1, homogeneous=0.5).epoch(2)
    assert [batch.tolist() for batch in batches] == [[5, 0], [3, 1, 2], [9, 7], [4, 6, 8]]


def test_texts_equal_up_to_case_and_space_are_kept_apart():
    records = [Record("A  query", ("one",)), Record("a QUERY ", ("two",)), Record("other", ("three",))]
    for batch in plan_of(records, size=3).epoch(0):
        assert not {0, 1} <= set(batch.tolist())


def test_text_id_is_the_same_in_every_process():
    assert text_id("Straße  X") == text_id(" STRASSE x") == 7343192062411414991
    assert text_id("a") != text_id("b")


def test_one_record_is_no_training_data():
    with pytest.raises(InputError, match="1 training pairs; expected at least 2"):
        plan_of([Record("q", ("d",))], size=2)
