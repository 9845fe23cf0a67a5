"""Probes of a study: run on every variant, kept with its result, and laid out beside the scores."""

from types import SimpleNamespace
from unittest.mock import ANY

import numpy as np
import pytest

from slimvec.comparison.layout import markdown, report_blocks
from slimvec.comparison.plan import Material, plan_runs
from slimvec.comparison.probed import probed_measures
from slimvec.comparison.runs import run_study
from slimvec.comparison.study_report import make_report
from slimvec.errors import InputError
from slimvec.probes.results import Metric, ProbeResult
from slimvec.reports.blocks import Picture
from tests import tiny

PROBES = {"names": ["order"], "amount": "tiny"}
VARIANTS = {"base": {}, "raw": {"trained": False}}


@pytest.fixture
def probed(monkeypatch):
    """Puts a probe in the register that reads the mean of a vector, and counts what it is asked."""
    seen = []

    class Planted:
        name, question = "order", "?"

        def run(self, model, config):
            prompt = model.prompt(_usage())
            found = model.embed(["one text", "another"], role=prompt.role, task=prompt.task)
            assert model.card.max_tokens == tiny.embedding_model().spec.max_tokens
            seen.append((found.vectors.shape, config.data, config.amount, config.seed))
            value = float(found.vectors[0] @ found.vectors[1])
            low, high = value - 0.1, value + 0.2
            measure = Metric(
                name="likeness", value=value, low=low, high=high, unit="cosine", num_items=2, baseline=0.0,
                baseline_name="chance",
            )  # fmt: skip
            return ProbeResult(probe="order", question="?", definition="", measures=(measure,))

    monkeypatch.setattr("slimvec.comparison.probing.choose_probes", lambda _: [Planted()])
    return seen


def _usage():
    from slimvec.evaluation.models import Usage

    return Usage("p", "STS", None)


def test_every_variant_is_probed_once(study, data, tmp_path, quiet, probed):
    asked = study(variants=VARIANTS, probes=PROBES, sweep={"pooling": ["last", {"mode": "beta", "beta": 1}]})
    results = list(run_study(Material.read(asked, data), tmp_path / "out", watcher=quiet))
    assert [(r.variant, len(r.readings)) for r in results if "@" not in r.variant] == [("base", 1), ("raw", 1)]
    assert all(r.readings == () for r in results if "@" in r.variant)
    assert [entry[1:] for entry in probed] == [(data, "tiny", 0)] * 2
    again = list(run_study(Material.read(asked, data), tmp_path / "out", watcher=quiet))
    assert again == results
    assert len(probed) == 2


def test_the_report_shows_measures_beside_scores(study, data, tmp_path, quiet, probed):  # noqa: ARG001
    asked = study(variants=VARIANTS, probes=PROBES, seeds=[0, 1])
    results = list(run_study(Material.read(asked, data), tmp_path / "out", watcher=quiet))
    report = make_report(asked, results)
    (found,) = report.probed
    assert found.name == "order:likeness"
    base, raw = found.values["base"], found.values["raw"]
    assert base.against is None
    assert base.difference is None
    assert len(base.by_seed) == 2
    assert base.measure.value == pytest.approx(sum(base.by_seed) / 2)
    assert raw.against == "base"
    assert raw.difference.value == pytest.approx(raw.measure.value - base.measure.value)
    assert raw.difference.low == pytest.approx(raw.difference.value - (0.1**2 + 0.2**2) ** 0.5)
    text = markdown(report)
    assert f"| base | {report.rows[0].mean:.3f} | {base.measure.value:.3f} [" in text
    assert Picture("order:likeness against ndcg_at_10", ANY, "order-likeness") in report_blocks(report)


