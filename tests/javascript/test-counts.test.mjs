// How the page /console/test judges what an instance sends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counts, figures } from '../../crates/server/assets/test-counts.js';

const counted = ({ received, missed, doubled, outOfOrder }) => [received, missed, doubled, outOfOrder];

test('what comes once and in order is right, and its latency counts from the click', () => {
  const counts = new Counts();
  counts.state({ version: 3, timestamp: 100 }, 1010);
  // The answer to the click may come behind the broadcast.
  counts.expect(100, 1000);
  counts.expect(101, 2000);
  counts.state({ version: 3, timestamp: 101 }, 2004);
  assert.equal(counts.giveUp(101), false);
  assert.deepEqual(counted(counts), [2, 0, 0, 0]);
  assert.deepEqual(figures(counts.latencies), { last: 4, median: 10, largest: 10 });
});

test('triggers within 25 ms are sent as one, and neither is missed', () => {
  const counts = new Counts();
  counts.expect(100, 0);
  counts.expect(100.02, 20);
  counts.state({ version: 1, timestamp: 100.02 }, 30);
  assert.equal(counts.giveUp(100) || counts.giveUp(100.02), false);
  assert.deepEqual(counts.latencies, [30, 10]);
});

test('what does not come is missed, once, until it comes', () => {
  const counts = new Counts();
  counts.expect(100, 0);
  assert.equal(counts.giveUp(100), true);
  assert.equal(counts.giveUp(100), false);
  assert.equal(counts.giveUp(99), false);
  assert.deepEqual(counted(counts), [0, 1, 0, 0]);
  counts.state({ version: 1, timestamp: 100 }, 9000);
  assert.deepEqual(counted(counts), [1, 0, 0, 0]);
  assert.deepEqual(counts.latencies, [9000]);
});

test('what comes twice is doubled, what is older than what was there is out of order', () => {
  const counts = new Counts();
  counts.state({ version: 2, timestamp: 100 }, 1);
  counts.state({ version: 2, timestamp: 100 }, 2);
  counts.state({ version: 1, timestamp: 101 }, 3);
  counts.state({ version: 2, timestamp: 99 }, 4);
  const change = { id: 7, changeType: 'Created', version: 3 };
  counts.change('mapping', change);
  counts.state({ version: 3, timestamp: 102 }, 5);
  counts.change('mapping', change);
  counts.change('mapping', { ...change, version: 2 });
  assert.deepEqual(counted(counts), [8, 0, 2, 3]);
});

test('a state that was asked for closes the gap, and is none of those that were sent', () => {
  const counts = new Counts();
  counts.state({ version: 5, timestamp: 100 }, 1);
  assert.equal(counts.asked({ version: 8 }), 3);
  assert.equal(counts.asked({ version: 8 }), 0);
  counts.state({ version: 7, timestamp: 101 }, 2);
  assert.deepEqual(counted(counts), [2, 0, 0, 1]);
});
