"""Every number of the findings, and every measured one of the README, stands in a committed result."""

import re

import pytest

from tests.claims import ROOT, claims, resolve, written

NUMBER = re.compile(r"(?<![\w.,/-])[+-]?(?:\d[\d,]*)?\.\d+(?![\w.])|(?<![\w.,])\d[\d,.]*%|(?<![\w.])\d+(?:\.\d+)? x\b")
"""Numbers with a decimal point, percentages and factors; whole numbers are counts and settings."""
ALL_COVERED = ("docs/findings.md",)


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: f"{claim['in']}: {claim['text'][:60]}")
def test_a_claim_is_what_its_result_says(claim):
    assert written(claim) == claim["text"]
    assert claim["text"] in (ROOT / claim["in"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ALL_COVERED)
def test_no_number_is_without_a_result(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for claim in sorted((c for c in claims() if c["in"] == document), key=lambda c: -len(c["text"])):
        text = text.replace(claim["text"], "")
    text = re.sub(r"\]\([^)]*\)|`[^`]*`|arXiv \d+\.\d+", "", text)
    assert NUMBER.findall(text) == []


def test_keys_that_lead_nowhere_are_no_keys():
    file = "studies/word-order/report.json"
    assert resolve(file, "rows[variant=plain].seeds[1]") == 1
    with pytest.raises(ValueError, match="not enough values"):
        resolve(file, "rows[variant=none].mean")
    with pytest.raises(KeyError, match="at '!'"):
        resolve(file, "rows!")
