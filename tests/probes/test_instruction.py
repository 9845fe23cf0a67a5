"""The instruction probe reads what was planted: a model that hears its instruction, and one that does not."""

import json
import math
from collections import Counter
from dataclasses import replace

import pytest

from slimvec.errors import InputError
from slimvec.evaluation.models import Prompt
from slimvec.probes.instruction.instruction_probe import (
    WORDINGS,
    InstructionProbe,
    Share,
    gather_sets,
    instructed,
    no_prompt,
    own_prompt,
)
from slimvec.probes.protocol import ProbeConfig
from slimvec.text.prompts import Prompts, Task
from tests.probes.planted import INSTRUCTED, BagOfWords, Random, ignores_prompt, reads_prompt, words_of
from tests.probes.support import slimvec_model

SMALL = ProbeConfig(amount="quick", seed=2)
PROBE = InstructionProbe(num_made=160)
KINDS = ("missing", "paraphrased", "wrong", "another language")


def test_a_model_that_leaves_its_instruction_out_is_moved_by_none():
    result = PROBE.run(ignores_prompt(), SMALL)
    for kind in KINDS:
        change, cosine = result.measure(f"change/{kind}"), result.measure(f"cosine/{kind}")
        assert (change.value, change.low, change.high) == (0, 0, 0)
        assert cosine.value == pytest.approx(1, abs=1e-6)
    assert "(none of this is distinguishable from 0)" in result.answer
    assert result.skipped == ""
    assert result.measure("ndcg/right").value > 0.5  # the words of a question are those of its answer


def test_a_model_that_pools_its_instruction_is_moved_as_far_as_its_words_differ():
    result = PROBE.run(reads_prompt(), SMALL)
    cosines = {kind: result.measure(f"cosine/{kind}") for kind in KINDS}
    assert all(cosine.high < 0.97 for cosine in cosines.values())
    assert cosines["paraphrased"].low > cosines["another language"].high  # it shares words with the right one
    assert cosines["missing"].baseline == pytest.approx(cosines["wrong"].baseline)
    missing = result.measure("change/missing")
    assert missing.value == pytest.approx(result.measure("ndcg/right").value * -1 + self_score(), abs=1e-9)


def likeness(first, second):
    """Cosine of two texts whose words have orthogonal vectors."""
    one, two = Counter(words_of(first)), Counter(words_of(second))
    return sum(one[word] * two[word] for word in one) / math.sqrt(sum_of_squares(one) * sum_of_squares(two))


def sum_of_squares(counts):
    return sum(count * count for count in counts.values())


def test_the_intervals_of_cosines_cover_what_the_words_say():
    model = replace(reads_prompt(), dims=4096)
    queries = [query.text for query in gather_sets(SMALL, (), 160)[0].queries]
    result, own = PROBE.run(model, SMALL), own_prompt(model).text
    for kind, texts in {"missing": ("",), **WORDINGS}.items():
        fronts = [instructed(model, text).text if text else "" for text in texts]
        cosines = [likeness(front + query, own + query) for front in fronts for query in queries]
        measure, expected = result.measure(f"cosine/{kind}"), sum(cosines) / len(cosines)
        assert measure.low - 0.01 < expected < measure.high + 0.01  # the words' vectors are orthogonal to 1 / 64
        assert measure.value == pytest.approx(expected, abs=0.02)


def self_score():
    """nDCG@10 of the same queries with nothing in front, which the model that leaves prompts out has."""
    return PROBE.run(ignores_prompt(), SMALL).measure("ndcg/right").value


def test_a_random_model_with_a_prompt_it_reads_loses_nothing_it_has():
    result = PROBE.run(Random(template=INSTRUCTED, reads_prompt=True), SMALL)
    for kind in KINDS:
        change = result.measure(f"change/{kind}")
        assert change.low <= 0 <= change.high
        assert abs(result.measure(f"cosine/{kind}").value) < 0.1


def test_a_model_without_a_prompt_is_passed_over():
    result = PROBE.run(BagOfWords(), SMALL)
    assert result.skipped == "the model writes nothing in front of queries; give it a prompt with --query-prompt"


