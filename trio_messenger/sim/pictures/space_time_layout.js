// The layout of a space-time diagram whose messages are filtered, without access to the document. Hidden messages and
// columns take no room: rows move together. space_time.js calls these functions.

const HIDDEN_GAP = 40; // the maximum number of pixels between rows with hidden rows between them
const LATE_GAP = 41; // the minimum number of pixels above the first row of a client with its name there
// These are the same as in _space_time.py, _arrows.py and _labels.py.
const LEAST_WIDTH = 420, TIMES = 13, LOOP = 30, TIP = 2, NAME_ABOVE = 32, EARLIER = 20;
const SIZE = 10.5, LETTER = 0.56 * SIZE, STEEPEST = 50, HEAD = 12, BAND = 60, ABOVE = -8, BELOW = 7;

// Return the current x of each column: columns with nothing to show take no room.
const pushTogether = (columns, isShown) => {
  let x = columns[0], hasAny = false;
  return columns.map((column, lane) => {
    if (isShown[lane] && hasAny) x += column - columns[lane - 1];
    hasAny ||= isShown[lane];
    return x;
  });
};

// Return the function from an original y to the current one.
//   ys: the rows to show, in order; places: the number of each row among all, shown or not
//   top, bottom: the ends of the lifelines; firstGap: pixels from the top to the first row of all
//   earlier: how many bands have their text at the top; late: the rows with the name of a client above
const squeeze = (ys, { top, bottom, firstGap, places, earlier, late }) => {
  const before = [top], after = [top];
  for (const y of ys) {
    const gap = y - before.at(-1), isFirst = before.length === 1;
    const isNext = isFirst || places.get(y) === places.get(before.at(-1)) + 1;
    const kept = isFirst ? firstGap + EARLIER * earlier : isNext ? gap : Math.min(gap, HIDDEN_GAP);
    before.push(y);
    after.push(after.at(-1) + (late.has(y) ? Math.max(kept, LATE_GAP) : kept));
  }
  before.push(Math.max(bottom, before.at(-1) + 1));
  after.push(after.at(-1) + 16);
  return (y) => {
    if (y <= top) return y;
    if (y >= bottom) return after.at(-1) + y - bottom;
    let low = 0, high = before.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (before[middle] <= y) low = middle;
      else high = middle;
    }
    return after[low] + (y - before[low]) * (after[high] - after[low]) / (before[high] - before[low]);
  };
};

// Return the current ends of an arrow. columns and nowX: the original and the current x by lane.
const placeArrow = ({ isLoop, from, to, x1, x2, y1, y2, end }, { lanes, columns, nowX, nowY }) => {
  const first = lanes.get(from), last = lanes.get(to), now = nowY(y1);
  const part = (x2 - x1) / (columns[last] - columns[first]); // less than 1 for a lost message
  return {
    x1: nowX[first], x2: isLoop ? x2 : nowX[first] + part * (nowX[last] - nowX[first]),
    y1: now, y2: end === undefined ? now + y2 - y1 : nowY(y2),
  };
};

// Return a function that finds room for the label of an arrow, and remembers occupied places: at first those of boxes.
// A box is x and y of its middle, half its width w and half its height h.
const makeLabels = (boxes, nowX, lanes) => {
  const taken = new Map(), none = [];
  const take = (x, y, w, h) => {
    const band = Math.floor(y / BAND);
    for (const near of [band - 1, band, band + 1]) {
      for (const other of taken.get(near) ?? none) {
        if (Math.abs(x - other.x) < w + other.w && Math.abs(y - other.y) < h + other.h) return false;
      }
    }
    if (!taken.has(band)) taken.set(band, []);
    taken.get(band).push({ x, y, w, h });
    return true;
  };
  for (const { x, y, w, h } of boxes) take(x, y, w, h);
  return ({ isLoop, isReply, type, from, to, now: { x1, y1, x2, y2 } }) => {
    const half = type.length * LETTER / 2;
    if (isLoop) {
      const x = x1 + LOOP + 4 + half, y = (y1 + y2) / 2;
      return take(x, y, half, SIZE / 2) ? `translate(${x} ${y + 6})` : null;
    }
    const margin = (half + HEAD) / Math.hypot(x2 - x1, y2 - y1);
    if (margin > 0.5) return null;
    let slope = Math.atan((y2 - y1) / (x2 - x1)), angle = Math.round(slope * 180 / Math.PI);
    if (Math.abs(angle) > STEEPEST) slope = angle = 0;
    const w = half * Math.cos(slope), h = SIZE / 2 + half * Math.abs(Math.sin(slope));
    const passed = nowX.slice(...[lanes.get(from), lanes.get(to)].sort((a, b) => a - b));
    const gaps = new Set(passed).size;
    for (let gap = 0; gap < gaps; gap++) {
      const part = Math.min(Math.max((gap + 0.5) / gaps, margin), 1 - margin);
      const x = x1 + (x2 - x1) * part, y = y1 + (y2 - y1) * part;
      if (take(x, y + (isReply ? BELOW : ABOVE), w, h)) return `translate(${x} ${y}) rotate(${angle})`;
    }
    return null;
  };
};

// Return the paths of the overview, width pixels wide: a bar for the messages at each height, and a mark for lost ones.
const pathsOfOverview = (messages, to, width) => {
  const counts = new Map(), lost = new Set();
  for (const { now, isLost } of messages) {
    const y = Math.round(to(now.y1));
    counts.set(y, (counts.get(y) ?? 0) + 1);
    if (isLost) lost.add(Math.round(to(now.y2)));
  }
  const most = Math.max(...counts.values(), 1);
  return {
    count: [...counts].map(([y, count]) => `M0 ${y}h${width * 0.8 * count / most}`).join(""),
    lost: [...lost].map((y) => `M${width - 6} ${y}h6`).join(""),
  };
};
