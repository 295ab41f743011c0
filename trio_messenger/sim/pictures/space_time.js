// In a browser tab of its own, the diagram gets filters, a window of time, zoom, names that stay in view, and an
// overview. space_time_controls.js has the filters, and space_time_layout.js decides where the remaining messages go.
(() => {
  "use strict";
  const svg = document.documentElement;
  if (svg.localName !== "svg") return; // part of a page: stay a plain picture

  const OVERVIEW = 22; // pixels

  const all = (selector, root = svg) => [...root.querySelectorAll(selector)];
  const number = (element, name) => +element.getAttribute(name);
  const show = (element, isShown) => element.classList.toggle("off", !isShown); // any truthy or falsy value
  const set = (element, values) => {
    for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
    return element;
  };
  const make = (name, values, parent) =>
    parent.appendChild(set(document.createElementNS(svg.namespaceURI, name), values));

  // The parts of the picture; y, y1 and y2 are their original positions --------------------------------------------

  const firstWidth = number(svg, "width"), firstHeight = number(svg, "height");
  const axis = svg.querySelector(".axis"), names = svg.querySelector(".heads"), footer = svg.querySelector(".footer");
  const top = +names.dataset.top, bottom = +names.dataset.bottom; // the ends of the lifelines
  const timeX = number(axis.querySelector("text"), "x");

  const messages = all(".messages > .m").map((group) => {
    const arrow = group.querySelector("line, .loop"), isLoop = arrow.localName === "path";
    const hit = set(arrow.cloneNode(), { class: "hit" }); // as wide as a finger
    group.insertBefore(hit, arrow);
    const [y1, y2] = isLoop ? arrow.dataset.y.split(" ").map(Number) : [number(arrow, "y1"), number(arrow, "y2")];
    const [x1, x2] = isLoop ? [+arrow.dataset.x, 0] : [number(arrow, "x1"), number(arrow, "x2")];
    return {
      ...group.dataset, group, arrow, hit, isLoop, x1, x2, y1, y2,
      classes: group.classList, isReply: group.classList.contains("reply"), isLost: group.classList.contains("lost"),
      label: group.querySelector(".type"), cross: group.querySelector(".end"),
    };
  });
  const lives = all(".life").map((group) => ({
    name: group.dataset.name, group, isClient: group.classList.contains("client"),
    lines: all("line", group).map((line) => ({ line, y1: number(line, "y1"), y2: number(line, "y2") })),
  }));
  const heads = all(".head").map((group) => ({
    name: group.dataset.name, lane: +group.dataset.lane, y: +group.dataset.y, group, isShown: true, now: 0,
    isClient: group.classList.contains("client"),
  }));
  const groups = new Map(lives.map(({ name, group }) => [name, group]));
  const lanes = new Map(heads.map(({ name, lane }) => [name, lane]));
  const columns = []; // their x
  for (const { lane, group } of heads) columns[lane] = number(group.querySelector("text"), "x");
  const marks = all(".mark").map((group) => ({
    ...group.dataset, y: +group.dataset.y, group, isReady: group.classList.contains("ready"),
  }));
  const folds = new Map(all(".fold").map((text) => [+text.dataset.y, text]));
  const bands = all(".band").map((group) => {
    const rect = group.querySelector("rect"), text = group.querySelector("text");
    const x = number(rect, "x"), y1 = number(rect, "y"), y2 = y1 + number(rect, "height");
    return { ...group.dataset, group, rect, text, edge: group.querySelector("path"), x, y1, y2, isShown: true };
  });

  // Controls -------------------------------------------------------------------------------------------------------

  const kinds = Object.keys(KINDS).filter((kind) => messages.some(({ classes }) => classes.contains(kind)));
  set(svg, { role: "group" }); // an image, for screen readers, has no controls
  const controls = make("foreignObject", { class: "controls" }, svg);
  controls.innerHTML = formOf(kinds);
  const form = controls.firstChild;
  const field = (name) => form.querySelector(`[name="${name}"]`);
  const members = heads.filter(({ isClient }) => !isClient).map(({ name }) => name);
  for (const word of [...[...new Set(messages.map(({ type }) => type))].sort(), ...members]) {
    const option = document.createElementNS(XHTML, "option");
    option.setAttribute("value", word);
    form.querySelector("datalist").appendChild(option);
  }
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) { // messages.svg#show=lost&from=2&to=3
    if (["show", "search", "from", "to"].includes(name)) field(name).value = value;
  }
  const focus = new Set(); // names that were clicked
  // messages.svg#messages=12,45 shows only these until the form is reset; the page has such links
  const named = new Set((new URLSearchParams(location.hash.slice(1)).get("messages") ?? "").split(",").filter(Boolean));

  const isInWindow = (...times) => isBetween(field("from").value, field("to").value, times);
  const isWanted = ({ id, classes, from, to, at, end }) => {
    const only = field("show").value;
    return kinds.every((kind) => field(kind).checked || !classes.contains(kind))
      && (!only || classes.contains(only))
      && isInWindow(at, end ?? at)
      && (!named.size || named.has(id))
      && (!focus.size || focus.has(from) || focus.has(to));
  };

  // The text in which the search looks for words.
  const textOf = (message) => message.searched ??= {
    type: squeezed(message.type), from: squeezed(message.from), to: squeezed(message.to),
    body: squeezed(message.group.querySelector("title").textContent.split("\n").slice(2).join("\n")),
  };
  const run = svg.querySelector(".messages").dataset; // how many messages there are, drawn or not
  const format = (number) => number.toLocaleString("en");

  const isEarlier = ({ y1, begin }) => y1 <= top || +begin < +field("from").value; // began before the visible part

  // Layout ---------------------------------------------------------------------------------------------------------

  const rowsOf = (wanted) => { // a map from y to the time
    const rows = new Map();
    for (const { y1, y2, at, end } of wanted) {
      rows.set(y1, at);
      if (end !== undefined) rows.set(y2, end);
    }
    for (const { y, at, isReady } of marks) if (!isReady && isInWindow(at)) rows.set(y, at);
    for (const { y1, y2, begin, end } of bands) {
      if (y1 > top && isInWindow(begin)) rows.set(y1, begin);
      if (y2 < bottom && isInWindow(end)) rows.set(y2, end);
    }
    return new Map([...rows].sort(([a], [b]) => a - b));
  };

  const boxesOfCrosses = () => shown.filter(({ cross, isLoop }) => cross && !isLoop).map(({ cross, now, x2 }) => {
    const text = cross.querySelector("text"), half = text.textContent.length * LETTER / 2;
    const x = number(text, "x") + (text.hasAttribute("text-anchor") ? -half : half);
    return { x: x + now.x2 - x2, y: now.y2, w: half, h: SIZE / 2 };
  });

  const moveMessage = (message) => {
    const { arrow, hit, isLoop, x1, x2, cross } = message;
    const now = message.now = placeArrow(message, { lanes, columns, nowX, nowY });
    const values = isLoop ? { d: `M${now.x1} ${now.y1}h${LOOP}V${now.y2}H${now.x1 + TIP}` } : now;
    set(arrow, values);
    set(hit, values);
    const crossX = isLoop ? now.x1 - x1 : now.x2 - x2;
    if (cross) set(cross, { transform: `translate(${crossX} ${now.y2 - message.y2})` });
  };

  const labelMessage = (message, findRoom) => {
    const { group, isReply, isLoop, type } = message, room = findRoom(message);
    if (room && !message.label) {
      message.label = make("text", { class: "type", y: isReply && !isLoop ? 11 : -4 }, group);
      message.label.textContent = type;
    }
    if (message.label) show(message.label, room);
    if (room) set(message.label, { transform: room });
  };

  const drawLives = (seen) => {
    for (const { name, group, isClient, lines } of lives) {
      const span = seen.get(name), x = nowX[lanes.get(name)];
      show(group, span || !isClient);
      for (const { line, y1, y2 } of lines) {
        const isLate = isClient && span && y1 > top, isFollowed = isClient && span && y2 < bottom;
        const from = isLate ? nowY(span[0]) - NAME_ABOVE + 20 : nowY(y1);
        set(line, { x1: x, x2: x, y1: from, y2: isFollowed ? nowY(span[1]) + 8 : nowY(y2) });
      }
    }
    for (const head of heads) {
      const isLate = head.y > top - 20 && seen.has(head.name);
      head.now = isLate ? nowY(seen.get(head.name)[0]) - NAME_ABOVE : head.y;
      head.end = Math.max(...all("line", groups.get(head.name)).map((line) => number(line, "y2")));
    }
  };

  const drawAxis = (rows) => {
    all(".time", axis).forEach((text) => text.remove());
    folds.forEach((text) => show(text, false));
    let lastY = -Infinity, last, before;
    for (const [y, time] of rows) {
      const fold = folds.get(y);
      if (fold) show(set(fold, { y: nowY(y) - 22 }), before === places.get(y) - 1);
      before = places.get(y);
      if (time === last || nowY(y) < lastY + TIMES) continue;
      lastY = nowY(y);
      make("text", { class: "time", x: timeX, y: lastY + 4 }, axis).textContent = last = time;
    }
  };

  const drawRest = (rows) => {
    for (const { group, name, y, at, isReady } of marks) {
      show(group, isInWindow(at) && (!isReady || rows.has(y)));
      const lane = lanes.get(name);
      set(group, { transform: `translate(${nowX[lane] - columns[lane]} ${nowY(y) - y})` });
    }
    let earlier = 0;
    for (const band of bands) {
      const { group, rect, edge, text, x, y1, y2 } = band;
      const from = isEarlier(band) ? top : nowY(y1), to = Math.max(from, nowY(y2));
      show(group, band.isShown);
      set(rect, { y: from, height: to - from, width: width - x - 6 });
      set(edge, { d: `M${x} ${from}h3V${to}h-3z` });
      set(text, { y: isEarlier(band) && band.isShown ? top + 14 + EARLIER * earlier++ : from + 14 });
    }
    set(footer, { transform: `translate(0 ${nowY(bottom) - bottom})` });
  };

  let shown = messages, found = messages, nowX = columns, nowY = (y) => y, width = firstWidth, height = firstHeight;

  const layOut = () => {
    const isFound = compileSearch(field("search").value), keepsOthers = field("dim").checked;
    shown = messages.filter(isWanted);
    found = shown.filter((message) => isFound(textOf(message)));
    if (!keepsOthers) shown = found;
    const rows = rowsOf(shown), seen = new Map();
    const see = (name, y) => {
      const [first, last] = seen.get(name) ?? [y, y];
      seen.set(name, [Math.min(first, y), Math.max(last, y)]);
    };
    for (const { from, to, y1, y2, end } of shown) {
      see(from, y1);
      see(to, end === undefined ? y1 : y2);
    }
    for (const head of heads) head.isShown = seen.has(head.name) || !head.isClient;
    const late = heads.filter(({ name, y }) => y > top - 20 && seen.has(name)).map(({ name }) => seen.get(name)[0]);
    nowX = pushTogether(columns, columns.map((_, lane) => heads.some((head) => head.lane === lane && head.isShown)));
    for (const band of bands) band.isShown = isInWindow(band.begin, band.end ?? Infinity);
    nowY = squeeze([...rows.keys()], {
      top, bottom, firstGap, places,
      earlier: bands.filter((band) => band.isShown && isEarlier(band)).length, late: new Set(late),
    });
    width = Math.max(LEAST_WIDTH, firstWidth + nowX.at(-1) - columns.at(-1));
    height = firstHeight + nowY(bottom) - bottom;
    const wanted = new Set(shown);
    const bright = new Set(found);
    for (const message of messages) {
      show(message.group, wanted.has(message));
      message.classes.toggle("dim", !bright.has(message));
    }
    shown.forEach(moveMessage);
    const findRoom = makeLabels(boxesOfCrosses(), nowX, lanes);
    for (const message of shown) labelMessage(message, findRoom);
    drawLives(seen);
    drawAxis(rows);
    drawRest(rows);
    const count = (some) => new Set(some.map(({ id }) => id)).size;
    const only = field("show").value, drawn = count(messages);
    const all = `${format(count(found))} of ${format(+run[only || "total"])} ${NOUNS[only]}`;
    form.querySelector("output").textContent = drawn < +run.total ? `${all} (${format(drawn)} drawn)` : all;
    resize();
  };

  // The view -------------------------------------------------------------------------------------------------------

  let zoom = 1, offset = 0, bar = 0;
  const view = () => ({ w: visualViewport?.width ?? innerWidth, h: visualViewport?.height ?? innerHeight });

  const resize = () => {
    set(controls, { width: view().w, height: 999 });
    bar = form.getBoundingClientRect().height;
    set(controls, { height: bar });
    const strip = needsOverview() ? OVERVIEW / zoom : 0;
    offset = Math.max(0, (view().w / zoom - width - strip) / 2);
    const w = width + 2 * offset + strip, h = height + bar / zoom;
    set(svg, { width: w * zoom, height: h * zoom, viewBox: `${-offset} ${-bar / zoom} ${w} ${h}` });
    drawOverview();
    pin();
  };

  // Keep names, times, controls and overview in view.
  const pin = () => {
    const left = scrollX / zoom - offset, edge = scrollY / zoom; // in the picture, below the controls
    const here = (x, y) => `translate(${x} ${y}) scale(${1 / zoom})`;
    set(controls, { transform: here(left, edge - bar / zoom) });
    set(axis, { transform: `translate(${Math.max(0, left)} 0)` });
    show(axisPaper, left > 0);
    const current = new Map();
    for (const head of heads) {
      if (head.isShown && head.now <= edge + 4) current.set(head.lane, head);
    }
    for (const head of heads) {
      const above = current.get(head.lane);
      show(head.group, head.isShown && (head.now > edge + 4 || (above === head && head.end > edge + 24)));
      const x = nowX[head.lane] - columns[head.lane];
      set(head.group, { transform: `translate(${x} ${(above === head ? edge + 4 : head.now) - head.y})` });
    }
    show(namesPaper, current.size > 0);
    set(namesPaper, { y: edge });
    set(overview, { transform: here((scrollX + view().w) / zoom - offset - OVERVIEW / zoom, edge) });
    set(frame, { y: scrollY * scale(), height: Math.max(8, (view().h - bar) * scale()) });
    set(details, { transform: here(left, edge + (view().h - bar - detailsHeight) / zoom) });
  };

  const axisPaper = set(document.createElementNS(svg.namespaceURI, "rect"), {
    class: "paper", x: 0, y: 0, width: timeX + 6, height: 1e7,
  });
  axis.prepend(axisPaper);
  const namesPaper = set(document.createElementNS(svg.namespaceURI, "rect"), {
    class: "paper", x: -1e4, width: 1e5, height: 28,
  });
  names.prepend(namesPaper);

  // The overview: the number of messages at each height, the lost ones, the faults, and the visible part.
  const overview = make("g", { class: "overview" }, svg);
  const frame = set(document.createElementNS(svg.namespaceURI, "rect"), { class: "frame", width: OVERVIEW });
  const scale = () => (view().h - bar) / (height * zoom); // converts pixels of the page to pixels of the overview
  const needsOverview = () => height * zoom > 1.5 * view().h;
  const drawOverview = () => {
    overview.replaceChildren();
    show(overview, needsOverview());
    make("rect", { class: "paper", width: OVERVIEW, height: view().h - bar }, overview);
    const to = (y) => y * zoom * scale();
    for (const { y1, y2 } of bands.filter(({ isShown }) => isShown)) {
      make("rect", { class: "fault", width: OVERVIEW, y: to(nowY(y1)), height: Math.max(2, to(nowY(y2) - nowY(y1))) }, overview);
    }
    const { count, lost } = pathsOfOverview(shown, to, OVERVIEW);
    make("path", { class: "count", d: count }, overview);
    make("path", { class: "lost", d: lost }, overview);
    overview.appendChild(frame);
  };
  const jump = (event) => {
    const y = event.clientY - bar - frame.height.baseVal.value / 2;
    scrollTo({ left: scrollX, top: y / scale() });
  };
  overview.addEventListener("pointerdown", (event) => {
    overview.setPointerCapture(event.pointerId);
    jump(event);
  });
  overview.addEventListener("pointermove", (event) => event.buttons && jump(event));

  // A click on a message shows its text, for devices without hover; a click on a name shows only its messages.
  const details = make("foreignObject", { class: "details off" }, svg);
  details.innerHTML = `<pre xmlns="${XHTML}"/>`;
  let detailsHeight = 0;
  const tell = (group) => {
    all(".picked").forEach((picked) => picked.classList.remove("picked"));
    show(details, group);
    if (group) {
      group.classList.add("picked");
      details.firstChild.textContent = group.querySelector("title").textContent;
      set(details, { width: view().w, height: view().h });
      detailsHeight = details.firstChild.getBoundingClientRect().height;
      set(details, { height: detailsHeight });
    }
    pin();
  };
  svg.addEventListener("click", ({ target }) => {
    if (target.closest(".controls, .details, .overview")) return;
    const head = target.closest(".head");
    if (head) {
      const { name } = head.dataset;
      if (!focus.delete(name)) focus.add(name);
      for (const { group } of heads) group.classList.toggle("picked", focus.has(group.dataset.name));
      layOut();
    } else tell(target.closest(".messages > .m, .mark, .band"));
  });

  // Go from one match to the next.
  const step = (by) => {
    if (!found.length) return;
    const inOrder = [...found].sort((a, b) => a.now.y1 - b.now.y1);
    const last = inOrder.findIndex(({ classes }) => classes.contains("picked"));
    const next = inOrder[last < 0 ? (by > 0 ? 0 : inOrder.length - 1) : (last + by + inOrder.length) % inOrder.length];
    scrollTo((next.now.x1 + offset) * zoom - view().w / 2, next.now.y1 * zoom - (view().h - bar) / 3);
    tell(next.group);
  };
  field("search").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    step(event.shiftKey ? -1 : 1);
  });

  const magnify = (factor) => {
    const y = scrollY / zoom;
    zoom = Math.min(4, Math.max(0.25, zoom * factor));
    resize();
    scrollTo(scrollX, y * zoom);
  };
  field("smaller").addEventListener("click", () => magnify(1 / 1.25));
  field("larger").addEventListener("click", () => magnify(1.25));
  form.addEventListener("input", layOut);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    focus.clear();
    named.clear();
    all(".head.picked").forEach((head) => head.classList.remove("picked"));
    zoom = 1;
    setTimeout(layOut); // after the fields are reset
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") tell(null);
    if (event.key !== "/" || form.contains(document.activeElement)) return;
    event.preventDefault();
    field("search").focus();
  });
  addEventListener("scroll", pin);
  addEventListener("resize", resize);

  svg.classList.add("live");
  svg.querySelector(".legend").remove(); // the controls replace it
  for (const group of [axis, names, overview, details, controls]) svg.appendChild(group); // on top of the parts that move
  const everyRow = [...rowsOf(messages).keys()];
  const places = new Map(everyRow.map((y, index) => [y, index]));
  const firstGap = (everyRow[0] ?? top) - top - EARLIER * bands.filter(({ y1 }) => y1 <= top).length;
  layOut();
})();
