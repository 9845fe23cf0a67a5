"""Training triplets from templates, and that they are not what the probe asks."""

import re
from collections import Counter

import pytest
from pydantic import ValidationError

from slimvec.data.readers import read_records
from slimvec.data.templates import KINDS, Templates
from slimvec.data.triplets import LANGUAGES, make_triplets
from slimvec.data.triplets.making import read_templates
from slimvec.data.writers import record_writer
from slimvec.errors import InputError
from slimvec.probes.order import items
from slimvec.ranking.words import split_tokens

BOTH = [(training, items.read_templates(training.language)) for training in map(read_templates, LANGUAGES)]


def texts_of(templates):
    own = [template for _, template in templates.named().values()]
    return [text for template in own for text in (template.anchor, template.paraphrase, template.negative)]


def words_of(templates):
    listed = [word for words in templates.words.values() for word in words]
    return {form.casefold() for word in listed for form in ([word] if isinstance(word, str) else word.values())}


def test_training_and_probe_share_no_template_and_no_word_of_a_slot_in_any_language():
    def skeletons(side):
        return {re.sub(r"\{[^}]*\}", "_", text).casefold() for pair in BOTH for text in texts_of(pair[side])}

    def words(side):
        return set().union(*(words_of(pair[side]) for pair in BOTH))

    assert not skeletons(0) & skeletons(1)
    assert not words(0) & words(1)


def test_no_triplet_to_train_with_is_an_item_of_the_probe():
    trained = {record.query for record in make_triplets(2000, languages=LANGUAGES)}
    trained |= {text for record in make_triplets(2000, languages=LANGUAGES) for text in record.positives}
    asked = {
        text for language in LANGUAGES for item in items.template_items(language, 40, seed=0) for text in item.texts
    }
    assert not trained & asked


@pytest.mark.parametrize("templates", [templates for pair in BOTH for templates in pair], ids=lambda t: t.language)
def test_negatives_have_the_words_of_the_anchor_but_for_forms_and_denials(templates):
    assert set(templates.templates) == set(KINDS)
    for name, (kind, _) in templates.named().items():
        (item,) = templates.draw(name, 1, seed=3)
        anchor, negative = (Counter(split_tokens(text)) for text in (item.anchor, item.negative))
        assert len({item.anchor, item.paraphrase, item.negative}) == 3
        assert item.anchor[0].isupper() or item.anchor[0].isdigit()
        if kind in ("role swap", "direction", "comparison", "number swap"):
            assert anchor == negative, name
        else:  # another form of a verb, or a word that denies
            assert (anchor - negative).total() + (negative - anchor).total() <= 9, name


def test_fillings_are_drawn_by_the_seed_each_once_with_different_words():
    templates = items.read_templates("en")
    name = "en/role swap/2"
    drawn = templates.draw(name, 50, seed=1)
    assert drawn == templates.draw(name, 50, seed=1)
    assert drawn != templates.draw(name, 50, seed=2)
    assert len({item.anchor for item in drawn}) == 50
    animals = templates.draw("en/role swap/5", 1000, seed=1)
    assert len(animals) == len({item.anchor for item in animals}) == 8 * 7
    assert all(item.anchor != item.negative for item in animals)


def test_records_are_shared_out_over_languages_and_kinds_and_do_not_repeat():
    records = make_triplets(560, seed=5, languages=("en", "de"))
    assert records == make_triplets(560, seed=5, languages=("en", "de"))
    assert len(records) == 560
    assert Counter(record.language for record in records) == {"en": 280, "de": 280}
    assert len({frozenset((record.query, record.positives[0])) for record in records}) == 560
    anchors = {
        item.anchor for name in read_templates("en").named() for item in read_templates("en").draw(name, 20, seed=5)
    }
    turned = [record for record in records if record.language == "en" and record.positives[0] in anchors]
    assert 100 < len(turned) < 180  # the paraphrase asks in half of them


def test_eleven_thousand_are_to_be_had_and_read_back(tmp_path):
    records = make_triplets(11_000)
    with record_writer(tmp_path / "order.jsonl.gz") as write:
        for record in records[:50]:
            write(record)
    assert list(read_records(tmp_path / "order.jsonl.gz")) == records[:50]
    assert all(len(record.contrasts) == 1 and not record.negatives for record in records)
    assert len(records) == 11_000


def test_what_cannot_be_made_is_refused_in_one_line():
    with pytest.raises(InputError, match="no templates in 'xx'; expected one of en, de, fr, es"):
        make_triplets(3, languages=("xx",))
    with pytest.raises(
        InputError, match=r"10,000,000 triplets of 1 kinds and languages; expected at most [\d,]+, which"
    ):
        make_triplets(10_000_000, kinds=("negation",))


def test_a_small_kind_gives_all_it_has_and_others_fill_up():
    templates = read_templates("en")
    room = sum(templates.num_fillings(t) for kind, t in templates.named().values() if kind == "negation")
    records = make_triplets(room + 2000, kinds=("negation", "cause"))
    assert len(records) == room + 2000


GOOD = {
    "language": "en",
    "words": {"name": ["Ann", "Bob"], "verb": [{"past": "saw", "ing": "seeing"}]},
    "templates": {
        "role swap": [
            {
                "slots": {"a": "name", "b": "name", "v": "verb"},
                "anchor": "{a} {v[past]} {b}.",
                "paraphrase": "{b} was there for {v[ing]} by {a}.",
                "negative": "{b} {v[past]} {a}.",
            }
        ]
    },
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slots": {"a": "name", "b": "nobody", "v": "verb"}}, "no list of words 'nobody'"),
        ({"slots": {"a": "name", "b": "name", "c": "name", "v": "verb"}}, "too few words"),
        ({"slots": {"a": "name", "b": "name", "v": "verb", "w": "verb"}}, "too few words"),
        ({"anchor": "{a} {v[past]} him."}, "has no place for b"),
        ({"anchor": "{a} {v[passed]} {b}."}, "cannot be filled with"),
        ({"anchor": "{a} {v} {b}."}, "takes a word that has forms as a whole"),
        ({"negative": "{a} {v[past]} {b}."}, "is its own paraphrase or negative"),
        ({"paraphrase": "{x} was seen."}, "cannot be filled with"),
    ],
)
def test_templates_that_cannot_be_filled_are_refused(change, message):
    (template,) = GOOD["templates"]["role swap"]
    assert Templates.model_validate(GOOD).draw("en/role swap/1", 9, seed=0)[0].language == "en"
    with pytest.raises(ValidationError, match=re.escape(message)):
        Templates.model_validate({**GOOD, "templates": {"role swap": [template | change]}})
