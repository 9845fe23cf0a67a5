"""The table of a quickstart's scores."""

from benchmarks.quality import QualityResult, render
from tests.claims import ROOT


def test_a_score_stands_with_its_interval():
    stored = (ROOT / "benchmarks" / "results" / "quickstart-quality.json").read_bytes()
    result = QualityResult.model_validate_json(stored)
    head, rule, raw, *others = render(result).splitlines()
    assert head == "| 500 documents | ndcg_at_10 | recall_at_1 | recall_at_10 |"
    assert rule.count("---:") == 3
    scores = [result.rows[0].metrics[name] for name in ("ndcg_at_10", "recall_at_1", "recall_at_10")]
    cells = (f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]" for score in scores)
    assert raw == f"| raw | {' | '.join(cells)} |"
    assert len(others) == 4
