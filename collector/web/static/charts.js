// The charts of a host page: one request draws them, small ones for what is new keep them live.
import { align, merge, samples, trim } from "./series.js";
import { heard, missed } from "./live.js";
import { moment, now } from "./times.js";
import { axisTimes, figure, increments, scaleTop } from "./units.js";

const LINES = 8; // more lines than this in one chart are shown on demand
const section = document.getElementById("charts");
const main = document.getElementById("charts-main");
const more = document.getElementById("charts-more");
const drawn = new Map(); // chart id to its Chart
const sync = uPlot.sync("host");

let range = section.dataset.range;
let span = null; // home's last answer: {range, start, until, length, step}, in seconds
let asked = 0; // when home was last asked for samples
let askedAll = 0; // and when for all of the range
let request = null;

async function ask(since) {
  request?.abort();
  const mine = (request = new AbortController());
  const timeout = setTimeout(() => mine.abort(), 10000);
  const url = `${section.dataset.source}?range=${range}${since ? `&since=${since}` : ""}`;
  try {
    const reply = await fetch(url, { signal: mine.signal, headers: { Accept: "application/json" } });
    if (reply.status === 401) {
      location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
      return null;
    }
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    const answer = await reply.json();
    heard(reply.headers.get("Date"));
    return answer;
  } catch {
    if (mine === request) missed();
    return null;
  } finally {
    clearTimeout(timeout);
    if (mine === request) request = null;
  }
}

/** Ask for a whole range and draw it anew. */
async function load() {
  asked = askedAll = now();
  const answer = await ask(null);
  if (!answer) return;
  for (const chart of drawn.values()) chart.remove();
  drawn.clear();
  main.replaceChildren();
  more.lastElementChild.replaceChildren();
  take(answer);
  main.setAttribute("aria-busy", "false");
}

/** Ask for what is new, the last steps with it, since they may have been half full; and now and then for all, since
 * a host that was cut off brings what it measured meanwhile. */
async function append() {
  if (request) return;
  if (span?.range !== range) {
    await load();
    return;
  }
  const time = now();
  if (time - asked < Math.min(span.step / 2, 60)) return;
  const all = time - askedAll >= Math.max(span.step, 60);
  asked = time;
  if (all) askedAll = time;
  const answer = await ask(all ? null : span.until - 2 * span.step);
  if (answer) take(answer);
}

function take(answer) {
  span = answer;
  for (const part of answer.charts) {
    part.lines = part.lines.map((line) => ({ ...line, ...samples(answer.times, line.values) }));
    const chart = drawn.get(part.id);
    if (chart) chart.append(part);
    else add(part);
  }
  for (const chart of drawn.values()) chart.draw();
  more.hidden = more.lastElementChild.childElementCount === 0;
  const left = document.getElementById("charts-left");
  left.hidden = answer.left_out === 0;
  left.textContent = `${answer.left_out} more series are not drawn. The API gives them.`;
  if (drawn.size === 0) {
    const nothing = document.createElement("p");
    nothing.className = "card empty";
    nothing.textContent = "Nothing was measured in this time.";
    main.replaceChildren(nothing);
  }
}

function add(part) {
  if (drawn.size === 0) main.replaceChildren();
  const chart = new Chart(part);
  drawn.set(part.id, chart);
  (part.more ? more.lastElementChild : main).append(chart.element);
}

class Chart {
  constructor(part) {
    this.title = part.title;
    this.unit = part.unit;
    this.lines = part.lines;
    this.all = false;
    this.plot = null;
    this.element = document.createElement("figure");
    this.element.className = "card chart";
    const caption = document.createElement("figcaption");
    caption.className = "chart-title";
    caption.append(part.title);
    const check = document.createElement("span");
    if (part.check.toLowerCase() !== part.title.toLowerCase()) check.textContent = part.check;
    this.time = document.createElement("span");
    this.time.className = "chart-time";
    caption.append(check, this.time);
    this.canvas = document.createElement("div");
    this.canvas.className = "plot";
    this.canvas.setAttribute("role", "img");
    this.keys = document.createElement("ul");
    this.keys.className = "keys";
    this.element.append(caption, this.canvas, this.keys);
    watch.observe(this.canvas);
  }

  /** New samples replace those from their first time on; a series that is new becomes a line. */
  append(part) {
    for (const line of part.lines) {
      const known = this.lines.find((one) => one.key === line.key);
      if (known) {
        merge(known, line);
      } else {
        this.lines.push(line);
        this.unplot();
      }
    }
  }

  /** The lines to show: the highest ones where there are too many. */
  shown() {
    if (this.all || this.lines.length <= LINES) return this.lines;
    const peak = (line) => line.values.reduce((most, value) => Math.max(most, value ?? 0), 0);
    const highest = [...this.lines].sort((a, b) => peak(b) - peak(a)).slice(0, LINES);
    return this.lines.filter((line) => highest.includes(line));
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (width === 0) return; // in a closed part of the page: drawn when it opens
    const [from, to] = extent();
    for (const line of this.lines) trim(line, from);
    if (!this.plot) this.make(width);
    this.plot.setData(align(this.plotted, span.step), false);
    this.plot.setScale("x", { min: from, max: to });
    this.say(null);
    this.describe();
  }

