// Moves thresholds over the plots of scores, keeps times such as `3 min ago` right, and tells each cell of a table what
// stands above it, for narrow screens. htmx fetches what is live.
"use strict";

const STEPS = 100;
const WIDTH = 500; // of a score of 1 in a plot

document.addEventListener("input", (event) => {
  const slider = event.target;
  if (!slider.matches("input[data-threshold]")) return;
  const plot = slider.closest(".plot");
  const counts = JSON.parse(plot.dataset.counts);
  const at = Number(slider.value);
  const all = counts.reduce((sum, each) => sum + each, 0);
  const reached = counts.slice(Math.round(at * STEPS)).reduce((sum, each) => sum + each, 0);
  const line = plot.querySelector("line.threshold");
  for (const end of ["x1", "x2"]) line.setAttribute(end, at * WIDTH);
  for (const bar of plot.querySelectorAll("rect")) {
    bar.setAttribute("class", Number(bar.dataset.start) >= at - 1e-4 ? "passes" : "misses");
  }
  const share = all ? ((100 * reached) / all).toFixed(1) : "0.0";
  const records = `${all.toLocaleString("en")} ${all === 1 ? "record" : "records"}`;
  plot.querySelector("output").textContent =
    `At ${at.toFixed(2)}, ${reached.toLocaleString("en")} of ${records} would pass (${share}%).`;
});

function ago(moment) {
  const seconds = (Date.now() - moment) / 1000;
  const size = Math.abs(seconds);
  const unit = [[86400, "d"], [3600, "h"], [60, "min"], [5, "s"]].find(([length]) => size >= length);
  if (!unit) return "just now";
  const number = Math.floor(size / (unit[1] === "s" ? 1 : unit[0]));
  return seconds > 0 ? `${number} ${unit[1]} ago` : `in ${number} ${unit[1]}`;
}

setInterval(() => {
  for (const each of document.querySelectorAll("time")) each.textContent = ago(Date.parse(each.dateTime));
}, 10000);

// On a narrow screen each row is a block, with the heading of its column beside each cell (console.css). The roles keep
// the table what it is to screen readers.
const ROLES = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };

function stack(root) {
  for (const table of root.querySelectorAll("table.data:not(.stacked)")) {
    const headings = [...table.querySelectorAll("thead th")].map((each) => each.textContent.trim());
    if (!headings.length || table.querySelector("[colspan], [rowspan]")) continue;
    for (const each of [table, ...table.querySelectorAll("thead, tbody, tr, th, td")]) {
      const role = ROLES[each.tagName] ?? (each.closest("thead") ? "columnheader" : "rowheader");
      each.setAttribute("role", role);
    }
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, at) => (cell.dataset.label = headings[at] ?? ""));
    }
    table.classList.add("stacked");
  }
}

stack(document);
document.addEventListener("htmx:after:swap", () => stack(document));

// Records are judged by single keys: each presses the button that names it, or goes to the field.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const meant = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!meant) return;
  event.preventDefault();
  if (meant.matches("textarea")) meant.focus();
  else meant.click();
});
