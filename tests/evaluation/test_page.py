import re

from slimvec.evaluation.comparing import compare_reports
from slimvec.evaluation.page import report_blocks, write_reports
from slimvec.evaluation.results import EvaluationResult
from slimvec.reports.blocks import to_html, to_markdown
from tests.evaluation.test_comparing import report

FIRST, SECOND = report("a|<b>", [0.5, 0.75, 1]), report("c", [0, 0.5, 0.25])


def test_markdown_has_scores_settings_and_what_is_unknown():
    page = to_markdown(report_blocks([FIRST]))
    assert page.startswith("# a|\\<b>: suite s\n")
    assert (
        "| t | Retrieval | mteb's defaults | ndcg_at_10 | 0.7500 | too few (3) | 3 queries | mean | unknown | 0 |"
        in page
    )
    assert "| seed of mteb's sampling | 42 |" in page
    assert all(line.count(" | ") == 1 for line in page.splitlines() if line.startswith("| seed"))


def test_html_is_whole_and_escaped_and_fetches_nothing():
    page = to_html("a|<b> against c", report_blocks([FIRST, SECOND], compare_reports(FIRST, SECOND, num_resamples=50)))
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert "a|&lt;b&gt; against c" in page
    assert "<b>" not in page
    assert not re.search(r"https?://|<script|src=", page.replace('xmlns="http://www.w3.org/2000/svg"', ""))
    assert page.count("<svg") == page.count("</svg>") == 2


def test_prompts_are_quoted_on_one_line():
    subset = FIRST.tasks[0].subsets[0].model_copy(update={"prompts": {"query": 'Find "it"\n', "document": ""}})
    task = FIRST.tasks[0].model_copy(update={"subsets": (subset,)})
    page = to_markdown(report_blocks([FIRST.model_copy(update={"tasks": (task,)})]))
    assert '| t | "Find \\\\"it\\\\"\\\\n" | none |  |' in page


def test_a_folder_of_reports_reads_back(tmp_path):
    comparison = compare_reports(FIRST, SECOND, num_resamples=50)
    write_reports(tmp_path / "r", [FIRST, SECOND], comparison)
    assert {p.name for p in (tmp_path / "r" / "plots").iterdir()} == {"scores.svg", "differences.svg"}
    assert "](plots/scores.svg)" in (tmp_path / "r" / "report.md").read_text()
    assert EvaluationResult.read(tmp_path / "r" / "report.json") == FIRST
    assert EvaluationResult.read(tmp_path / "r" / "against.json") == SECOND
    assert type(comparison).model_validate_json((tmp_path / "r" / "comparison.json").read_bytes()) == comparison
