// The last hour, as the instances have told it.
const HOUR_MS = 3_600_000;
// A clock that is ahead by more does not move the hour of the others.
const AHEAD_MS = 60_000;
// Steps that the others wait for an instance whose newest is not there yet: without it a sum would look like a fall.
const PATIENCE = 2;

/** What each instance has told of the last hour: what is known of one that is gone stays, so its lines end where it did. */
export class Hour {
  instances = new Map();

  add({ at, stepSeconds, fields, instances }) {
    this.step = stepSeconds * 1000;
    const now = Math.floor(at / this.step) * this.step;
    const newest = instances.map(({ points }) => points?.findLast(([time]) => time <= at + AHEAD_MS)?.[0]).filter(Boolean);
    this.last = Math.max(now - PATIENCE * this.step, Math.min(...newest, Math.max(now, ...newest)));
    for (const { id, name, points } of instances) {
      if (!this.instances.has(id)) this.instances.set(id, { id, name: name || id, points: new Map() });
      const known = this.instances.get(id);
      for (const point of points ?? []) {
        if (point[0] > at + AHEAD_MS) continue;
        known.points.set(point[0], Object.fromEntries(fields.map((field, n) => [field, point[n]])));
      }
    }
    for (const { points } of this.instances.values()) {
      for (const time of points.keys()) if (time <= this.last - HOUR_MS) points.delete(time);
    }
    const told = new Set(instances.map(({ id }) => id));
    for (const [id, { points }] of this.instances) if (points.size === 0 && !told.has(id)) this.instances.delete(id);
  }

  /** The times of the hour, a step apart, oldest first. */
  get times() {
    const steps = HOUR_MS / this.step;
    return Array.from({ length: steps }, (_, n) => this.last - (steps - 1 - n) * this.step);
  }
  /** A field of an instance at each time; `null` where nothing is known. */
  of(instance, field, times) { return times.map(time => instance.points.get(time)?.[field] ?? null); }
}

const add = values => values.reduce((a, b) => a + b, 0);
/** Joins lines time by time. Where one of them has a gap the whole is not known either: it would look like a fall. */
function joined(lines, join) {
  const spans = lines.map(line => [line.findIndex(value => value !== null), line.findLastIndex(value => value !== null)]);
  return (lines[0] ?? []).map((_, n) => {
    const values = lines.filter((_, l) => spans[l][0] >= 0 && spans[l][0] <= n && n <= spans[l][1]).map(line => line[n]);
    return values.length === 0 || values.includes(null) ? null : join(values);
  });
}
export const added = lines => joined(lines, add);
/** The largest, of those that are known: what is measured only where something is done has gaps of its own. */
export const ofKnown = lines => (lines[0] ?? []).map((_, n) => {
  const values = lines.map(line => line[n]).filter(value => value !== null);
  return values.length ? Math.max(...values) : null;
});
