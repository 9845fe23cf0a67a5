// Which view is shown, by the address behind #; then each view's own script.

import { startAnalysis } from "./analysis.js";
import { ask, takeKey } from "./api.js";
import { element, find, say } from "./dom.js";
import { showReports } from "./probes.js";
import { describeIndex, startSearch } from "./search.js";

const VIEWS = ["search", "compare", "explain", "probes"];

function show() {
  const wanted = location.hash.slice(1);
  const view = VIEWS.includes(wanted) ? wanted : "search";
  for (const name of VIEWS) find(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function describe() {
  try {
    const models = (await ask("/v1/models")).data.map((model) => model.id);
    for (const list of document.querySelectorAll("select.models")) {
      list.replaceChildren(...models.map((name) => element("option", { value: name }, name)));
    }
    await showReports();
    await describeIndex();
  } catch (error) {
    say(error.message, { error: true });
  }
}

addEventListener("hashchange", show);
show();
startSearch();
startAnalysis();
takeKey(describe);
describe();
