"""What records hold for a loss to aim at, and losses that do not fit the records."""

import math

import pytest

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.training.batches.targets import GRADED, PAIR, record_kinds, target_grades, target_scores
from slimvec.training.recipe import Loss

PLAIN = Record("q", ("p",))
STRAY = Record("q", ("p",), scores=(0.5,))  # a pair that lost its negatives
MINED = Record("q", ("p", "p2"), ("n", "m"), scores=(3.0, 2.0, 1.0, -1.0))
ALIKE = Record("a", ("b",), scores=(0.25,), source="sts")


def test_a_source_is_graded_when_all_of_it_is():
    records = [PLAIN, STRAY, ALIKE, ALIKE]
    assert record_kinds(records, Loss(graded={})) == [PAIR, PAIR, GRADED, GRADED]
    assert record_kinds([PLAIN, STRAY], Loss()) == [PAIR, PAIR]
    assert target_grades(records, [PAIR, PAIR, GRADED, GRADED]).tolist()[2:] == [0.25, 0.25]
    assert all(math.isnan(grade) for grade in target_grades(records, [PAIR] * 4).tolist())


def test_scores_of_the_positive_that_is_taken_and_of_the_first_negatives():
    scores = target_scores([MINED, MINED, PLAIN], [0, 1, 0], [2, 1, 0])
    assert scores[0].tolist() == [3.0, 1.0, -1.0]
    assert scores[1, :2].tolist() == [2.0, 1.0]
    assert bool(scores[1, 2:].isnan().all())
    assert bool(scores[2].isnan().all())


@pytest.mark.parametrize(
    ("records", "loss", "message"),
    [
        ([PLAIN, ALIKE], {}, "source 'sts' has nothing but graded pairs: one positive and its score; expected a loss"),
        ([PLAIN, MINED], {"graded": {}}, "loss.graded without graded pairs; expected a source whose records have one"),
        ([PLAIN, STRAY], {"distill": {"teacher": "records"}}, "but no record has scores and negatives; expected a sco"),
    ],
)
def test_a_loss_that_does_not_fit_the_records(records, loss, message):
    with pytest.raises(InputError, match=message):
        record_kinds(records, Loss.model_validate(loss))
