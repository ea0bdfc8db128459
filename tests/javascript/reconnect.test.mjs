// A server that stops tells its clients to come back, and they do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';

test('clients of a stopped server reconnect when it is back', async t => {
  const fleet = await Fleet.conformance(2);
  t.after(() => fleet.end());
  const [first, second] = fleet.servers;
  const moving = [await fleet.client(0, { reconnect: true }), await fleet.client(0, { reconnect: true, user: 'ada' })];
  const staying = await fleet.client(1);

  const exitCode = await first.stop();
  assert.equal(exitCode, 0);
  for (const client of moving) {
    await client.logged('Close message received from server');
    await client.event('reconnecting');
    assert.deepEqual(client.events.filter(e => e.name === 'closed'), []);
  }
  await staying.invoke('SendAll', 'while away');
  await staying.text('while away');
  await second.post('/send/all?text=context');
  await staying.text('context');

  await first.start();
  const ids = moving.map(c => c.id);
  for (const [i, client] of moving.entries()) {
    assert.notEqual(await client.event('reconnected'), ids[i]);
    await client.invoke('WhoAmI');
  }
  await fleet.settled([staying, ...moving]);
  await staying.invoke('SendUser', 'ada', 'welcome back');
  await moving[1].text('welcome back');
  await moving[0].invoke('SendOthers', 'here again');
  await staying.text('here again');
  assert.ok(!moving[0].texts.includes('while away'));
});

test('a client that does not reconnect is closed', async t => {
  const fleet = await Fleet.conformance(1);
  t.after(() => fleet.end());
  const client = await fleet.client(0);
  await fleet.servers[0].stop();
  await client.event('closed');
});
