"""The word order probe reads the sense of order that was planted."""

import gzip
import json
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from slimvec.data.templates import KINDS
from slimvec.errors import InputError
from slimvec.probes.order.bags import bag_cosines, pair_cosines
from slimvec.probes.order.explained import explain, words_of
from slimvec.probes.order.findings import ACCURACY, CHOICE, Cosines
from slimvec.probes.order.items import SHUFFLES, distinct_texts, plain_items, shuffles, template_items
from slimvec.probes.order.order_probe import OrderProbe
from slimvec.probes.order.outside import outside_items, outside_pairs, plain_sentences
from slimvec.probes.protocol import ProbeConfig
from slimvec.probes.registry import choose_probes
from slimvec.ranking.words import split_tokens
from tests.probes.planted import BagOfWords, Mapped, OrderSensitive, Random, direction

TINY = ProbeConfig(amount="tiny")
PROBE = OrderProbe(languages=("en", "es"))


@cache
def result(model):
    return PROBE.run(model, TINY)


def test_the_probe_is_on_the_register():
    (probe,) = choose_probes(["order"])
    assert isinstance(probe, OrderProbe)
    assert (probe.name, probe.question) == ("order", OrderProbe.question)


def test_a_bag_of_words_reads_as_a_bag_of_words():
    found = result(BagOfWords())
    for measure in found.measures:
        assert measure.low is not None, measure.name
        if measure.name.startswith(
            ("accuracy", "choice/role", "choice/direction", "choice/number", "choice/comparison")
        ):
            assert measure.value == measure.baseline, measure.name
        if measure.name.startswith("kept"):
            assert measure.value == pytest.approx(1, abs=1e-6)
    for kind in ("role swap", "direction", "comparison", "number swap", *SHUFFLES):  # the same words in both
        assert found.measure(f"choice/{kind}").value == 0.5
    assert found.measure("explained/words").value == pytest.approx(1, abs=1e-9)
    assert found.measure("explained/vectors").value == pytest.approx(1, abs=1e-9)
    assert 0.97 < found.measure("explained/counts").value < 1  # hashed words are only nearly orthogonal
    assert "not distinguishable from a bag of words" in found.answer
    assert "explains 100% [100%, 100%] of the variance of its cosines" in found.answer


def test_a_model_that_sees_neighbours_reads_as_its_neighbours_do():
    """What it has was planted: the cosines of words and of pairs, half and half, but for the noise of hashing."""
    found, asked = result(OrderSensitive(share=0.5, dims=1024)), PROBE.questions(TINY)
    for kind in (*KINDS, *SHUFFLES):
        cells = [[item for item in asked.items if (item.kind, item.language) == (kind, code)] for code in ("en", "es")]
        cosines = [Cosines.of(items, pair_cosines) for items in cells]
        for statistic in (ACCURACY, CHOICE):
            wanted, measure = statistic.without(cosines), found.measure(f"{statistic.name}/{kind}")
            assert measure.low - 0.05 <= wanted <= measure.high + 0.05, measure.name
    for kind in SHUFFLES:
        assert found.measure(f"choice/{kind}").value > 0.6
        assert found.measure(f"kept/{kind}").high < 0.65
    assert found.measure("explained/vectors").high < 0.6


def test_chance_reads_as_chance():
    found = result(Random())
    for name in ("accuracy", "choice", "auc", *(f"accuracy/{kind}" for kind in KINDS)):
        assert found.measure(name).low < 0.5 < found.measure(name).high, name
    assert found.measure("margin").low < 0 < found.measure("margin").high
    assert found.measure("kept/full shuffle").low < 0.03
    assert found.measure("explained/words").high < 0.1
    assert found.measure("explained/vectors").high < 0.01


def knowing(share):
    """A model that knows a share of the items, and takes the others for what the negative says."""
    meaning = {}
    anchors = list(dict.fromkeys(item.anchor for item in PROBE.questions(TINY).items))
    known = {anchor: (number * 0.6180339887) % 1 < share for number, anchor in enumerate(anchors)}  # spread evenly
    for item in PROBE.questions(TINY).items:
        says, other = f"says {item.anchor}", f"other {item.anchor}"
        meaning.setdefault(item.anchor, (says,))
        meaning.setdefault(item.paraphrase, (says,) if known[item.anchor] else (other,))
        meaning.setdefault(item.negative, (other,) if known[item.anchor] else (says, other))
    return Mapped(function=lambda text: sum(direction(key, 256) for key in meaning.get(text, (text,))), dims=256)


@pytest.mark.parametrize(("share", "wanted"), [(1.0, 1.0), (0.0, 0.0), (0.7, 0.7)])
def test_a_model_that_knows_a_share_of_the_items_reads_that_share(share, wanted):
    found = PROBE.run(knowing(share), TINY)
    for name in ("accuracy", "choice"):
        measure = found.measure(name)
        assert measure.low <= wanted <= measure.high
        assert measure.value == pytest.approx(wanted, abs=0.08)
    assert ("more often than a bag of words" in found.answer) == (share > 0)
    if share == 1:
        assert found.measure("margin").value == pytest.approx(1, abs=0.05)
        assert found.measure("auc").value > 0.99


