"""An explanation as one HTML page that needs nothing from anywhere: no script, font or picture from elsewhere.

Without JavaScript the page shows both texts coloured by share, and the share of a word when the pointer rests on it.
With it, pointing at a word colours the other text by that word's own shares.
"""

import json
from string import Template

import numpy as np

from slimvec.engine.explanation import ExplainedText, Explanation, Shares
from slimvec.engine.explanation_view import own_and_prompt, signed, visible, walk
from slimvec.reports.shown import in_html

_MAX_CELLS = 400_000
"""Most pairs written into the page, about 3 MB; larger explanations keep colours and sums, without the pairs."""


def html_page(explanation: Explanation, *, model: str = "", num_pairs: int = 12) -> str:
    """Write the page.

    Args:
        explanation: By words, or by tokens.
        model: Name of the model, for the heading.
        num_pairs: Strongest pairs listed.
    """
    shares = explanation.shares
    pairs = "\n".join(
        f"<tr><td class=share>{signed(pair.share)}</td><td>{in_html(visible(pair.query.text))}</td>"
        f"<td>{in_html(visible(pair.document.text))}</td></tr>"
        for pair in explanation.top_pairs(num_pairs, own_only=True)
    )
    cells = np.round(shares, 5).tolist() if shares.size <= _MAX_CELLS else None
    return _PAGE.substitute(
        cosine=signed(explanation.cosine),
        model=f" by {in_html(model)}" if model else "",
        num_query=f"{shares.shape[0]:,}",
        num_document=f"{shares.shape[1]:,}",
        query=_side("query", explanation.query, explanation.query_share()),
        document=_side("document", explanation.document, explanation.document_share()),
        pairs=pairs,
        shares=json.dumps(cells),  # numbers and brackets only: nothing to escape
    )


def _side(name: str, side: ExplainedText, shares: Shares) -> str:
    """Write one text: the prompt in a line of its own, then the text."""
    largest = float(np.abs(shares).max()) or 1.0
    own, prompt = own_and_prompt(side.tokens, shares)
    blocks = []
    if any(token.is_prompt for token in side.tokens):
        words = _words(side, shares, largest, is_prompt=True)
        blocks.append(f'<p class="text prompt" title="instruction">{words}</p>')
        sums = f"instruction {signed(prompt)}, the text's own words {signed(own)}"
    else:
        sums = f"{signed(own)} in all"
    words = _words(side, shares, largest, is_prompt=False)
    cut = f" <i>[{side.num_truncated:,} more tokens were truncated]</i>" if side.num_truncated else ""
    blocks.append(f'<p class="text">{words}{cut}</p>')
    scale = (
        f'<p class=scale><span class="w n" style="--a:1">&nbsp;&minus;{largest:.4f}&nbsp;</span><span class=bar></span>'
        f'<span class="w p" style="--a:1">&nbsp;+{largest:.4f}&nbsp;</span></p>'
    )
    head = f"<h2>{name} <small>{sums}</small></h2>"
    return f'<section id="{name}" data-largest="{largest}">{head}{"".join(blocks)}{scale}</section>'


