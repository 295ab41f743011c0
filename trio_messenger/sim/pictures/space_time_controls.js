// The controls of a space-time diagram: their form, and what it means. space_time.js puts them into the picture.

const XHTML = "http://www.w3.org/1999/xhtml";
const KINDS = { client: "clients", node: "between nodes", service: "services" };
const NOUNS = { "": "messages", error: "errors", lost: "lost messages", copy: "duplicates" };

const box = (kind) =>
  `<label class="${kind}"><input type="checkbox" name="${kind}" checked="checked"/><b>${KINDS[kind]}</b></label>`;

// Return the form, with a box for each of kinds.
const formOf = (kinds) => `<form xmlns="${XHTML}">
  ${kinds.map(box).join("")}
  <select name="show" aria-label="which messages">
    <option value="">all</option><option value="error">errors</option>
    <option value="lost">lost</option><option value="copy">duplicates</option>
  </select>
  <span><input type="search" name="search" placeholder="search" list="words"
    title="all words must be in the type, the node ids, or the body: read n1 message:17. Press / to search, Enter for the next match"
    aria-label="search for types, nodes, and text in bodies"/><datalist id="words"/>
    <label><input type="checkbox" name="dim"/>dim others</label></span>
  <span><input type="number" name="from" step="any" placeholder="from" aria-label="from, in seconds"/>
    to <input type="number" name="to" step="any" placeholder="end" aria-label="to, in seconds"/> s</span>
  <span><button type="button" name="smaller">−</button><button type="button" name="larger">+</button>
    <button type="reset">reset</button></span>
  <output/></form>`;

// Tell whether a span of times has a part between from and to, the texts of two fields, which may be empty.
const isBetween = (from, to, times) =>
  (from === "" || times.some((time) => +time >= +from)) && (to === "" || +times[0] <= +to);
