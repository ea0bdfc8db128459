// Charts of the last hour, drawn by uPlot from what the instances have kept of themselves.
import { Hour, added, ofKnown } from "/console-hour.js";
import { element } from "/session.js";
import { UNKNOWN, clock, count, largest, milliseconds, plain, rate } from "/console-parts.js";

// Instances beyond these share a line.
const LINES = 6;
const HEIGHT = 150;
const COLOURS = Array.from({ length: LINES + 1 }, (_, n) => `var(--s${n + 1})`);

function perInstance(field) {
  return (hour, times) => {
    const all = [...hour.instances.values()].filter(({ points }) => points.size).sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
    const shown = all.length > LINES ? all.slice(0, LINES - 1) : all;
    const lines = shown.map(instance => ({ name: instance.name, values: hour.of(instance, field, times) }));
    const rest = all.slice(shown.length);
    if (rest.length) lines.push({ name: `${rest.length} others`, values: added(rest.map(instance => hour.of(instance, field, times))) });
    return lines;
  };
}
const overFleet = (join, ...lines) => (hour, times) => lines.map(([name, field]) => ({
  name, values: join([...hour.instances.values()].map(instance => hour.of(instance, field, times))),
}));

const CHARTS = [
  { title: "Connections", lines: perInstance("connections"), text: count },
  { title: "Messages a second", lines: overFleet(added, ["in", "messagesIn"], ["out", "messagesOut"]), text: rate },
  { title: "Latency, slowest instance", lines: overFleet(ofKnown, ["calls, p99", "callsP99Ms"], ["deliveries, p99", "deliveriesP99Ms"], ["Redis", "redisMs"]), text: milliseconds },
  { title: "Trouble, each 10 s", lines: overFleet(added, ["slow clients", "slowClients"], ["dropped", "dropped"], ["refused", "refused"]), text: count },
];

