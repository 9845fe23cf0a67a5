import re

import numpy as np

from slimvec.evaluation.comparing import compare_reports
from slimvec.evaluation.page import html, markdown, write_reports
from slimvec.evaluation.plots import interval_plot
from slimvec.evaluation.report import EvaluationReport
from tests.evaluation.test_comparing import report

FIRST, SECOND = report("a|<b>", [0.5, 0.75, 1]), report("c", [0, 0.5, 0.25])


def test_markdown_has_scores_settings_and_what_is_unknown():
    page = markdown([FIRST])
    assert page.startswith("# a|<b>: suite s\n")
    assert (
        "| t | Retrieval | mteb's defaults | ndcg_at_10 | 0.7500 | 0.0000 to 1.0000 | 3 queries | mean | unknown | 0 |"
        in page
    )
    assert "| seed of mteb's sampling | 42 |" in page
    assert all(line.count(" | ") == 1 for line in page.splitlines() if line.startswith("| seed"))


def test_html_is_whole_and_escaped_and_fetches_nothing():
    page = html([FIRST, SECOND], compare_reports(FIRST, SECOND, num_resamples=50))
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert "a|&lt;b&gt; against c" in page
    assert "<b>" not in page
    assert not re.search(r"https?://|<script|src=", page)
    assert page.count("<svg") == page.count("</svg>") == 2


def test_prompts_are_quoted_on_one_line():
    subset = FIRST.tasks[0].subsets[0].model_copy(update={"prompts": {"query": 'Find "it"\n', "document": ""}})
    task = FIRST.tasks[0].model_copy(update={"subsets": (subset,)})
    page = markdown([FIRST.model_copy(update={"tasks": (task,)})])
    assert '| t | "Find \\"it\\"\\n" | none |  |' in page


def test_a_folder_of_reports_reads_back(tmp_path):
    comparison = compare_reports(FIRST, SECOND, num_resamples=50)
    write_reports(tmp_path / "r", [FIRST, SECOND], comparison)
    assert EvaluationReport.read(tmp_path / "r" / "report.json") == FIRST
    assert EvaluationReport.read(tmp_path / "r" / "against.json") == SECOND
    assert type(comparison).model_validate_json((tmp_path / "r" / "comparison.json").read_bytes()) == comparison


def test_a_plot_keeps_what_is_outside_at_its_edge():
    plot = interval_plot([("t", [(-5.0, 0.5, 7.0)])], 0.0, 1.0, [0, 1], ["m"])
    ends = [float(value) for value in re.findall(r'x[12]="([\d.]+)"', plot)]
    assert (min(ends), max(ends)) == (190, 810)
    places = [float(value) for value in re.findall(r'cx="([\d.]+)"', plot)]
    assert np.isclose(places[-1], 500)
