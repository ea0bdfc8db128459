// Three instances, 300 connections, 1,000 broadcasts: each received once, in order per sender.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';

const [INSTANCES, PER_INSTANCE, SENDERS, EACH] = [3, 100, 10, 100];

test('every broadcast arrives once at every connection, in order per sender', { timeout: 180_000 }, async t => {
  const fleet = await Fleet.conformance(INSTANCES);
  t.after(() => fleet.end());
  const indices = Array.from({ length: INSTANCES * PER_INSTANCE }, (_, i) => i);
  await Promise.all(indices.map(i => fleet.client(i)));
  const senders = fleet.clients.slice(0, SENDERS);

  await Promise.all(senders.map(async sender => {
    for (let i = 0; i < EACH; i++) await sender.invoke('SendAll', String(i));
  }));
  await Promise.all(fleet.clients.map(c => c.calls('Receive', SENDERS * EACH)));
  await fleet.settled();

  const inOrder = Array.from({ length: EACH }, (_, i) => String(i));
  for (const client of fleet.clients) {
    assert.equal(client.texts.length, SENDERS * EACH + 1);
    for (const sender of senders) {
      const texts = client.of('Receive').filter(([from, text]) => from === sender.id && !text.startsWith('mark')).map(([, text]) => text);
      assert.deepEqual(texts, inOrder);
    }
  }
});
