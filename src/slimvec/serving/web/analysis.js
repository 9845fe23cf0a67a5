// Texts compared with each other, and the words that make two texts near.

import { ask, onSubmit } from "./api.js";
import { element, find, say, tint } from "./dom.js";

export function startAnalysis() {
  onSubmit("compare-form", compare);
  onSubmit("explain-form", explain);
}

async function compare() {
  const texts = find("texts").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const found = await ask("/v1/compare", {
    texts,
    input_type: find("compare-type").value,
    model: find("compare-model").value,
  });
  const numbers = texts.map((text, number) => element("th", { scope: "col", title: text }, `${number + 1}`));
  const head = element("tr", {}, element("td", {}), ...numbers);
  const rows = texts.map((text, row) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, `${row + 1}. ${text}`),
      ...found.similarity[row].map((value) => {
        const cell = element("td", {}, value.toFixed(2));
        cell.style.backgroundColor = tint(value);
        return cell;
      }),
    ),
  );
  find("heat").replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
  const cut = found.truncated.length ? `; ${found.truncated.length} were longer than the model's limit` : "";
  say(`${texts.length} texts compared by ${found.model}${cut}`);
}

async function explain() {
  const [query, text] = [find("explain-query").value, find("explain-document").value];
  const found = await ask("/v1/explain", { query, document: text, model: find("explain-model").value });
  const largest = Math.max(1e-9, ...[...found.query, ...found.document].map((word) => Math.abs(word.share)));
  find("shares").replaceChildren(
    element("p", {}, `Cosine ${found.cosine.toFixed(3)}. Blue adds to it, orange takes away.`),
    element("h3", {}, "Query"),
    wordsElement(query, found.query, largest),
    element("h3", {}, "Document"),
    wordsElement(text, found.document, largest),
    element("h3", {}, "Strongest words"),
    strongest(found),
  );
  say(`Explained by ${found.model}`);
}

// Words on their colours, with what stands between them in the text; prompt and special tokens stand beside it.
function wordsElement(text, words, largest) {
  const characters = Array.from(text);
  const shown = [];
  let at = 0;
  for (const word of words) {
    const isOwn = !word.is_prompt && !word.is_special;
    const made = element("span", { title: word.share.toFixed(4), className: isOwn ? "" : "prompt" }, word.text);
    made.style.backgroundColor = tint(word.share / largest);
    shown.push(isOwn ? characters.slice(at, word.start).join("") : " ", made);
    if (isOwn) at = word.end;
    else shown.push(" ");
  }
  return element("p", { className: "words" }, ...shown, characters.slice(at).join(""));
}

function strongest({ query, document: words }) {
  const rows = [...query.map((word) => ["query", word]), ...words.map((word) => ["document", word])]
    .filter(([, word]) => !word.is_prompt && !word.is_special && word.text.trim())
    .sort((a, b) => Math.abs(b[1].share) - Math.abs(a[1].share))
    .slice(0, 10)
    .map(([side, word]) =>
      element("tr", {}, element("th", { scope: "row" }, word.text), element("td", {}, side), element("td", {}, word.share.toFixed(4))),
    );
  const titles = ["Word", "Text", "Share"].map((title) => element("th", { scope: "col" }, title));
  const head = element("thead", {}, element("tr", {}, ...titles));
  return element("table", {}, head, element("tbody", {}, ...rows));
}
