"""The tokenizer probe reads what was planted: bytes a letter, words not known, languages not found."""

import gzip
import json

import numpy as np
import pytest

from slimvec.errors import InputError, ModelError
from slimvec.probes.coverage.comparison import TokenizerReport, compare_tokenizers, write_report
from slimvec.probes.coverage.counting import COVERAGE, UNKNOWN, Measured, ParallelSentences
from slimvec.probes.coverage.tokenizer_probe import TokenizerProbe
from slimvec.probes.protocol import ProbeConfig
from tests import tiny
from tests.probes import parallel
from tests.probes.planted import BagOfWords, Mapped, direction

WORDS = parallel.english()


@pytest.fixture
def data(tmp_path):
    return parallel.write_sentences(tmp_path, parallel.three_languages(WORDS))


@pytest.fixture
def source(tmp_path):
    return str(parallel.save_tokenizer(tmp_path / "model"))


def run(data, source, *, model=None, **options):
    return TokenizerProbe().run(model or BagOfWords(), ProbeConfig(data=data, source=source, **options))


def test_bytes_a_letter_are_read_off_exactly(data, source):
    result = run(data, source)
    for name, ratio in (("Latin", 1), ("Cyrillic", 2), ("Tibetan", 3), ("bod_Tibt", 3)):
        measure = result.measure(f"fertility/{name}")
        assert (measure.value, measure.low, measure.high) == pytest.approx((ratio, ratio, ratio))
        assert (measure.baseline, measure.baseline_name, measure.num_items) == (1, "English", len(WORDS))
    assert result.measure("fertility/median language").value == pytest.approx(2.5)
    assert result.measure("characters in 512 tokens/Tibetan").value == pytest.approx(512 / 3)
    assert result.measure("coverage/all languages").value == 1
    assert result.measure("exact round trip/all languages").value == 1
    assert result.measure("pieces of characters/Tibetan").value == 1
    assert result.measure("pieces of characters/Latin").value == 0
    assert result.main.name == "coverage/all languages"
    assert (result.probe, result.skipped) == ("tokenizer", "")


def test_the_answer_calls_out_tibetan(data, source, tmp_path):
    assert (
        "Tibetan (bod_Tibt) is read at 3.00 [3.00, 3.00] times the tokens of English, 100.0% of them pieces of "
        "characters, so that 171 characters fit in 512 tokens"
    ) in run(data, source).answer
    blind = parallel.save_tokenizer(tmp_path / "blind", parallel.words_backend(WORDS))
    answer = run(data, str(blind)).answer
    assert "reads 0 (95% or more" in answer
    assert "Tibetan (bod_Tibt) is not read: 0.0% [0.0%, 0.0%] of its characters come back" in answer


def test_a_language_that_is_known_in_part_is_covered_in_part(tmp_path):
    half = [word if number % 2 else parallel.written(word, "Cyrl") for number, word in enumerate(WORDS)]
    data = parallel.write_sentences(tmp_path, parallel.three_languages(WORDS) | {"xxx_Latn": half})
    backend = parallel.words_backend(WORDS)
    measured = Measured.of("words", backend, ParallelSentences.read(data / "sib200"), seed=0)
    half_read = measured.language(COVERAGE, "xxx_Latn")
    assert half_read.value == pytest.approx(0.5, abs=0.02)
    assert half_read.low < 0.5 < half_read.high
    assert 0.25 < half_read.high - half_read.low < 0.45  # 30 coins: 2 * 1.96 * 0.5 / sqrt(30) = 0.36
    assert measured.language(COVERAGE, "eng_Latn").value == 1
    assert measured.language(UNKNOWN, "bod_Tibt").value == 1


def test_estimates_are_those_of_resampling_sentences_one_by_one(data):
    sentences = ParallelSentences.read(data / "sib200").sample(12, seed=3)
    backend = tiny.tokenizer_backend()
    found = Measured.of("bytes", backend, sentences, seed=5).resampled["fertility"]
    draws = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), size=2_000)
    tibetan, english = (
        np.array([len(backend.encode(text).ids) for text in sentences.texts[code]]) for code in ("bod_Tibt", "eng_Latn")
    )
    place = sentences.languages.index("bod_Tibt")
    for resample in range(0, 2_000, 400):
        chosen = np.repeat(np.arange(12), draws[resample])
        assert found[resample, place] == pytest.approx(tibetan[chosen].sum() / english[chosen].sum())


