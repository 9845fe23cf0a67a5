"""Hard negatives of reordered words in a run: drawn the same after every stop, in any pieces, and never masked away."""

import numpy as np
import pytest
import torch

from slimvec.data.cleaning.cleaner import merge_same_queries
from slimvec.data.cleaning.cleaning_report import CleaningTally
from slimvec.data.records import Record, parse_record, record_row
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.training.batches.augmentation import Augmentation, changes_of
from slimvec.training.step.contrastive import ContrastiveSteps
from slimvec.training.step.objective import make_objective
from tests.training import support
from tests.training.support import StopError, stop_after
from tests.training.test_collation import collator

ON = "data.0.order_negatives={share: 0.5, kinds: [words, neighbours], of: positive}"
NAMES = ("Anna", "Bruno", "Carla", "Dora", "Emil", "Fritz", "Gerda", "Hanno", "Irene", "Jonas", "Karla", "Ludwig")


def records(num=12):
    pairs = [(NAMES[n % 12], NAMES[(n + 5) % 12]) for n in range(num)]
    return [
        Record(f"who met {b} {n}", (f"{a} met {b} at the old mill {n}.",), (f"no {n}",) * (n % 2), language="en")
        for n, (a, b) in enumerate(pairs)
    ]


def drawn(settings, epoch=0, data=None):
    data = data or records()
    changes = [changes_of(source) for source in settings.data]
    return Augmentation(data, changes, seed=settings.run.seed).draw(range(len(data)), epoch).records


def test_off_by_default():
    assert changes_of(support.recipe().data[0]) == ()
    assert drawn(support.recipe()) == tuple(records())


def test_each_epoch_draws_others_and_always_the_same():
    first, second = (drawn(support.recipe(ON), epoch) for epoch in (0, 1))
    assert first == drawn(support.recipe(ON), 0)
    assert first != second
    assert 2 <= sum(bool(record.contrasts) for record in first) <= 10
    assert first != drawn(support.recipe(ON, "run.seed=9"), 0)


def test_a_contrast_comes_behind_the_mined_negatives_in_the_place_of_the_last():
    _, collate = collator(max_negatives=2)
    rows = [Record("q", ("p",), ("a", "b", "c"), contrasts=("x",)), Record("r", ("s",), ("d",)), Record("t", ("u",))]
    texts = collate(rows, epoch=0)
    assert (texts.negative_counts, texts.contrast_counts) == ((2, 1, 0), (1, 0, 0))
    batch = texts.assemble(torch.eye(len(texts.ids)))
    assert batch.contrast_mask.tolist() == [[False, True], [False, False], [False, False]]
    assert batch.negative_ids[0].tolist() == [text_id("a"), text_id("x")]
    assert collate(rows[1:], epoch=0).assemble(torch.eye(5)).contrast_mask is None


def test_scores_stay_with_the_texts_they_judge():
    _, collate = collator(max_negatives=3)
    scored = Record("q", ("p",), ("a", "b", "c"), scores=(4.0, 3.0, 2.0, 1.0), contrasts=("x",))
    batch = collate([scored, Record("r", ("s",))], epoch=0).assemble(torch.eye(7))
    assert batch.scores[0].tolist()[:3] == [4.0, 3.0, 2.0]
    assert bool(batch.scores[0, 3].isnan())
    assert bool(batch.scores[1].isnan().all())


