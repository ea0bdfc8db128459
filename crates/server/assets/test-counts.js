// What an instance has sent, judged: received, missed, doubled, out of order.
// The timestamp of what a trigger sends is the same on every instance, and triggers that come within 25 ms are sent as one, the latest.
const ONE_STATE_S = 0.03;
const REMEMBERED = 2000;

export class Counts {
  received = 0;
  missed = 0;
  doubled = 0;
  outOfOrder = 0;
  version = 0;
  latencies = [];
  #timestamp = 0;
  #seen = new Map();
  #expected = new Map();

  /** A state that was sent without having been asked for; `at` is when, in milliseconds. */
  state({ version, timestamp }, at) {
    this.#received(`state ${timestamp}`, version < this.version || timestamp < this.#timestamp);
    this.#known(version);
    this.#timestamp = Math.max(this.#timestamp, timestamp);
    remember(this.#seen, timestamp, at);
    for (const [broadcast, expected] of this.#expected) if (covers(timestamp, broadcast)) this.#arrived(broadcast, expected, at);
  }

  /** A change of a mapping or of a provider. */
  change(kind, { id, name, changeType, version }) {
    this.#received(`${kind} ${id ?? name} ${changeType} ${version}`, version < this.version);
    // The state of this version comes behind it.
  }

  /** A state that was asked for. Returns how many changes it brings that were not known. */
  asked({ version }) {
    const news = Math.max(0, version - this.version);
    this.#known(version);
    return news;
  }

  /** A broadcast of this timestamp is under way since `at`. */
  expect(timestamp, at) {
    const found = [...this.#seen].find(([seen]) => covers(seen, timestamp));
    const expected = { at, isMissed: false };
    if (found) this.#latency(found[1] - at);
    else remember(this.#expected, timestamp, expected);
  }

  /** Nobody waits longer for a broadcast. Whether it has not come. */
  giveUp(timestamp) {
    const expected = this.#expected.get(timestamp);
    if (!expected || expected.isMissed) return false;
    expected.isMissed = true;
    this.missed += 1;
    return true;
  }

  #arrived(broadcast, { at, isMissed }, now) {
    this.#expected.delete(broadcast);
    // Late is not missed.
    if (isMissed) this.missed -= 1;
    this.#latency(now - at);
  }

  #latency(milliseconds) {
    this.latencies.push(milliseconds);
    if (this.latencies.length > 1000) this.latencies.shift();
  }

  #received(what, isOld) {
    this.received += 1;
    if (this.#seen.has(what)) this.doubled += 1;
    else if (isOld) this.outOfOrder += 1;
    remember(this.#seen, what, 0);
  }

  #known(version) { this.version = Math.max(this.version, version); }
}

const covers = (seen, broadcast) => typeof seen === "number" && seen >= broadcast && seen <= broadcast + ONE_STATE_S;

function remember(seen, key, value) {
  seen.set(key, value);
  if (seen.size > REMEMBERED) seen.delete(seen.keys().next().value);
}

/** The last, the middle and the largest of some figures. */
export function figures(latencies) {
  const sorted = [...latencies].sort((a, b) => a - b);
  return { last: latencies.at(-1), median: sorted[Math.floor(sorted.length / 2)], largest: sorted.at(-1) };
}
