// Probe reports on the models: an overview, and a part to open for each probe. Pictures are SVG files to the browser,
// in which nothing runs.

import { ask } from "./api.js";
import { element, find } from "./dom.js";

const MOST_ROWS = 24;

export async function showReports() {
  const { reports } = await ask("/v1/reports");
  find("no-reports").hidden = reports.length > 0;
  find("choose-report").hidden = reports.length < 2;
  const names = reports.map((report, number) =>
    element("option", { value: `${number}` }, `${report.model} (${report.amount}, ${report.created.slice(0, 10)})`),
  );
  const list = find("report");
  list.replaceChildren(...names);
  list.onchange = () => show(reports[Number(list.value)]);
  if (reports.length) show(reports[0]);
}

function show(report) {
  const shown = [];
  let part = null;
  for (const block of report.blocks) {
    if (block.kind === "heading" && block.level === 2) {
      part = element("details", {}, element("summary", {}, element("h4", {}, block.text)));
      shown.push(part);
    } else if (part) part.append(blockElement(block));
    else shown.push(blockElement(block));
  }
  find("report-shown").replaceChildren(...shown);
}

function blockElement(block) {
  switch (block.kind) {
    case "heading":
      return element(block.level === 1 ? "h3" : "h5", {}, block.text);
    case "paragraph":
      return element("p", { className: block.style }, block.text);
    case "list":
      return element("ul", {}, ...block.items.map((text) => element("li", {}, text)));
    case "picture": {
      const source = `data:image/svg+xml,${encodeURIComponent(block.svg)}`;
      return element("figure", {}, element("figcaption", {}, block.title), element("img", { src: source, alt: block.title }));
    }
    default:
      return tableElement(block);
  }
}

// A table; a long one shows its first rows, and all of them on demand.
function tableElement({ title, header, rows, note }) {
  const made = element("div", {}, ...(title ? [element("h5", {}, title)] : []));
  if (rows.length <= MOST_ROWS) made.append(rowsElement(title, header, rows));
  else {
    const all = element("details", {}, element("summary", {}, `All ${rows.length} rows`), rowsElement(title, header, rows));
    made.append(rowsElement(title, header, rows.slice(0, MOST_ROWS / 2)), all);
  }
  if (note) made.append(element("p", { className: "note" }, note));
  return made;
}

function rowsElement(title, header, rows) {
  const head = element("tr", {}, ...header.map((cell) => element("th", { scope: "col" }, cell)));
  const body = rows.map(([first, ...cells]) =>
    element("tr", {}, element("th", { scope: "row" }, first), ...cells.map((cell) => element("td", {}, cell))),
  );
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": title || "Table" }, table);
}