def test_a_reordered_text_counts_although_the_margin_drops_what_is_alike():
    """The anchor's own words are nearer to it than its paraphrase, which is what a margin takes for an answer."""
    settings = support.recipe("loss.margin=0.1", "data.0.order_negatives={share: 1.0, of: query}")
    rows = [Record(f"{a} met {b} at noon.", (f"It was noon when {b} came upon {a}.",)) for a, b in zip(
        NAMES[:6], NAMES[6:], strict=True)]  # fmt: skip
    made = drawn(settings, data=rows)
    assert all(record.contrasts for record in made)
    collate = support.collator(support.model(settings), settings)
    objective = make_objective(settings.loss)

    def bag(text):  # words drawn once each, so that a reordering is the text itself
        words = [np.random.default_rng(text_id(w.strip(".")) % 2**32).standard_normal(64) for w in text.split()]
        return torch.from_numpy(np.sum(words, axis=0))

    def loss(data):
        texts = collate(data, epoch=0)
        strings = [r.query for r in data] + [r.positives[0] for r in data] + [t for r in data for t in r.contrasts]
        return float(objective(texts.assemble(torch.stack([bag(text) for text in strings]))).total)

    assert loss(made) > loss(rows) + 1


def steps(settings, made):
    return ContrastiveSteps(
        records(),
        settings,
        objective=make_objective(settings.loss),
        collator=support.collator(made, settings),
    )


def gradients(settings):
    made = support.model(settings)
    steps(settings, made).backward(1, made)
    return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


def test_a_step_in_pieces_has_the_gradient_of_the_whole():
    whole = gradients(support.recipe(ON, "batch.graph_tokens=100000"))
    pieces = gradients(support.recipe(ON, "batch.graph_tokens=0", "batch.micro_batch_tokens=100"))
    plain = gradients(support.recipe("batch.graph_tokens=100000"))
    assert whole.keys() == pieces.keys() != set()
    for name in whole:
        torch.testing.assert_close(pieces[name], whole[name], rtol=1e-4, atol=1e-6)
    assert any(not torch.allclose(plain[name], whole[name]) for name in whole)


def test_a_run_that_is_stopped_ends_with_the_same_weights(tmp_path):
    settings = support.recipe(ON, "run.checkpoint_steps=2")
    whole = support.model(settings)
    support.trainer(tmp_path / "whole", settings, data=records(), made=whole).run()
    first = support.model(settings)
    halted = support.trainer(tmp_path / "halted", settings, data=records(), made=first, on_step=(stop_after(3),))
    with pytest.raises(StopError):
        halted.run()
    resumed = support.model(settings)
    trainer = support.trainer(tmp_path / "halted", settings, data=records(), made=resumed)
    trainer.resume()
    assert trainer.run().finished
    for name, weights in support.trained(whole).items():
        assert torch.equal(weights, support.trained(resumed)[name]), name


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["batch.negatives=0"], "order_negatives count among batch.negatives, which is 0; set it to 1 or more"),
        (["loss.terms=[d-q]"], "order_negatives are compared by the term q-d of the contrastive loss alone"),
        (["data.0.kind=classes"], "order_negatives go with kind pairs only, and the kind is classes"),
        (["data.0.order_negatives.share=0"], "share"),
        (["data.0.order_negatives.kinds=[]"], "kinds"),
        (["data.0.order_negatives.of=title"], "of"),
    ],
)
def test_settings_without_an_effect_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        support.recipe(ON, *overrides)


def test_contrasts_are_read_and_written_and_checked():
    row = {"query": "q", "positive": "p", "contrast": "x"}
    assert parse_record(row) == Record("q", ("p",), contrasts=("x",))
    assert parse_record(record_row(parse_record(row))) == parse_record(row)
    by_id = parse_record({"query": "q", "positive_id": 1, "contrast_ids": [2]}, passages={"1": "p", "2": "x"})
    assert by_id.contrasts == ("x",)
    with pytest.raises(InputError, match="'q' is a contrast, and the query or a positive; expected another text"):
        parse_record({"query": "q", "positive": "p", "contrasts": ["x", "q"]})
    with pytest.raises(InputError, match="contrast is empty"):
        parse_record({"query": "q", "positive": "p", "contrasts": [" "]})


def test_merged_records_keep_the_contrasts_that_are_no_answers():
    rows = [Record("q", ("p",), contrasts=("x", "o")), Record("Q", ("o",), contrasts=("y",))]
    merged = merge_same_queries(rows, CleaningTally())
    assert [record.contrasts for record in merged] == [("x", "y")]