def _words(side: ExplainedText, shares: Shares, largest: float, *, is_prompt: bool) -> str:
    """Write the words of the prompt or the text, each with its share."""
    written = []
    for characters, number in walk(side, is_prompt=is_prompt):
        if number is None:
            written.append(in_html(characters))
            continue
        share = float(shares[number])
        kind, strength = ("p" if share >= 0 else "n"), abs(share) / largest
        kind += "" if characters.strip() else " blank"
        written.append(
            f'<span class="w {kind}" data-i={number} data-s={share:.5f} style="--a:{strength:.3f}"'
            f' title="{signed(share)}">{in_html(characters)}</span>'
        )
    return "".join(written)


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>cosine $cosine</title>
<style>
:root { color-scheme: light dark; --ink: #1c2127; --paper: #fbfbf9; --card: #ffffff; --line: #e2e2dc; --soft: #6b7280;
  --p: 37 99 235; --n: 234 88 12; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e3; --paper: #16181c; --card: #1e2126; --line: #33373e;
  --soft: #9aa1ab; --p: 59 130 246; --n: 249 115 22; } }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 56rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.1rem; font-weight: 500; margin: 0 0 .25rem; }
h1 b { font-size: 2.25rem; font-variant-numeric: tabular-nums; letter-spacing: -.02em; margin-right: .4rem; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
small, .note, .prompt, .scale, th { color: var(--soft); font-weight: 400; }
.note { margin: 0 0 1.5rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.25rem;
  margin: 0 0 1rem; }
.text { margin: 0 0 .6rem; line-height: 1.95; white-space: pre-wrap; overflow-wrap: anywhere; }
.prompt { font-size: .9rem; border-left: 3px solid var(--line); padding-left: .75rem; }
.w { --strength: calc(var(--a) * .62); border-radius: .25rem; padding: .16em .08em; cursor: default;
  transition: background-color .12s; }
.blank { padding: 0; }
.prompt .w { color: var(--ink); }
.p { background: rgb(var(--p) / var(--strength)); }
.n { background: rgb(var(--n) / var(--strength)); }
.w.on { outline: 2px solid var(--ink); outline-offset: 1px; }
.scale { display: flex; align-items: center; gap: .5rem; margin: 0; font-size: .8rem; }
.scale .w { color: var(--ink); font-variant-numeric: tabular-nums; }
.bar { width: 12rem; height: .7rem; border-radius: .35rem; background: linear-gradient(90deg, rgb(var(--n) / .62),
  transparent 50%, rgb(var(--p) / .62)); }
table { border-collapse: collapse; }
td, th { text-align: left; padding: .15rem 1.5rem .15rem 0; }
.share { font-variant-numeric: tabular-nums; }
#told { position: sticky; bottom: 0; margin: 0; padding: .5rem 0; min-height: 1.5em; background: var(--paper);
  color: var(--soft); }
</style>
<h1><b>$cosine</b> cosine$model</h1>
<p class="note">The exact sum over $num_query &times; $num_document pairs. Blue adds to it, orange takes away;
the colour of a word is its share over the whole other text. <span id="hint"></span></p>
$query
$document
<section><h2>strongest pairs</h2>
<table><tr><th>share</th><th>query</th><th>document</th></tr>
$pairs
</table></section>
<p id="told" role="status"></p>
<script>
const shares = $shares;
const sides = ["query", "document"].map(id => document.getElementById(id));
const words = sides.map(side => [...side.querySelectorAll("[data-i]")]);
const told = document.getElementById("told");
const signed = share => (share < 0 ? "\\u2212" : "+") + Math.abs(share).toFixed(4);
const paint = (word, share, largest) => {
  word.classList.remove("on");
  word.classList.toggle("n", share < 0);
  word.classList.toggle("p", share >= 0);
  word.style.setProperty("--a", largest ? Math.min(Math.abs(share) / largest, 1) : 0);
  word.title = signed(share);
};
const reset = () => {
  sides.forEach((side, s) => words[s].forEach(word => paint(word, +word.dataset.s, +side.dataset.largest)));
  told.textContent = "";
};
const point = (s, word) => {
  reset();
  word.classList.add("on");
  const own = +word.dataset.i;
  const of = other => s === 0 ? shares[own][other] : shares[other][own];
  const found = words[1 - s].map(other => of(+other.dataset.i));
  const largest = Math.max(...found.map(Math.abs));
  words[1 - s].forEach((other, i) => paint(other, found[i], largest));
  const best = words[1 - s][found.map(Math.abs).indexOf(largest)];
  const name = of => of.textContent.trim() || "white space";
  told.textContent = `$${name(word)}: $${signed(+word.dataset.s)} in all, most with ` +
    `$${name(best)} ($${signed(of(+best.dataset.i))})`;
};
if (shares) {
  document.getElementById("hint").textContent = "Point at a word to see its own shares in the other text.";
  words.forEach((list, s) => list.forEach(word => word.addEventListener("pointerenter", () => point(s, word))));
  sides.forEach(side => side.addEventListener("pointerleave", reset));
}
</script>
</html>
""")
