// Sorts and filters the table of runs. Without this script, the table is complete, with the latest run first.
"use strict";
{
  const table = document.getElementById("runs"), count = document.getElementById("count");
  const body = table.tBodies[0], rows = [...body.rows], headings = [...table.tHead.rows[0].cells], whole = count.textContent;

  const make = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // Sort: numbers and dates by value, all else as text, in which numbers count as numbers (2 before 10).
  const compareTexts = new Intl.Collator("en", { numeric: true }).compare;
  const sort = (column, isDescending) => {
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const isNumber = rows.length > 0 && rows[0].cells[column].dataset.value !== undefined;
    const compare = isNumber ? (a, b) => a - b : compareTexts;
    const keyed = rows.map((row, index) => ({ row, index, value: value(row) }));
    const sign = isDescending ? -1 : 1; // rows that are equal keep their first order: the latest run first
    keyed.sort((a, b) => sign * compare(a.value, b.value) || a.index - b.index);
    body.append(...keyed.map(({ row }) => row));
    for (const heading of headings) heading.removeAttribute("aria-sort");
    headings[column].setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  };
  headings.forEach((heading, column) => {
    const button = make("button", { type: "button" }, heading.textContent);
    heading.replaceChildren(button);
    button.addEventListener("click", () => sort(column, heading.getAttribute("aria-sort") === "ascending"));
  });

  // Filter: a row has to contain every word, in upper or lower case, and to have the verdict.
  const texts = new Map(rows.map((row) => [row, [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase()]));
  const words = make("input", { type: "search", autocomplete: "off", spellcheck: false });
  const verdict = make("select", {}, make("option", { value: "" }, "any"));
  for (const cell of new Map(rows.map((row) => [row.dataset.verdict, row.cells[1]])).entries()) {
    verdict.append(make("option", { value: cell[0] }, cell[1].textContent));
  }
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const isShown = (!verdict.value || row.dataset.verdict === verdict.value)
        && wanted.every((word) => texts.get(row).includes(word));
      row.hidden = !isShown;
      shown += isShown;
    }
    count.textContent = shown === rows.length ? whole : `${shown} of ${rows.length} runs shown.`;
  };
  const form = make("form", { className: "filter", role: "search" },
    make("label", {}, "Show runs that contain ", words), make("label", {}, "verdict ", verdict));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  if (rows.length) count.before(form);
  filter(); // a browser may have kept what was typed
}
