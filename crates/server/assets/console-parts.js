// What the views of the console share: figures as text, tables that are updated in place, and the text of errors.
import { element } from "/session.js";

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const UNKNOWN = "–";
export const count = value => value === null || value === undefined ? UNKNOWN : whole.format(value);
/** A rate a second: with a decimal as long as it matters. */
export const rate = value => value === null || value === undefined ? UNKNOWN : value > 0 && value < 100 ? tenths.format(value) : whole.format(value);
export function milliseconds(value, bound = "") {
  if (value === null || value === undefined) return UNKNOWN;
  if (value >= 1000) return `${bound}${tenths.format(value / 1000)} s`;
  return `${bound}${(value >= 10 ? whole : value >= 1 ? tenths : hundredths).format(value)} ms`;
}
export function bytes(value) {
  if (value === null || value === undefined) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0, size = value;
  while (size >= 1024 && unit < units.length - 1) { size /= 1024; unit += 1; }
  return `${unit && size < 100 ? tenths.format(size) : whole.format(size)} ${units[unit]}`;
}
/** How many of something: "1 instance", "3 instances". */
export const many = (number, one, several = `${one}s`) => `${count(number)} ${number === 1 ? one : several}`;
export const sum = (items, of) => items.reduce((total, item) => total + (of(item) ?? 0), 0);
/** The largest, of those that are known; `null` if none is. */
export const largest = (items, of) => items.map(of).filter(Number.isFinite).reduce((a, b) => Math.max(a, b), -Infinity);

const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();
/** A time of day to the second, with the day if it is not today's. */
export function clock(at) {
  const day = sameDay(at, Date.now()) ? "" : `${new Date(at).toLocaleDateString([], { day: "numeric", month: "short" })} `;
  return day + new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}
/** The same to the millisecond, for what happened shortly after each other. */
export const exactly = at => `${clock(at)}.${String(at % 1000).padStart(3, "0")}`;
/** A duration in its two largest units. */
export function lasting(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes >= 10) return `${minutes} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/** `slow_client` as people read it: `slow client`. */
export const spelt = label => label.replaceAll("_", " ");
export const TRANSPORTS = { webSockets: "WebSockets", serverSentEvents: "Server-sent events", longPolling: "Long polling" };
export const PROTOCOLS = { json: "JSON", messagePack: "MessagePack", messagepack: "MessagePack" };

// Characters that are not seen and change how others are: controls, directions of writing, widths of zero, tags. Joiners belong to names of people.
const UNSEEN = /[\p{Cc}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;
/** A text that strangers have a part in, as it is: a name cannot look like another one, nor turn the words behind it around. */
export const plain = text => text.replace(UNSEEN, unseen => `\\u{${unseen.codePointAt(0).toString(16)}}`);

/** Sets the text of an element if it is another one, so that what is selected or read out is left alone. */
export function write(target, text) {
  const shown = plain(text);
  if (target.textContent !== shown) target.textContent = shown;
}

/** Gives an input a value; `taken` returns the same, also where an input cannot show it, as it leaves out ends of lines. */
export function give(input, value) {
  input.value = value;
  input.given = { value, shown: input.value };
}
/** What is in an input: nothing is cut off its ends, since names that differ in a space are of different users. */
export const taken = input => input.given?.shown === input.value ? input.given.value : input.value;

/** The heading of the view that is shown, which takes the focus when what had it is gone. */
export const heading = () => document.querySelector(".view:not([hidden]) > h2[tabindex]");
/** Does something, and returns the focus to what had it within `place`, or to what takes its place. */
export function keepingFocus(place, change, instead = heading) {
  const before = place.contains(document.activeElement) ? document.activeElement : null;
  change();
  if (!before || (before === document.activeElement && before.checkVisibility())) return;
  [before, instead(), heading()].find(one => one?.checkVisibility())?.focus({ preventScroll: true });
}

/** Writes a cell's text, with a second text behind it that matters less. */
export function writeTwo(target, text, less) {
  if (target.dataset.shown === `${text}\n${less}`) return;
  target.dataset.shown = `${text}\n${less}`;
  target.replaceChildren(plain(text));
  if (less) target.append(" ", element("small", "", plain(less)));
}

/**
 * A table whose rows are kept from one update to the next, so that focus and selection stay. `columns`: `{ head, number, hidden, show(cell, item) }`; the first
 * is the header of its row. `key(item)` names a row.
 */
export class Table {
  #rows = new Map();
  constructor(table, columns, key) {
    Object.assign(this, { table, columns, key });
    const heads = table.tHead.insertRow();
    for (const { head, number, className = "", isHidden } of columns) {
      const cell = element("th", `${number ? "number" : ""} ${className}`.trim());
      cell.scope = "col";
      cell.append(isHidden ? element("span", "visually-hidden", head) : head);
      heads.append(cell);
    }
  }

  show(items) {
    keepingFocus(this.table, () => this.#show(items), () => this.table.closest(".scroll") ?? this.table.querySelector("button"));
  }
  #show(items) {
    const body = this.table.tBodies[0], before = this.#rows;
    this.#rows = new Map();
    items.forEach((item, index) => {
      const key = this.key(item);
      const row = before.get(key) ?? this.#row();
      before.delete(key);
      this.#rows.set(key, row);
      row.item = item;
      this.columns.forEach((column, n) => column.show(row.cells[n], item, row));
      if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
    });
    for (const row of before.values()) row.remove();
  }

  #row() {
    const row = element("tr");
    this.columns.forEach(({ number, className = "" }, n) => {
      const cell = element(n ? "td" : "th", `${number ? "number" : ""} ${className}`.trim());
      if (!n) cell.scope = "row";
      row.append(cell);
    });
    return row;
  }
}

/** Shows terms and what they stand for in a `dl`; rows as `[term, text, less]`, those without text left out. */
export function facts(list, rows) {
  const shown = rows.filter(([, text]) => text !== null && text !== undefined && text !== "");
  while (list.children.length > 2 * shown.length) list.lastChild.remove();
  while (list.children.length < 2 * shown.length) list.append(element("dt"), element("dd"));
  shown.forEach(([term, text, less], n) => {
    write(list.children[2 * n], term);
    writeTwo(list.children[2 * n + 1], text, less ?? "");
  });
}

/** A state with its dot. `tone`: good, wait, bad or soft. */
export function state(cell, text, tone) {
  cell.firstElementChild ?? cell.append(element("span"));
  cell.firstElementChild.className = `state ${tone}`;
  write(cell.firstElementChild, text);
}

/** Options of a select, kept if they are the same: `[value, text]`. */
export function options(select, pairs) {
  const wanted = JSON.stringify(pairs);
  if (select.dataset.options === wanted) return;
  select.dataset.options = wanted;
  const chosen = select.value;
  select.replaceChildren(...pairs.map(([value, text]) => new Option(plain(text), value)));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

/** Which instances did not answer, as a sentence; nothing if all did. */
export function unheard(silent) {
  const names = (silent ?? []).map(({ name, id }) => name || id);
  return names.length ? `${names.join(", ")} did not answer, so what ${names.length === 1 ? "it has" : "they have"} is missing.` : "";
}
