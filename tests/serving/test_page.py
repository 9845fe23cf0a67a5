"""The web page in Chromium: search, a document at its match, comparison, attribution; by keyboard; nothing runs."""

import os
import shutil
from pathlib import Path

import pytest

from tests.serving.conftest import HOSTILE_NAME

CHROMIUM = shutil.which("chromium")
SCREENSHOTS = os.environ.get("SLIMVEC_SCREENSHOTS", "")
pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian and Ubuntu: apt-get install chromium)"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu"]
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture
def page(browser, searching):
    """A page of the server; what it asks elsewhere, and what its console says, is found wanting."""
    context = browser.new_context(viewport={"width": 900, "height": 760})
    found, faults = context.new_page(), []
    found.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.on(
        "request", lambda asked: None if asked.url.startswith((searching.url, "data:")) else faults.append(asked.url)
    )
    found.set_default_timeout(20_000)
    found.goto(f"{searching.url}/")
    found.locator("#status", has_text="passages of").wait_for()
    yield found
    context.close()
    assert faults == []


def search(page, query):
    page.fill("#query", query)
    page.press("#query", "Enter")
    page.locator("#status", has_text="searched in").wait_for()


def shot(page, name):
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def test_search_filters_and_a_document_at_its_match(page):
    search(page, "what do cats eat?")
    first = page.locator("#hits > li").first
    assert "cats.md" in first.inner_text()
    assert "eat" in [mark.lower() for mark in first.locator("mark").all_inner_texts()] or first.locator("mark").count()
    assert "cosine" in first.inner_text()
    first.locator("button.open").press("Enter")
    page.wait_for_selector("#document:not([hidden])")
    assert page.evaluate("document.activeElement.className") == "found"
    assert page.locator("#document .found mark").count()
    page.keyboard.press("Escape")
    assert page.locator("#document").is_hidden()
    assert page.evaluate("document.activeElement.className") == "open"
    page.click("#filters summary")
    page.check("#kinds input[value=code]")
    search(page, "what do cats eat?")
    page.locator("#hits > li .about", has_text=".md").first.wait_for(state="detached")
    assert all(".py" in about for about in page.locator("#hits .about").all_inner_texts())


def test_nothing_in_texts_or_names_runs(page, searching):
    page.select_option("#ranking", "text", force=True)
    search(page, "turtles")
    page.locator("#hits", has_text=HOSTILE_NAME).wait_for()
    page.locator("button.open").first.click()
    page.wait_for_selector("#document:not([hidden])")
    assert "onerror" in page.locator("#document").inner_text()
    hostile = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
    page.goto(f"{searching.url}/#compare")
    page.fill("#texts", f"{hostile}\nanother")
    page.click("#compare-form button")
    page.wait_for_selector("#heat table")
    page.goto(f"{searching.url}/#explain")
    page.fill("#explain-query", hostile)
    page.fill("#explain-document", hostile)
    page.click("#explain-form button")
    page.wait_for_selector("#shares table")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main section:not(#probes) img, main script").count() == 0


def test_texts_are_compared_and_explained_by_keyboard_alone(page, searching):
    page.goto(f"{searching.url}/#compare")
    page.wait_for_selector("#compare:not([hidden])")
    page.focus("#texts")
    page.keyboard.type("cats eat fish\na cat eats a fish\nrain falls")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#heat table")
    assert page.locator("#heat td").nth(1).inner_text() == "1.00"
    assert page.locator("#heat th[scope=row]").count() == 3
    page.goto(f"{searching.url}/#explain")
    page.fill("#explain-query", "what do cats eat?")
    page.fill("#explain-document", "A cat eats fish")
    page.press("#explain-model", "Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#shares table")
    assert "Cosine" in page.locator("#shares").inner_text()
    assert page.locator("#shares .words").count() == 2


def test_a_probe_report_is_shown_part_by_part(page, searching):
    page.goto(f"{searching.url}/#probes")
    page.wait_for_selector("#probes:not([hidden]) h3")
    shown = page.locator("#report-shown")
    assert "What model-a sees of a text" in shown.inner_text()
    assert "70.0% [60.0%, 80.0%]" in shown.locator("table").first.inner_text()
    part = shown.locator("details", has_text="order: Does it see").first
    assert part.locator("img").first.is_hidden()
    part.locator("summary").first.press("Enter")
    part.locator("img").first.wait_for()
    assert "<img src=x onerror" in part.inner_text()
    pictures = part.locator("img").evaluate_all(
        "images => images.map((image) => [image.complete && image.naturalWidth > 0, image.alt])"
    )
    assert pictures == [[True, "Accuracy by kind"], [True, "Similarity by depth"]]
    assert page.evaluate("window.hacked") is None
    assert page.locator("#choose-report").is_hidden()
    shot(page, "probes")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_field_has_a_name_and_text_stands_out(page, scheme):
    page.emulate_media(color_scheme=scheme)
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button')].filter((field) =>"
        " !(field.labels?.length || field.textContent.trim() || field.ariaLabel)).map((field) => field.id)"
    )
    assert unnamed == []
    contrasts = page.evaluate(CONTRAST)
    assert min(contrasts.values()) >= 4.5, contrasts
    search(page, "what do cats eat?")
    shot(page, f"search-{scheme}")


CONTRAST = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).map(Number).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = light(getComputedStyle(document.body).backgroundColor);
  const found = {};
  for (const selector of ["h1", "nav a", "label", "#status", "#search-form button"]) {
    const style = getComputedStyle(document.querySelector(selector));
    const behind = selector.includes("button") ? light(style.backgroundColor) : page;
    const ink = light(style.color);
    found[selector] = (Math.max(ink, behind) + 0.05) / (Math.min(ink, behind) + 0.05);
  }
  return found;
}"""


def test_a_server_behind_keys_asks_for_one(browser, closed, key):
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{closed.url}/")
    page.wait_for_selector("#key-form:not([hidden])")
    page.fill("#key", key)
    page.press("#key", "Enter")
    page.wait_for_selector("#no-index:not([hidden])")
    page.close()