def planted_bitext(tmp_path, *, num_languages=10):
    """Languages that write ever more letters in Tibetan, and a model that loses ever more of their sentences."""
    words = parallel.english(40)
    languages, vectors = {"eng_Latn": words}, {word: direction(word, 128) for word in words}
    for step in range(num_languages):
        code = f"l{step:02d}_Mixd"
        languages[code] = [parallel.written(word, "Tibt", num_letters=step + 1) + "z" * step for word in words]
        for number, (word, text) in enumerate(zip(words, languages[code], strict=True)):
            lost = (number * 7 + step) % num_languages < step
            vectors[text] = direction(f"lost {text}", 128) if lost else vectors[word]
    return parallel.write_sentences(tmp_path, languages), Mapped(dims=128, function=vectors.__getitem__)


def test_accuracy_and_its_relation_to_fertility_are_those_that_were_planted(tmp_path, source):
    data, model = planted_bitext(tmp_path)
    probe = TokenizerProbe(num_bitext_sentences=40)
    result = probe.run(model, ProbeConfig(data=data, source=source))
    accuracy = result.measure("bitext accuracy/all languages")
    assert accuracy.low <= 1 - 4.5 / 10 <= accuracy.high
    assert accuracy.baseline == pytest.approx(1 / 40)
    assert (accuracy.baseline_name, accuracy.num_items) == ("shared words, BM25", 40)
    relation = result.measure("rank correlation with bitext accuracy/fertility")
    assert relation.value < -0.95
    assert relation.low <= relation.value <= relation.high < 0
    assert (relation.baseline, relation.baseline_name, relation.num_items) == (0.0, "no relation", 10)
    assert "[-1.00, -1.00], 0.00 (no relation)" in result.answer
    assert result.plots[-1].kind == "points"
    assert [len(curve.xs) for curve in result.plots[-1].curves] == [10, 10]


def test_without_a_shared_word_the_floor_is_chance_however_few_are_looked_for(tmp_path, source):
    data, model = planted_bitext(tmp_path)
    result = TokenizerProbe(num_bitext_sentences=10).run(model, ProbeConfig(data=data, source=source))
    measure = result.measure("bitext accuracy/all languages")
    assert measure.num_items == 10
    assert measure.baseline == pytest.approx(1 / 40)


def test_words_that_languages_share_are_the_floor(tmp_path, source):
    shared = [f"{parallel.written(word, 'Cyrl')} {word}" for word in WORDS]
    data = parallel.write_sentences(tmp_path, parallel.three_languages(WORDS) | {"xxx_Cyrl": shared})
    measure = run(data, source).measure("bitext accuracy/all languages")
    by_script = run(data, source).measure("bitext accuracy/Cyrillic")
    chance = 1 / len(WORDS)
    assert measure.baseline == pytest.approx((1 + 2 * chance) / 3)  # of three languages, two are guessed
    assert by_script.baseline == pytest.approx((1 + chance) / 2)


def test_a_model_that_finds_all_has_no_relation_to_give(data, source):
    languages = parallel.three_languages(WORDS)
    table = {text: direction(word, 64) for texts in languages.values() for word, text in zip(WORDS, texts, strict=True)}
    result = run(data, source, model=Mapped(dims=64, function=table.__getitem__))
    assert result.measure("bitext accuracy/all languages").value == 1
    assert not [m for m in result.measures if m.name.startswith("rank correlation")]


def test_without_sentences_characters_are_measured_and_it_is_said(source):
    result = run(None, source, amount="tiny")
    assert result.skipped == "sentences in many languages: --data has no sib200"
    assert result.main.name == "characters that survive/all scripts"
    assert result.main.value == 1
    assert result.answer.startswith("Characters alone, not sentences: 100.0% of the characters of")
    row = next(row for row in result.tables[0].rows if row[0] == "Tibetan")
    assert row == ("Tibetan", "10", "100.0%", "3.00")


def test_a_users_file_is_read_by_script(tmp_path):
    blind = parallel.save_tokenizer(tmp_path / "blind", parallel.words_backend(["red", "cat"]))
    file = tmp_path / "mine.txt"
    file.write_text("red cat\nred dog\nབོད་ཡིག\ncat\n", encoding="utf-8")
    result = run(None, str(blind), text_file=file)
    assert result.main.name == "file: coverage/all texts"
    assert result.main.value == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert result.measure("file: coverage/Tibetan").value == 0
    assert result.measure("file: coverage/Latin").value == pytest.approx(2.5 / 3)
    assert "2 of 4 texts lose more than 5%" in result.answer
    assert result.tables[1].rows[0] == ("3", "Tibetan", "0.0%", "བོད་ཡིག")


def test_a_server_shows_no_tokenizer(data):
    for source in ("", "http://localhost:8000/v1#model"):
        result = run(data, source)
        assert result.skipped == "BagOfWords does not show its tokenizer; name a folder or a hub name"
        assert result.measures == ()
    with pytest.raises(ModelError, match=r"has no tokenizer.json"):
        run(data, str(data))