class FixedPrompt(BagOfWords):
    """A model whose prompt is written out, as sentence-transformers and servers have it."""

    def prompt(self, usage):
        text = self.template if usage.role == "query" else ""
        return Prompt(text, usage.role, text)


def test_an_instruction_written_out_is_replaced_and_a_plain_prefix_only_left_out():
    model = FixedPrompt(template="Instruct: Find it well\nQuery: ", reads_prompt=True)
    assert instructed(model, "Sort these").text == "Instruct: Sort these\nQuery: "
    assert no_prompt(model) == Prompt("", "query", "")
    assert [effect.name for effect in PROBE.run(model, SMALL).measures[:4]] == [f"change/{kind}" for kind in KINDS]
    plain = FixedPrompt(template="query: ", reads_prompt=True)
    assert instructed(plain, "Sort these") is None
    result = PROBE.run(plain, SMALL)
    assert [m.name for m in result.measures] == ["change/missing", "cosine/missing", "ndcg/right"]
    assert result.skipped == "paraphrased, wrong, another language: the model's prompt has no place for it"


def test_models_of_slimvec_are_told_by_their_templates():
    model = slimvec_model()
    assert own_prompt(model).text.startswith("Instruct: ")
    told = Prompt("Instruct: Sort these now\nQuery:\n", "query", "Sort these now")
    assert instructed(model, "Sort these now") == told
    assert no_prompt(model) == Prompt("", "document")
    both = slimvec_model(prompts=Prompts(query="q: ", document="d: "))
    assert no_prompt(both) is None
    assert instructed(both, "Sort these now") is None
    assert PROBE.run(both, SMALL).skipped == "the model's prompt can neither be changed nor be left out"
    tasks = {"retrieval": Task(instruction="find it"), "sts": Task(instruction="same", symmetric=True)}
    symmetric = slimvec_model(prompts=Prompts(query="{task}: ", document="d: ", tasks=tasks))
    assert no_prompt(symmetric) == Prompt("", "query", "sts")
    bare, same = symmetric.embed(["a text"], role="query", task="sts"), slimvec_model(prompts=Prompts())
    assert (bare.vectors == same.embed(["a text"], role="query").vectors).all()


def test_a_tiny_model_is_probed_from_end_to_end():
    told = []
    result = InstructionProbe(num_made=10).run(slimvec_model(), ProbeConfig(seed=1, on_progress=told.append))
    assert len(result.measures) == 9
    assert len(result.plots) == 2
    assert len(result.tables[0].rows) == 8
    assert sum(told) == 10 * 9  # documents, and the queries behind eight prompts


def write_set(folder, languages):
    folder.mkdir(parents=True)
    rows = {"corpus": [], "queries": [], "qrels": []}
    for language in languages:
        for n in range(30):
            name = f"{language}-{n}"
            rows["corpus"].append({"id": name, "title": "", "text": f"topic number{n} {language}", "lang": language})
            rows["queries"].append({"id": name, "text": f"number{n}", "lang": language})
            rows["qrels"].append({"query_id": name, "doc_id": name, "score": 1})
    for stem, found in rows.items():
        (folder / f"{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))


def test_outside_sets_are_taken_in_their_share_and_in_english(tmp_path):
    write_set(tmp_path / "xquad", ("de", "en"))
    write_set(tmp_path / "cranfield", ("en",))
    sets = gather_sets(ProbeConfig(data=tmp_path), (Share("cranfield", 10, 20), Share("xquad", 12, 12)), 99)
    assert [(s.name, len(s.queries), len(s.documents)) for s in sets] == [("cranfield", 10, 20), ("xquad/en", 12, 12)]
    result = PROBE.run(reads_prompt(), ProbeConfig(data=tmp_path))
    assert result.details["sets"].startswith("cranfield (30 queries, 30 documents), xquad/en")
    assert result.measures[0].num_items == 60


def test_a_malformed_set_is_an_error(tmp_path):
    write_set(tmp_path / "xquad", ("en",))
    (tmp_path / "xquad" / "qrels.jsonl").write_text('{"query_id": "en-0"}\n')
    with pytest.raises(InputError, match=r"xquad/qrels.jsonl:1: no doc_id"):
        PROBE.run(reads_prompt(), ProbeConfig(data=tmp_path))
