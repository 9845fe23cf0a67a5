import json

import pytest

from slimvec.data.card import DataCard
from slimvec.data.records import record_row
from slimvec.model.folder import save_model
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.sources import read_sources
from slimvec.training.recipe import Source
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.data_card import describe_data, keep_stage_card, write_run_card
from slimvec.training.run.training_run import train
from tests import tiny
from tests.training import support


@pytest.fixture
def folder(tmp_path):
    for name, rows in (("first", ["a", "b", "B "]), ("second", ["b", "c"])):
        (tmp_path / name).mkdir()
        lines = [json.dumps({"query": f"query {row}", "positive": f"answer {row}", "lang": "en"}) for row in rows]
        (tmp_path / name / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "first" / "README.md").write_text("- **Licence:** CC0 1.0\n", encoding="utf-8")
    return tmp_path


def describe(*sources):
    return describe_data(sources, *read_sources(sources, seed=0), Tokenizer(tiny.tokenizer_backend(), max_tokens=64))


def test_the_card_of_a_run_describes_the_records_used(folder):
    first = Source(path=folder / "first" / "train.jsonl", weight=2)
    second = Source(
        path=folder / "second" / "train.jsonl", license="MIT", limit=1, cleaning={"min_query_chars": 7}
    )  # fmt: skip
    card = describe(first, second)
    one, other = card.sources
    assert (one.name, one.num_read, one.num_used, one.weight, one.dropped) == ("first", 3, 3, 2, None)
    assert (one.license.text, one.license.stated_by) == ("CC0 1.0", "README.md")
    assert one.num_repeated == 1  # "B " is b
    assert one.query_tokens.num_texts == 3
    assert (other.num_read, other.num_used, other.dropped) == (2, 1, {})
    assert (other.license.text, other.license.stated_by) == ("MIT", "the recipe")


def test_the_cards_of_stages_are_joined(folder):
    cards = [describe(Source(path=folder / name / "train.jsonl")) for name in ("first", "second")]
    for number, card in enumerate(cards, start=1):
        keep_stage_card(card, folder / "run", number)
    write_run_card(folder / "run", 2, folder)
    joined = DataCard.model_validate_json((folder / "data_card.json").read_bytes())
    assert joined.sources == (*cards[0].sources, *cards[1].sources)
    assert "# Data card" in (folder / "data_card.md").read_text(encoding="utf-8")


def test_a_run_writes_the_card_of_its_data(folder):
    save_model(tiny.embedding_model(), folder / "base")
    data = folder / "pairs.jsonl"
    data.write_text("".join(json.dumps(record_row(record)) + "\n" for record in support.records()), encoding="utf-8")
    overrides = [f"base.source={folder / 'base'}", f"data.0.path={data}", "run.steps=1"]
    settings = parse_recipe(support.RECIPE, overrides=overrides)
    train(settings, folder / "out")
    card = DataCard.model_validate_json((folder / "out" / "data_card.json").read_bytes())
    assert card == describe(settings.data[0])
    assert (folder / "out" / "data_card.md").is_file()
