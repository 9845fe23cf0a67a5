// Search: hits with their matches and scores, filters, and a document opened at its match.

import { ask, onSubmit } from "./api.js";
import { element, find, parts, say } from "./dom.js";

const mark = (text) => element("mark", {}, text);
let opener = null;

export async function startSearch() {
  onSubmit("search-form", search);
  find("close").addEventListener("click", closeDocument);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !find("document").hidden) closeDocument();
  });
}

export async function describeIndex() {
  const index = await ask("/v1/index");
  find("no-index").hidden = index.served;
  find("search-form").hidden = !index.served;
  if (!index.served) return;
  const boxes = index.kinds.map((kind) =>
    element("label", {}, element("input", { type: "checkbox", name: "kind", value: kind }), ` ${kind}`),
  );
  find("kinds").replaceChildren(element("legend", {}, "Kinds of file"), ...boxes);
  const by = index.model ?? "a model that is not served: start the server again";
  say(`${index.num_chunks.toLocaleString()} passages of ${index.name}, by ${by}`);
}

async function search(form) {
  const values = new FormData(form);
  const asked = { query: values.get("query"), ranking: values.get("ranking"), top: Number(values.get("top") || 10) };
  if (values.get("path")) asked.paths = [values.get("path")];
  if (values.getAll("kind").length) asked.kinds = values.getAll("kind");
  if (Number(values.get("rerank"))) asked.rerank = Number(values.get("rerank"));
  for (const day of ["after", "before"]) if (values.get(day)) asked[day] = values.get(day);
  const found = await ask("/v1/search", asked);
  closeDocument();
  find("hits").replaceChildren(...found.hits.map((hit) => hitElement(hit, found.hits[0].score)));
  const seconds = (found.embed_seconds + found.search_seconds).toFixed(2);
  const cut = found.query_truncated ? "; the query was longer than the model's limit" : "";
  const searched = `${found.num_searched.toLocaleString()} passages searched in ${seconds} s${cut}`;
  say(found.hits.length ? `${found.hits.length} hits; ${searched}` : `Nothing found; ${searched}`);
}

function hitElement(hit, best) {
  const name = hit.title || hit.path.split("/").at(-1);
  const open = element("button", { type: "button", className: "open" }, name);
  open.addEventListener("click", () => openDocument(hit, open));
  const width = Math.max(0.02, best > 0 ? hit.score / best : 0);
  const bar = element("span", { className: "bar", role: "presentation" });
  bar.style.width = `${(width * 6).toFixed(2)}rem`;
  const place = [hit.path, hit.place, hit.heading].filter(Boolean).join(" · ");
  return element(
    "li",
    {},
    element("h3", {}, `${hit.rank}. `, open),
    element("p", { className: "about" }, place, element("br"), bar, ` score ${hit.score.toFixed(3)}${reasons(hit)}`),
    element("p", { className: "snippet" }, ...snippet(hit)),
  );
}

function reasons({ explanation: why }) {
  const said = [];
  if (why.cosine !== null) said.push(`cosine ${why.cosine.toFixed(3)}`);
  if (why.bm25 !== null) said.push(`BM25 ${why.bm25.toFixed(2)}`);
  if (why.words.length) said.push(`words ${why.words.join(", ")}`);
  return said.length ? ` (${said.join("; ")})` : "";
}

const AROUND = 160;

// The sentence that matches best, some text around it, and the query's words in it.
function snippet(hit) {
  const characters = Array.from(hit.text);
  const { start, end, words } = hit.highlight;
  const from = Math.max(0, start - AROUND);
  const to = Math.min(characters.length, end + AROUND);
  const marked = (first, last) => {
    const inside = words.filter(([a, b]) => a >= first && b <= last).map(([a, b]) => [a - first, b - first]);
    return parts(characters.slice(first, last).join(""), inside, mark);
  };
  const sentence = element("span", { className: "match" }, ...marked(start, end));
  return [from > 0 ? "… " : "", ...marked(from, start), sentence, ...marked(end, to), to < characters.length ? " …" : ""];
}

async function openDocument(hit, button) {
  try {
    const found = await ask(`/v1/documents?path=${encodeURIComponent(hit.path)}&around=${hit.number}`);
    opener = button;
    let match = null;
    const shown = found.chunks.map((chunk) => {
      const isMatch = chunk.number === hit.number;
      const text = isMatch ? parts(chunk.text, hit.highlight.words, mark) : [chunk.text];
      const made = element("p", { className: isMatch ? "found" : "", tabIndex: isMatch ? -1 : undefined }, ...text);
      if (isMatch) match = made;
      return made;
    });
    find("document-title").textContent = `${found.title || hit.path.split("/").at(-1)} (${hit.path})`;
    find("document-text").replaceChildren(...shown);
    find("document").hidden = false;
    find("hits").hidden = true;
    (match || find("document-title")).focus();
    (match || find("document-title")).scrollIntoView({ block: "center" });
    say(`${hit.path} opened at its match`);
  } catch (error) {
    say(error.message, { error: true });
  }
}

function closeDocument() {
  find("document").hidden = true;
  find("hits").hidden = false;
  if (opener?.isConnected) opener.focus();
  opener = null;
}
