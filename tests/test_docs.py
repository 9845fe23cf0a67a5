"""The pages: links lead to files, and what a link names is defined there."""

import re

import pytest

from tests.claims import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
LINK = re.compile(r"!?\[([^\]]*)\]\(([^)#\s]+)(?:#[^)]*)?\)")
WALKS = ("how-a-vector-is-made", "how-a-step-is-taken")


def links(page):
    """Text and target of each link to a file of ours, outside code."""
    text = re.sub(r"^```.*?^```|^    .*?$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [(label, target) for label, target in LINK.findall(text) if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    assert [target for _, target in links(page) if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("walk", WALKS)
def test_what_a_walk_names_is_defined_where_it_says(walk):
    page = ROOT / "docs" / f"{walk}.md"
    missing = []
    for label, target in links(page):
        name = label.strip("`").rpartition(".")[2]
        if not label.startswith("`") or label.strip("`") == (page.parent / target).name:
            continue
        defined = rf"^\s*(?:def|class) {name}\b|^{name}\b.*="
        if not re.search(defined, (page.parent / target).read_text(encoding="utf-8"), re.MULTILINE):
            missing.append((label, target))
    assert missing == []


def test_a_step_is_followed_in_few_files():
    page = (ROOT / "docs" / "how-a-step-is-taken.md").read_text(encoding="utf-8")
    step = page[page.index("**5. ") : page.index("**10. ")]
    assert len({target for _, target in LINK.findall(step) if target.endswith(".py")}) <= 15