BAD = {
    "no field": ('{"id": 1, "text": "a"}', "no field 'lang'; expected the fields text, lang, id"),
    "no number": ('{"id": "x", "text": "a", "lang": "eng_Latn"}', "id 'x'; expected a number"),
    "no text": ('{"id": 1, "text": " ", "lang": "eng_Latn"}', "text is empty; expected some text"),
    "twice": (
        '{"id": 1, "text": "a", "lang": "eng_Latn"}\n{"id": 1, "text": "b", "lang": "eng_Latn"}',
        "sentence 1 stands twice in eng_Latn; expected it once",
    ),
    "no english": ('{"id": 1, "text": "a", "lang": "deu_Latn"}', "has no language eng_Latn; expected English"),
    "too few": ('{"id": 1, "text": "a", "lang": "eng_Latn"}', "has 1 sentences in all its 1 languages; expected 4"),
    "english alone": (
        "\n".join(f'{{"id": {n}, "text": "a", "lang": "eng_Latn"}}' for n in range(4)),
        "has English alone; expected other languages, to compare with it",
    ),
    "none": ("", "has no sentences; expected the same ones in several languages"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_sentences_are_named(case, tmp_path, source):
    content, message = BAD[case]
    folder = tmp_path / "data" / "sib200"
    folder.mkdir(parents=True)
    with gzip.open(folder / "test.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(content + "\n" if content else "")
    with pytest.raises(InputError) as caught:
        run(tmp_path / "data", source)
    assert message in str(caught.value)


def test_samples_are_the_same_sentences_in_all_languages(data):
    sentences = ParallelSentences.read(data / "sib200")
    drawn = sentences.sample(9, num_languages=1, seed=4)
    assert drawn.num_sentences == 9
    assert len(drawn.languages) == 2
    assert "eng_Latn" in drawn.languages
    other = next(language for language in drawn.languages if language != "eng_Latn")
    script = other.split("_")[1]
    assert [parallel.written(word, script) for word in drawn.texts["eng_Latn"]] == list(drawn.texts[other])
    assert drawn.texts == sentences.sample(9, num_languages=1, seed=4).texts


def test_tokenizers_are_compared_side_by_side(data, tmp_path):
    backends = {"bytes": tiny.tokenizer_backend(), "words": parallel.words_backend(WORDS)}
    report = compare_tokenizers(backends, ProbeConfig(data=data))
    assert report.reading.measure("fertility/bytes/Tibetan").value == pytest.approx(3)
    assert report.reading.measure("coverage/words/bod_Tibt").value == 0
    assert [card.name for card in report.tokenizers] == ["bytes", "words"]
    coverage = report.reading.tables[0]
    assert coverage.header == ("script", "languages", "bytes", "words")
    assert next(row for row in coverage.rows if row[0] == "Tibetan")[2:] == (
        "100.0% (100.0% to 100.0%)",
        "0.0% (0.0% to 0.0%)",
    )
    fertility = report.reading.tables[1]
    assert next(row for row in fertility.rows if row[0] == "Tibetan")[3].endswith("not read")
    assert [len(curve.xs) for curve in report.reading.plots[0].curves] == [3, 1, 3]  # bytes, words, English
    write_report(tmp_path / "report", report)
    assert TokenizerReport.read(tmp_path / "report" / "report.json") == report
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "<script" not in page
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    for number in (1, 2, 3):
        assert f"plots/tokenizers-{number}.svg" in text
        assert (tmp_path / "report" / "plots" / f"tokenizers-{number}.svg").is_file()
    assert str(tmp_path) not in text + page


def test_tokenizers_are_compared_on_a_file_and_on_characters(tmp_path):
    backends = {"bytes": tiny.tokenizer_backend(), "words": parallel.words_backend(["red"])}
    file = tmp_path / "mine.txt"
    file.write_text("red\ncat\n", encoding="utf-8")
    report = compare_tokenizers(backends, ProbeConfig(text_file=file))
    assert report.reading.measure("file: coverage/words/all texts").value == 0.5
    assert report.reading.tables[0].title == "bytes: The file by script"
    characters = compare_tokenizers(backends, ProbeConfig(amount="tiny")).reading
    assert characters.measure("characters that survive/words/Tibetan").value == 0
    assert next(row for row in characters.tables[0].rows if row[0] == "Tibetan") == (
        "Tibetan",
        "100.0% at 3.00",
        "0.0% at 1.00",
    )


def test_a_report_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read: No such file or directory; expected a report of tokenizers"):
        TokenizerReport.read(tmp_path / "none.json")
    (tmp_path / "other.json").write_text(json.dumps({"seed": 1}))
    with pytest.raises(InputError, match=r"other.json: tokenizers: Field required"):
        TokenizerReport.read(tmp_path / "other.json")
    with pytest.raises(InputError, match=r"no tokenizer; expected one or more to compare"):
        compare_tokenizers({}, ProbeConfig())
