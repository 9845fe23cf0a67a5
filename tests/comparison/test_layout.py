"""What a report says of how much was run, and the files it is in."""

from slimvec.comparison.layout import markdown, write_report
from slimvec.comparison.study_report import make_report
from tests.comparison.support import result


def test_seeds_are_those_of_trainings(study):
    asked = study(seeds=[0, 1, 2])
    values = [0.2, 0.5, 0.4, 0.9]
    untrained = [result("raw", seed, values) for seed in (0, 1, 2)]  # the same model, whatever the seed
    text = markdown(make_report(asked, [result("base", 0, values), *untrained]))
    assert "2 variants, seeds 0; ndcg_at_10" in text
    assert "- 1 training(s) of a variant: another seed moves a score" in text
    assert "2 runs are still missing" in text
    again = [result("base", seed, values) for seed in (0, 1, 2)]
    whole = markdown(make_report(asked, [*again, *untrained]))
    assert "2 variants, seeds 0, 1, 2; ndcg_at_10" in whole
    assert "training(s) of a variant" not in whole


def test_pictures_of_an_earlier_report_go(study, tmp_path):
    values = [0.2, 0.5, 0.4, 0.9]
    report = make_report(study(), [result(name, 0, values) for name in ("base", "raw")])
    out = tmp_path / "out"
    (out / "plots").mkdir(parents=True)
    (out / "plots/poolings.svg").write_text("of a sweep")
    (out / "runs").mkdir()
    write_report(out, report)
    assert sorted(p.name for p in out.iterdir()) == ["plots", "report.html", "report.json", "report.md", "runs"]
    assert [p.name for p in (out / "plots").iterdir()] == ["differences.svg"]
    write_report(out, report.model_copy(update={"rows": report.rows[:1]}))
    assert not any((out / "plots").iterdir())


def test_uneven_seeds_are_said_and_differences_are_of_shared_ones(study):
    asked = study(seeds=[0, 1], variants={"base": {}, "other": {}, "raw": {"trained": False}})
    values = {"base": ([0.2, 0.5, 0.4, 0.9], [0.9, 0.9, 0.8, 0.9]), "other": ([0.3, 0.6, 0.5, 0.9],)}
    results = [result(name, seed, found) for name, seeds in values.items() for seed, found in enumerate(seeds)]
    results += [result("raw", seed, values["base"][0]) for seed in (0, 1)]
    text = markdown(make_report(asked, results))
    assert "| base | 0.688 |  |  | reference |  |  | 0: 0.500, 1: 0.875 |" in text
    assert "| other | 0.575 | +0.075 (too few queries, 4) |" in text
    assert "4 queries give no interval, and so no verdict; 10 are the least." in text
    assert "| 0: 0.575 |" in text
    assert "Seeds differ between variants: a mean is over a variant's own, a difference over those of both." in text
    even = markdown(make_report(asked, [r for r in results if r.seed == 0]))
    assert "by seed" not in even
    assert "Seeds differ" not in even