/** All of them. `history(minutes)` asks for what there is of the last minutes. */
export class Charts {
  #isAsking = false;
  #asked = 0;
  constructor(place, history) {
    Object.assign(this, { place, history });
    this.hour = new Hour();
    this.charts = CHARTS.map(chart => new Chart(place, chart));
    const redraw = () => this.draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const chart of this.charts) chart.forget(); redraw(); });
    new ResizeObserver(() => { for (const chart of this.charts) chart.fit(); }).observe(place);
  }

  /** A new connection: all of the hour is asked for again, since others may answer. */
  again() { this.#asked = 0; }

  /** Asks for what is new, every 10 s. */
  async refresh() {
    const since = performance.now() - this.#asked;
    if (this.#isAsking || (this.#asked && since < 10_000)) return;
    this.#isAsking = true;
    try {
      const minutes = this.#asked ? Math.min(60, Math.ceil(since / 60_000) + 1) : 60;
      this.hour.add(await this.history(minutes));
      this.#asked = performance.now();
      this.draw();
    } catch {
      // There is no connection, or too much was asked for: the next snapshot asks again.
    } finally {
      this.#isAsking = false;
    }
  }

  draw() {
    if (!this.hour.step || !this.place.checkVisibility()) return;
    const times = this.hour.times;
    for (const chart of this.charts) chart.show(times, this.hour);
  }

  forget() {
    this.hour = new Hour();
    this.#asked = 0;
    for (const chart of this.charts) chart.forget();
  }
}

class Chart {
  constructor(place, { title, lines, text }) {
    Object.assign(this, { title, lines, text });
    const figure = element("figure", "card chart"), caption = element("figcaption");
    this.when = element("span", "when");
    this.keys = element("ul", "keys");
    this.plot = element("div", "plot");
    caption.append(element("h3", "", title), this.when);
    figure.append(caption, this.keys, this.plot);
    place.append(figure);
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.#empty();
    this.plot.addEventListener("keydown", event => this.#step(event));
    this.plot.addEventListener("blur", () => this.#moveTo(null));
  }

  #empty() {
    this.keys.replaceChildren();
    this.when.textContent = "";
    this.plot.replaceChildren(element("p", "nothing", "Nothing yet"));
    this.plot.setAttribute("aria-label", `${this.title}: nothing yet`);
  }

  show(times, hour) {
    this.times = times;
    this.shown = this.lines(hour, times);
    const data = [times.map(time => time / 1000), ...this.shown.map(({ values }) => values)];
    const names = this.shown.map(({ name }) => name).join("\n");
    if (!this.uplot || names !== this.names) this.#make(data, names);
    else this.uplot.setData(data);
    this.#describe();
    this.#legend(this.uplot.cursor.idx);
  }

  #make(data, names) {
    this.uplot?.destroy();
    this.names = names;
    this.plot.replaceChildren();
    this.keys.replaceChildren(...this.shown.map(({ name }, n) => this.#key(name, n)));
    const colour = name => this.#colour(name);
    const axis = { stroke: colour("var(--soft)"), grid: { stroke: colour("var(--line)"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.uplot = new uPlot({
      width: this.plot.clientWidth, height: HEIGHT, legend: { show: false }, padding: [8, 10, 0, 0],
      cursor: { drag: { x: false, y: false }, y: false, points: { size: 6 }, sync: { key: "console", setSeries: false } },
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, size: 24, gap: 2, space: 60, values: (_, splits) => splits.map(at => clock(at * 1000).slice(-8, -3)) },
        { ...axis, size: 52, gap: 4, space: 34, values: (_, splits) => splits.map(value => this.#onAxis(value)) },
      ],
      series: [{}, ...this.shown.map((_, n) => ({ stroke: colour(COLOURS[n]), width: 1.5, spanGaps: false, points: { show: (_, series) => this.#isSparse(series), size: 3 } }))],
      hooks: { setCursor: [uplot => this.#legend(uplot.cursor.idx)] },
    }, data, this.plot);
  }

  /** A line that is a point here and there has no length to be seen by. */
  #isSparse(series) { return (this.shown[series - 1]?.values ?? []).filter(value => value !== null).length < 4; }
  #onAxis(value) { return value === 0 ? "0" : Number.isInteger(value) || this.text === milliseconds ? this.text(value) : ""; }

  /** A canvas needs the colour itself. */
  #colour(value) {
    const probe = element("i");
    probe.style.color = value;
    this.plot.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  #key(name, n) {
    const item = element("li"), mark = element("i");
    mark.style.background = COLOURS[n];
    item.append(mark, element("span", "name", plain(name)), element("b"));
    item.title = plain(name);
    return item;
  }

  #legend(index) {
    const isNow = index === null || index === undefined;
    this.when.textContent = isNow ? "" : clock(this.times[index]);
    this.shown.forEach(({ values }, n) => {
      const value = isNow ? values.at(-1) ?? values.at(-2) ?? null : values[index] ?? null;
      this.keys.children[n].lastChild.textContent = value === null ? UNKNOWN : this.text(value);
    });
  }

  #describe() {
    const lines = this.shown.map(({ name, values }) => {
      const known = values.filter(value => value !== null);
      if (!known.length) return `${name}: nothing known`;
      const gaps = values.length - known.length ? `, with ${values.length - known.length} of ${values.length} times missing` : "";
      return `${name}: last ${this.text(known.at(-1))}, from ${this.text(Math.min(...known))} to ${this.text(largest(known, value => value))}${gaps}`;
    });
    this.plot.setAttribute("aria-label", `${this.title} in the last hour. ${plain(lines.join("; "))}. Arrow keys go through the times.`);
  }

  /** The arrows move the mark, Home and End to the ends, Escape takes it away. */
  #step(event) {
    if (!this.uplot) return;
    const last = this.times.length - 1, now = this.uplot.cursor.idx ?? last;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - 30, PageDown: now + 30, Home: 0, End: last, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#moveTo(to === null ? null : Math.min(last, Math.max(0, to)));
  }
  #moveTo(index) {
    if (!this.uplot) return;
    const left = index === null ? -10 : this.uplot.valToPos(this.times[index] / 1000, "x");
    this.uplot.setCursor({ left, top: index === null ? -10 : 10 });
  }

  fit() { this.uplot?.setSize({ width: this.plot.clientWidth, height: HEIGHT }); }
  forget() {
    this.uplot?.destroy();
    this.uplot = this.names = undefined;
    this.#empty();
  }
}
