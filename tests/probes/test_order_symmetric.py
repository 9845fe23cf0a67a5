"""Exchanges that mean the same beside those that do not: what pushing every exchange away does not pass."""

from collections import Counter
from dataclasses import dataclass

import pytest

from slimvec.probes.order.items import LANGUAGES
from slimvec.probes.order.order_probe import OrderProbe
from slimvec.probes.order.outside import read_lists, symmetric_pairs
from slimvec.probes.protocol import ProbeConfig
from tests.probes.planted import BagOfWords, Planted, direction, unit

PROBE = OrderProbe(languages=("en", "de"))
TINY = ProbeConfig(amount="tiny")


@dataclass(frozen=True, kw_only=True)
class EveryExchange(Planted):
    """Words and, as much, the whole order of them: it pushes every exchange away, whatever it means."""

    def vector(self, words, text):
        return unit(self.bag(words)) + unit(direction(text, self.dims))


@dataclass(frozen=True, kw_only=True)
class Knowing(Planted):
    """The meaning: who did what to whom, and with symmetric verbs who did it together."""

    def vector(self, words, text):
        symmetric = {verb for verbs in read_lists().verbs.values() for verb in verbs.symmetric}
        names = (words[0], words[-1]) if words else ("", "")
        verb = " ".join(text.rstrip(".").split()[1:-1])
        own = ",".join(sorted(names) if verb in symmetric else names)
        return unit(self.bag(words)) + unit(direction(f"{verb}/{own}", self.dims))


def measure(model):
    return PROBE.run(model, TINY)


def test_lists_are_of_one_size_and_share_nothing():
    lists = read_lists()
    assert set(lists.verbs) == set(LANGUAGES)
    for verbs in lists.verbs.values():
        assert len(verbs.symmetric) == len(verbs.directed) == 12
        assert len({*verbs.symmetric, *verbs.directed}) == 24
    assert not [name for name in lists.names if name[0] in "AEIOUHY"]


def test_pairs_are_the_same_words_exchanged():
    pairs = symmetric_pairs(LANGUAGES, 3, seed=0)
    assert Counter((pair.language, pair.same) for pair in pairs) == {
        (c, s): 36 for c in LANGUAGES for s in (True, False)
    }
    for pair in pairs:
        assert Counter(pair.first.rstrip(".").split()) == Counter(pair.second.rstrip(".").split())
        assert pair.first != pair.second
        assert pair.cluster in pair.first
    assert pairs == symmetric_pairs(LANGUAGES, 3, seed=0)
    assert pairs != symmetric_pairs(LANGUAGES, 3, seed=1)


@pytest.mark.parametrize("model", [BagOfWords(), EveryExchange()])
def test_what_treats_all_exchanges_alike_has_one_half(model):
    found = measure(model).measure("auc/symmetric")
    assert found.baseline == 0.5
    assert found.low <= 0.5 <= found.high
    assert found.value == pytest.approx(0.5, abs=0.12)


def test_the_answer_says_so():
    answer = measure(EveryExchange()).answer
    assert "Names exchanged around a symmetric verb and around another differ with an AUC of 0." in answer
    assert "not distinguishable from a bag of words (0.50)" in answer


def test_a_model_that_knows_the_verbs_passes():
    found = measure(Knowing())
    assert found.measure("auc/symmetric").value > 0.95
    assert found.measure("auc/symmetric/en").low > 0.9
    assert found.measure("auc/symmetric").high <= 1
    assert any(row[0] == "symmetric" for table in found.tables for row in table.rows)