def test_probes_are_compared_on_the_seeds_that_both_have(study, data, tmp_path, quiet, probed):  # noqa: ARG001
    asked = study(variants={"base": {}, "hot": {"set": ["loss.temperature=0.5"]}}, probes=PROBES, seeds=[0, 1])
    results = list(run_study(Material.read(asked, data), tmp_path / "out", watcher=quiet))
    uneven = [r for r in results if (r.variant, r.seed) != ("hot", 1)]
    whole, part = (make_report(asked, found).probed[0].values["hot"] for found in (results, uneven))
    likeness = {(r.variant, r.seed): r.readings[0].measures[0].value for r in results}
    assert part.difference.value == pytest.approx(likeness["hot", 0] - likeness["base", 0])
    assert whole.difference.value == pytest.approx(
        (likeness["hot", 0] + likeness["hot", 1] - likeness["base", 0] - likeness["base", 1]) / 2
    )
    assert (part.by_seed, len(whole.by_seed)) == ((likeness["hot", 0],), 2)
    assert "| by seed |" in markdown(make_report(asked, uneven))
    assert (part.finding, whole.finding) == ("no verdict", "no verdict")


@pytest.mark.parametrize(
    ("others", "finding"),
    [
        ((0.9, 0.9, 0.9), "higher"),
        ((0.9, 0.9, 0.3), "not distinguishable"),  # items alone, +-.14, would have called it
        ((0.1, 0.12, 0.11), "lower"),
        ((0.9, 0.9), "no verdict"),
    ],
)
def test_a_measure_of_trained_variants_is_judged_over_trainings(study, others, finding):
    asked = study(variants={"base": {}, "hot": {"set": ["loss.temperature=0.5"]}}, probes=PROBES, seeds=[0, 1, 2])
    rows = {"base": (0.5,) * len(others), "hot": others}
    results = [
        SimpleNamespace(variant=name, seed=seed, readings=(_reading(value),))
        for name, values in rows.items()
        for seed, value in enumerate(values)
    ]
    found = probed_measures(asked, results)[0].values["hot"]
    assert found.finding == finding
    assert found.difference.value == pytest.approx(sum(others) / len(others) - 0.5)
    if len(others) == 3:
        luck = 4.3026527 * np.std(others, ddof=1) / 3**0.5
        assert found.difference.low == pytest.approx(found.difference.value - (0.1**2 + 0.1**2 + luck**2) ** 0.5)


def _reading(value):
    ends = {"low": value - 0.1, "high": value + 0.1}
    measure = Metric(name="likeness", value=value, **ends, unit="cosine", num_items=9)
    return ProbeResult(probe="order", question="?", definition="", measures=(measure,))


def test_a_measure_nobody_reads_is_an_error(study, data, tmp_path, quiet, probed):  # noqa: ARG001
    asked = study(variants=VARIANTS, probes=PROBES | {"measures": ["order:accuracy"]})
    results = list(run_study(Material.read(asked, data), tmp_path / "out", watcher=quiet))
    with pytest.raises(
        InputError, match="no probe of the study reads 'order:accuracy'; expected one of order:likeness"
    ):
        make_report(asked, results)


def test_probes_are_part_of_the_key(study, data):
    def keys(**changes):
        asked = study(variants=VARIANTS, **changes)
        material = Material.read(asked, data)
        return [run.result_key(material) for run in plan_runs(asked)]

    assert keys(probes=PROBES) != keys()
    assert keys(probes=PROBES) == keys(probes=PROBES | {"measures": ["order:accuracy"]})
    assert keys(probes=PROBES) != keys(probes=PROBES | {"amount": "full"})
    seen, without = [keys(probes=PROBES)], keys()
    for folder, text in (("xquad", "of another probe"), ("sick", "one"), ("sick", "other"), ("pawsx/more", "new")):
        (data / folder).mkdir(parents=True, exist_ok=True)
        (data / folder / "pairs.tsv").write_text(text)
        seen.append(keys(probes=PROBES))
    assert seen[0] == seen[1]
    assert len({tuple(found) for found in seen}) == 4
    assert keys() == without


def test_unknown_probes_are_refused(study):
    with pytest.raises(InputError, match="no probe 'taste'; there are "):
        study(probes={"names": ["taste"]})
