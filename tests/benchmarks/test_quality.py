"""The table of a quickstart's scores."""

from benchmarks.quality import QualityResult, render
from tests.claims import ROOT


def test_a_score_stands_with_its_interval():
    stored = (ROOT / "benchmarks" / "results" / "quickstart-quality.json").read_bytes()
    head, rule, raw, *others = render(QualityResult.model_validate_json(stored)).splitlines()
    assert head == "| 500 documents | ndcg_at_10 | recall_at_1 | recall_at_10 |"
    assert rule.count("---:") == 3
    assert raw == "| raw | 0.170 [0.145, 0.197] | 0.072 [0.050, 0.096] | 0.292 [0.252, 0.332] |"
    assert len(others) == 4