def test_the_same_seed_asks_and_reads_the_same():
    assert PROBE.run(Random(), TINY) == result(Random())
    other = PROBE.questions(ProbeConfig(amount="tiny", seed=1))
    assert other.items != PROBE.questions(TINY).items


def test_a_reading_is_whole():
    found = result(BagOfWords())
    assert found.measures[0].name == "accuracy"
    assert {f"{name}/{kind}/{code}" for name in ("accuracy", "choice") for kind in KINDS for code in ("en", "es")} <= {
        measure.name for measure in found.measures
    }
    assert found.skipped == "not at hand: stsb_multi, sick, sugarcrepe, pawsx, sib200"
    assert [table.title for table in found.tables][:2] == ["By what is exchanged", "By language"]
    assert [len(plot.curves) for plot in found.plots] == [3, 3, 3]
    assert found.plots[0].categories == (*KINDS, *SHUFFLES)
    assert "order_negatives" in found.remedies[0]
    assert found.details["items"] == sum(found.measure(f"accuracy/{kind}").num_items for kind in (*KINDS, *SHUFFLES))


def test_amounts_are_kept_to():
    asked = {amount: OrderProbe().questions(ProbeConfig(amount=amount)) for amount in ("tiny", "full")}
    assert len(asked["tiny"].texts()) < 1800
    assert 3000 < len(asked["full"].texts()) < 5000


def test_unknown_languages_are_refused():
    with pytest.raises(InputError, match="no templates in 'bo'; expected one of en, de, fr, es"):
        OrderProbe(languages=("bo",)).run(BagOfWords(), TINY)


def test_cosines_of_bags_by_hand():
    first, second = ["Ann saw Bob, Ann said.", "A b", "?"], ["bob SAW ann", "c d", "x"]
    norm = (4 + 1 + 1 + 1) ** 0.5 * 3**0.5
    assert bag_cosines(first, second).tolist() == pytest.approx([(2 + 1 + 1) / norm, 0, 0])
    assert bag_cosines(["a b c"], ["c a b"])[0] == 1.0
    # Pairs of "a b c" are ^a ab bc c^; of "c a b" ^c ca ab b^: one of four.
    assert pair_cosines(["a b c"], ["c a b"])[0] == pytest.approx((1 + 1 / 4) / 2)


def test_shuffles_keep_the_words_and_move_them_as_they_say():
    text = "The old man, whose dog barked, left the house in May."
    made = shuffles(text, seed=3)
    assert made == shuffles(text, seed=3) != shuffles(text, seed=4)
    words = text.lower().replace(",", "").replace(".", "").split()
    for kind in SHUFFLES:
        assert sorted(split_tokens(made[kind])) == sorted(words)
        assert made[kind] != text
    moved = split_tokens(made["local swaps"])
    assert all(moved[n] in words[max(0, n - 1) : n + 2] for n in range(len(words)))
    assert shuffles("same same same same same same", seed=1) == {}


def test_unrelated_sentences_have_about_the_length():
    sentences = [("en", "a b c d e f"), ("en", "g h i j k l m"), ("en", "x " * 30 + "y"), ("de", "n o p q r s")]
    items = plain_items("set", sentences, seed=1)
    assert {item.anchor: item.paraphrase for item in items} == {
        "a b c d e f": "g h i j k l m",
        "g h i j k l m": "a b c d e f",
        "x " * 30 + "y": "g h i j k l m",
    }


def test_shares_explained_against_plain_loops():
    items = template_items("en", 8, seed=2)[:40]
    texts = [*distinct_texts(items), *words_of(distinct_texts(items))]
    model = OrderSensitive(share=0.3, dims=32)
    vectors = {text: model.vector(split_tokens(text), text) for text in texts}
    vectors = {text: vector / np.linalg.norm(vector) for text, vector in vectors.items()}
    found = explain(items, vectors, np.ones((3, len(items))), seed=5)
    assert found["words"].samples.tolist() == pytest.approx([found["words"].value] * 3)
    v = np.array([vectors[text] for item in items for text in item.texts])
    means = {}
    for text in distinct_texts(items):
        total = np.sum([vectors[word] for word in text.replace(".", "").replace(",", "").split()], axis=0)
        means[text] = total / np.linalg.norm(total)
    m = np.array([means[text] for item in items for text in item.texts])
    v, m = v - v.mean(axis=0), m - m.mean(axis=0)
    assert found["vectors"].value == pytest.approx((v * m).sum() ** 2 / ((v * v).sum() * (m * m).sum()))
    residual = v - (v * m).sum() / (m * m).sum() * m  # what the best one number leaves
    assert found["vectors"].value == pytest.approx(1 - (residual**2).sum() / (v**2).sum())