  make(width) {
    const style = getComputedStyle(document.body);
    const colour = (name) => style.getPropertyValue(name).trim();
    this.plotted = this.shown();
    const colours = this.plotted.map((_, index) => colour(`--series-${(index % 8) + 1}`));
    const axis = {
      stroke: colour("--ink-2"),
      font: `11px ${style.fontFamily || "system-ui"}`,
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
    };
    const unit = this.unit;
    this.plot = new uPlot(
      {
        width,
        height: this.canvas.clientHeight,
        padding: [6, 18, 0, 0], // half a time fits right of the last line, where one may stand
        legend: { show: false },
        cursor: { sync: { key: sync.key, setSeries: false }, drag: { x: false, y: false }, y: false, points: { size: 6 } },
        scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), scaleTop(unit, high ?? 0)] } },
        axes: [
          { ...axis, values: axisTimes, space: 64, size: 26, gap: 6 },
          { ...axis, values: (_, ticks) => ticks.map((tick) => figure(tick, unit)), incrs: increments(unit), space: 34, size: 66, gap: 8 },
        ],
        series: [
          {},
          ...this.plotted.map((line, index) => ({
            label: line.label,
            stroke: colours[index],
            width: 1.6,
            dash: index >= 8 ? [6, 3] : undefined,
            fill: this.plotted.length === 1 ? `color-mix(in srgb, ${colours[index]} 14%, transparent)` : undefined,
            points: { size: 4 },
          })),
        ],
        hooks: { setCursor: [(plot) => this.say(plot.cursor.idx ?? null)] },
      },
      [[], ...this.plotted.map(() => [])],
      this.canvas,
    );
    this.key(colours);
  }

  key(colours) {
    this.values = [];
    this.keys.replaceChildren(
      ...this.plotted.map((line, index) => {
        const item = document.createElement("li");
        const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        swatch.setAttribute("class", "key-line");
        swatch.setAttribute("aria-hidden", "true");
        const stroke = document.createElementNS("http://www.w3.org/2000/svg", "line");
        for (const [name, value] of Object.entries({ x1: 1, x2: 13, y1: 4, y2: 4, stroke: colours[index], "stroke-width": 3, "stroke-linecap": "round", "stroke-dasharray": index >= 8 ? "4 4" : "none" })) {
          stroke.setAttribute(name, value);
        }
        swatch.append(stroke);
        const name = document.createElement("span");
        name.className = "key-name";
        name.textContent = line.label;
        const value = document.createElement("span");
        value.className = "key-value";
        this.values.push(value);
        item.append(swatch, name, value);
        return item;
      }),
    );
    if (this.plotted.length < this.lines.length) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.textContent = `Show all ${this.lines.length}`;
      button.addEventListener("click", () => {
        this.all = true;
        this.unplot();
        this.draw();
      });
      const item = document.createElement("li");
      item.append(button);
      this.keys.append(item);
    }
  }

  /** Write the values at an index, or the newest ones. */
  say(index) {
    if (!this.plot) return;
    const [times, ...columns] = this.plot.data;
    columns.forEach((column, line) => {
      let at = index ?? column.length - 1;
      while (index === null && at > 0 && column[at] == null) at -= 1;
      this.values[line].textContent = column[at] == null ? "–" : figure(column[at], this.unit);
    });
    this.time.textContent = index === null || times[index] === undefined ? "" : moment(new Date(times[index] * 1000));
  }

  describe() {
    const parts = this.plotted.map((line, index) => `${line.label} ${this.values[index].textContent}`);
    this.canvas.setAttribute("aria-label", `${this.title} over ${range}, now: ${parts.join(", ")}`);
  }

  unplot() {
    this.plot?.destroy();
    this.plot = null;
  }

  remove() {
    watch.unobserve(this.canvas);
    this.unplot();
    this.element.remove();
  }
}

/** The times that all charts show: the range, or less where the host has not been known for that long. */
function extent() {
  const to = Math.max(now(), span.until);
  return [Math.max(to - span.length, Math.min(span.start, to - 300)), to];
}

const watch = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const chart = [...drawn.values()].find((one) => one.canvas === target);
    if (!chart || target.clientWidth === 0) continue;
    if (chart.plot) chart.plot.setSize({ width: target.clientWidth, height: target.clientHeight });
    else chart.draw();
  }
});

section.querySelector(".segments").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  range = link.dataset.range;
  for (const one of section.querySelectorAll(".segments a")) one.toggleAttribute("aria-current", one === link);
  link.setAttribute("aria-current", "true");
  history.replaceState(null, "", link.href);
  load();
});

// Colours are baked into a canvas.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const chart of drawn.values()) {
    chart.unplot();
    chart.draw();
  }
});

document.addEventListener("hostward:live", append);
load();
