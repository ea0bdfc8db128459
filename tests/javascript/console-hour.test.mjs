// What the console keeps of the last hour of the instances, however long a page is open.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { added, Hour, ofKnown } from '../../crates/server/assets/console-hour.js';

const STEP = 10_000, HOUR = 3_600_000, BEGIN = Date.UTC(2026, 10, 28);
const told = (at, instances) => ({ at, stepSeconds: 10, fields: ['at', 'connections'], instances: Object.entries(instances).map(([id, points]) => ({ id, name: id, points })) });
const points = (from, to, value = 1) => Array.from({ length: (to - from) / STEP }, (_, n) => [from + (n + 1) * STEP, value]);
const of = (hour, id) => hour.of(hour.instances.get(id), 'connections', hour.times);

test('a week in which instances come and go leaves an hour', () => {
  const hour = new Hour();
  for (let n = 1; n <= 7 * 24; n++) hour.add(told(BEGIN + n * HOUR, { [`web-${n}`]: points(BEGIN + (n - 1) * HOUR, BEGIN + n * HOUR), stays: points(BEGIN + (n - 1) * HOUR, BEGIN + n * HOUR) }));
  assert.deepEqual([...hour.instances.keys()], ['stays', 'web-168']);
  assert.deepEqual([...hour.instances.values()].map(({ points }) => points.size), [360, 360]);
  assert.deepEqual([hour.times[0], hour.times.at(-1)], [BEGIN + 7 * 24 * HOUR - HOUR + STEP, BEGIN + 7 * 24 * HOUR]);
});

test('one that has gone ends where it did, and leaves with its last point', () => {
  const hour = new Hour();
  const end = BEGIN + HOUR;
  hour.add(told(end, { one: points(BEGIN, end), two: points(BEGIN, end) }));
  hour.add(told(end + 2 * STEP, { one: points(end, end + 2 * STEP), two: null }));
  assert.deepEqual(of(hour, 'two').slice(-3), [1, null, null]);
  assert.deepEqual(added(['one', 'two'].map(id => of(hour, id))).slice(-3), [2, 1, 1]);
  hour.add(told(end + HOUR, { one: points(end, end + HOUR) }));
  assert.deepEqual([...hour.instances.keys()], ['one']);
});

test('a sum waits for whoever is about to tell, and not for long', () => {
  const hour = new Hour();
  hour.add(told(BEGIN + 10 * STEP + 100, { one: points(BEGIN, BEGIN + 10 * STEP), two: points(BEGIN, BEGIN + 9 * STEP) }));
  assert.equal(hour.times.at(-1), BEGIN + 9 * STEP);
  hour.add(told(BEGIN + 13 * STEP, { one: points(BEGIN + 10 * STEP, BEGIN + 13 * STEP), two: [] }));
  hour.add(told(BEGIN + 14 * STEP, { one: points(BEGIN + 13 * STEP, BEGIN + 14 * STEP), two: points(BEGIN, BEGIN + 9 * STEP) }));
  assert.equal(hour.times.at(-1), BEGIN + 12 * STEP);
});

test('a gap within is a gap of the sum, and the largest is of those that are known', () => {
  assert.deepEqual(added([[1, null, 1], [2, 2, 2]]), [3, null, 3]);
  assert.deepEqual(ofKnown([[1, null, null], [2, 2, null]]), [2, 2, null]);
  assert.deepEqual([added([]), ofKnown([])], [[], []]);
});

test('a clock that is hours ahead does not push the others out', () => {
  const hour = new Hour();
  hour.add(told(BEGIN + 10 * STEP, { right: points(BEGIN, BEGIN + 10 * STEP), ahead: points(BEGIN + 2 * HOUR, BEGIN + 2 * HOUR + 10 * STEP) }));
  assert.equal(hour.times.at(-1), BEGIN + 10 * STEP);
  assert.equal(of(hour, 'right').filter(value => value === 1).length, 10);
});
