"""Tables and charts of models' scores, and the peer that is unpacked from 4-bit weights."""

import numpy as np
import pytest

from benchmarks.e5_small import make_tokenizer, renamed, unpacked
from benchmarks.machine import this_machine
from benchmarks.models import ModelScores, SuiteScores, WidthScores, difference, mean_of_tasks
from benchmarks.models_probes import ProbeReadings, Reading
from benchmarks.models_report import chart, published_table, read_results, tables_of
from benchmarks.models_speed import ModelSpeed, SpeedResult
from benchmarks.results import Spread
from slimvec.errors import InputError
from slimvec.evaluation.models import ModelCard
from slimvec.evaluation.results import Score
from slimvec.probes.results import Metric
from slimvec.reports.blocks import to_markdown
from slimvec.reports.drawing import draw
from tests.evaluation.local_sets import write_rows


def scores_of(name, values, *, narrow=None):
    tasks = {task: Score(value=sum(own) / len(own), low=None, high=None) for task, own in values.items()}
    mean = mean_of_tasks({task: np.array(own) for task, own in values.items()})
    full = WidthScores(dims=32, mean=mean, kinds={"STS": mean}, tasks=tasks)
    widths = [full]
    if narrow is not None:
        beside = difference({"a": np.array(narrow)}, values)
        widths.append(WidthScores(dims=8, mean=mean, kinds={"STS": mean}, tasks=tasks, beside_full=beside))
    card = ModelCard(name=name, identity=None)
    return ModelScores(
        card=card, widths=widths, values=values, subsets={"a": {"de": 0.5}}, num_tokens=9, truncated={}, seconds=1
    )


@pytest.fixture
def results(tmp_path):
    """Files of all three kinds."""
    ours, other = {"a": (1.0, 0.5), "b": (0.25, 0.25)}, {"a": (0.5, 0.0), "b": (0.25, 0.25)}
    suite = SuiteScores(
        suite="s",
        about="",
        sizes={"a": "2 queries", "b": "2 pairs"},
        hashes={},
        versions={},
        models={
            "bm25": scores_of("bm25", {"a": (0.5, 0.5)}),
            "slimvec-x": scores_of("x", ours, narrow=(0.5, 0.5)),
            "peer": scores_of("peer", other),
        },
    )
    one = Spread(median=5.0, low=4.0, high=6.0)
    cost = ModelSpeed(engine="e", dtype="float32", documents_per_second=one, tokens_per_second=one, query_ms=one)
    speed = SpeedResult(
        machine=this_machine(), threads=1, num_documents=3, num_queries=2, rounds=1, models={"slimvec-x": cost}
    )
    main = Metric(
        name="accuracy", value=0.75, low=0.5, high=1.0, unit="share", baseline=0.5, baseline_name="chance", num_items=9
    )
    probes = ProbeReadings(amount="tiny", models={"peer": {"order": Reading(main=main, answer="")}})
    paths = [tmp_path / name for name in ("suite.json", "speed.json", "probes.json")]
    for path, found in zip(paths, (suite, speed, probes), strict=True):
        found.write(path)
    return paths


def test_tables_show_means_differences_tasks_subsets_and_probes(results):
    texts = [to_markdown([table]) for table in tables_of(*read_results(results), None)]
    means, differences, tasks, subsets, probes = texts
    assert "| bm25 | 32 |  |  | 0.500 |  |  |  |" in means  # one task of two: no mean over the suite
    assert "| slimvec-x | 32 | 0.500 [0.375, 0.625] |  | 0.500 | 5.0 | 5 | 5.0 |" in means
    assert "| slimvec-x | 8 | 0.500 [0.375, 0.625] | -0.250 [-0.500, +0.000] |" in means
    assert "| peer | +0.250 [+0.250, +0.250] |" in differences
    assert "| bm25 | +0.250 [+0.000, +0.500] |" in differences
    assert "| slimvec-x |  |" in differences
    assert "| b (2 pairs) |  | 0.250 | 0.250 |" in tasks
    assert "| a, de | 0.500 | 0.500 | 0.500 |" in subsets
    assert "| peer | 0.750 [0.500, 1.000] (chance 0.500) |" in probes


def test_a_chart_names_the_models_whose_speed_is_known(results):
    scores, speed, _ = read_results(results)
    plot = chart(scores[0], speed)
    (curve,) = plot.curves
    assert curve.label == "slimvec-x, 32, 8"
    assert (curve.xs, curve.ys) == ((5.0, 5.0), (0.5, 0.5))
    assert (curve.lows[0], curve.highs[0]) == (0.375, 0.625)
    assert "slimvec-x" in draw(plot)
    assert chart(scores[0], speed.model_copy(update={"models": {}})) is None


def test_other_files_are_refused(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match="holds no scores, speeds or readings"):
        read_results([tmp_path / "other.json"])


def test_published_scores_are_means_of_what_was_published(tmp_path):
    splits = (0.75, "validation"), (0.85, "validation"), (0.2, "test")
    rows = [{"model": "BAAI/bge-m3", "task": "JSTS", "main_score": value, "split": split} for value, split in splits]
    write_rows(tmp_path / "scores.jsonl", rows)
    table = published_table(tmp_path / "scores.jsonl")
    assert table.rows[0] == ("BAAI/bge-m3", "", "", "", "80.0", "")


def test_4_bit_weights_are_put_back():
    block = np.zeros(1, dtype=[("scale", "<f2"), ("nibbles", "u1", 16)])
    block["scale"], block["nibbles"][0, :2] = 0.5, (0x1F, 0x80)
    found = unpacked(block)
    assert found.shape == (32,)
    assert found[[0, 1, 16, 17, 2]].tolist() == [3.5, -4.0, -3.5, 0.0, -4.0]


def test_the_peer_s_tokenizer_cuts_words_as_xlm_r_does():
    pieces = [(name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer = make_tokenizer([*pieces, ("▁", -1.0), ("▁a", -1.0), ("▁b", -1.0), ("c", -1.0)])
    assert tokenizer.encode("a\u200b \uff42c\x01 \n").tokens == ["<s>", "▁a", "▁b", "c", "</s>"]
    assert tokenizer.encode("ཀཁ").ids == [0, 4, 3, 2]  # unknown characters in a row are one token


def test_tensors_are_named_as_in_transformers():
    assert renamed("emb.word") == "embeddings.word_embeddings.weight"
    assert renamed("emb.ln.b") == "embeddings.LayerNorm.bias"
    assert renamed("l11.ao.w") == "encoder.layer.11.attention.output.dense.weight"