@dataclass(frozen=True)
class Outside:
    """A folder of sets in the formats they come in."""

    folder: object

    def write(self, name, file, rows):
        (self.folder / name).mkdir(exist_ok=True)
        with gzip.open(self.folder / name / file, "wt", encoding="utf-8") as out:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def data(tmp_path):
    sets = Outside(tmp_path)
    words = [
        "river",
        "stone",
        "bridge",
        "wind",
        "mountain",
        "forest",
        "meadow",
        "harbour",
        "castle",
        "garden",
        "valley",
        "island",
    ]
    long = [f"The {words[n]} near the {words[(n + 1) % 12]} is very old {n}" for n in range(12)]
    same = [{"s1": text, "s2": f"Old is {text}", "score": 4.8, "lang": "it", "idx": n} for n, text in enumerate(long)]
    sets.write("stsb_multi", "test.jsonl.gz", [*same, {"s1": "a b c d e f", "s2": "x", "score": 1.0, "lang": "it"}])
    sick = [
        {"s1": "A dog bites a man", "s2": "A man is bitten by a dog", "score": 4.9, "nli": "ENTAILMENT"},
        {"s1": "A man bites a dog", "s2": "A dog bites a man", "score": 3.0, "nli": "NEUTRAL"},
        {"s1": "A dog bites a man", "s2": "A dog bites no man", "score": 3.5, "nli": "CONTRADICTION"},
        {"s1": "Birds sing", "s2": "Nobody eats anything here", "score": 1.0, "nli": "CONTRADICTION"},
    ]
    sets.write("sick", "all.jsonl.gz", sick)
    crepe = [
        {"type": "swap_obj", "image": "1", "caption": "A cat on a mat", "negative": "A mat on a cat"},
        {"type": "swap_att", "image": "1", "caption": "A cat lies on a rug", "negative": "A rug lies on a cat"},
        {"type": "swap_obj", "image": "2", "caption": "A cup by a jar", "negative": "A jar by a cup"},
        {"type": "add_obj", "image": "1", "caption": "A cat", "negative": "A cat and a dog"},
    ]
    sets.write("sugarcrepe", "probe.jsonl.gz", crepe)
    pairs = [
        {"s1": f"in {n} he went north", "s2": f"north he went in {n}", "label": n % 2, "lang": code, "id": str(n)}
        for code in ("de", "ko")
        for n in range(30)
    ]
    sets.write("pawsx", "dev.jsonl.gz", pairs)
    flores = [{"id": n, "label": "x", "text": text, "lang": "fra_Latn"} for n, text in enumerate(long)]
    sets.write("sib200", "test.jsonl.gz", [*flores, {"id": 1, "label": "x", "text": long[0], "lang": "zul_Latn"}])
    return ProbeConfig(data=tmp_path, amount="tiny")


def test_outside_sets_become_items(data):
    items = outside_items(data)
    by_group = {}
    for item in items:
        by_group.setdefault((item.group, item.kind), []).append(item)
    assert {key: len(own) for key, own in by_group.items()} == {
        ("stsb", "full shuffle"): 10,
        ("stsb", "local swaps"): 10,
        ("sick", "word order"): 1,
        ("sick", "contradiction"): 1,
        ("sugarcrepe", "objects swapped"): 1,
        ("sugarcrepe", "attributes swapped"): 1,
    }
    (order,) = by_group["sick", "word order"]
    assert order.texts == ("A dog bites a man", "A man is bitten by a dog", "A man bites a dog")
    (swapped,) = by_group["sugarcrepe", "objects swapped"]
    assert swapped.texts == ("A cat on a mat", "A cat lies on a rug", "A mat on a cat")
    assert {item.language for item in by_group["stsb", "full shuffle"]} == {"it"}
    assert len(outside_pairs(data)) == 2 * 2 * 10
    assert {language for language, _ in plain_sentences(data)} == {"fra_Latn"}
    assert len(plain_sentences(data)) == 10


def test_outside_sets_are_read_and_shown(data):
    found = OrderProbe(languages=("en",)).run(BagOfWords(), data)
    assert found.skipped == ""
    assert found.measure("accuracy/sick word order/en").value == 0.0
    assert found.measure("choice/sick word order/en").value == 0.5
    assert found.measure("choice/stsb full shuffle/it").value == 0.5
    assert found.measure("auc/pawsx/de").value == 0.5  # the same words everywhere: all cosines are 1
    assert found.measure("kept/full shuffle/sib200/fra_Latn").value == pytest.approx(1)
    titles = [table.title for table in found.tables]
    assert titles[2] == "Outside sets"
    assert "Pairs that say the same, against pairs of the same words that do not" in titles


def test_malformed_sets_are_refused_with_their_place(data):
    path = data.data / "pawsx" / "dev.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.write(json.dumps({"s1": "a", "s2": "b", "lang": "de", "label": "yes"}) + "\n")
    with pytest.raises(InputError, match=r"dev.jsonl.gz:1: label 'yes'; expected a number"):
        OrderProbe().run(BagOfWords(), data)
    (data.data / "sick" / "all.jsonl.gz").unlink()
    with pytest.raises(InputError, match=r"all.jsonl.gz does not exist; expected a file"):
        outside_items(data)
