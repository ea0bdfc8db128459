// An instance that is asked to stop: whoever is connected to it goes on at another one, on every transport, behind a real nginx.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpTransportType } from '@microsoft/signalr';
import { Client } from './parts/client.mjs';
import { Fleet } from './parts/fleet.mjs';
import { LoadBalancer } from './parts/load-balancer.mjs';
import { poll } from './parts/until.mjs';

const TRANSPORTS = ['WebSockets', 'ServerSentEvents', 'LongPolling'];
const EVENTS = ['ReceiveRoomMessage'];
const ROOM = 'ward';
const EACH = 3;
const BETWEEN_MESSAGES_MS = 10;

/** Sends numbers to the room until it is told to stop. */
class Numbers {
  constructor(client) {
    this.sent = 0;
    this.ended = (async () => {
      for (; !this.stopped; await new Promise(resolve => setTimeout(resolve, BETWEEN_MESSAGES_MS))) {
        await client.invoke('SendToRoom', ROOM, String(++this.sent));
      }
    })();
    // Looked at where it is stopped.
    this.ended.catch(() => {});
  }
  async stop() {
    this.stopped = true;
    await this.ended;
    return this.sent;
  }
}

test('clients of all transports go on at another instance, and each misses at most what was sent between two connections', async t => {
  const fleet = await Fleet.hubline(2, { args: ['--Drain:Delay=1'] });
  t.after(() => fleet.end());
  const balancer = await LoadBalancer.start(fleet.servers);
  t.after(() => balancer.stop());
  const [leaves, stays] = fleet.servers;

  const clients = await Promise.all(TRANSPORTS.flatMap(name => Array.from({ length: EACH }, async () => {
    const options = { transport: HttpTransportType[name], events: EVENTS, reconnect: true };
    const client = fleet.keep(await Client.connect(`${balancer.url}/chathub`, options));
    client.name = name;
    client.connection.onreconnected(() => client.invoke('JoinRoom', ROOM));
    await client.invoke('JoinRoom', ROOM);
    return client;
  })));
  const sender = await fleet.clientOf(1, '/chathub', { events: EVENTS });
  await sender.invoke('JoinRoom', ROOM);
  const numbers = new Numbers(sender);
  t.after(() => { numbers.stopped = true; });
  await Promise.all(clients.map(client => client.calls('ReceiveRoomMessage', 5)));

  leaves.process.signal('SIGTERM');
  await leaves.process.line(/Draining soon/);
  assert.equal((await fetch(`${leaves.url}/health/ready`)).status, 503);
  await assert.rejects(Client.connect(`${leaves.url}/chathub`), /503/);
  // It goes on by what it sends, too, wherever nginx sends it.
  await Promise.all(clients.map(client => client.invoke('JoinRoom', ROOM)));
  assert.equal(await leaves.process.exitCode(), 0);
  await leaves.process.line(/Drained: 0 connections, 0 calls, 0 streams and 0 unsent messages are left/);
  assert.equal((await fetch(`${stays.url}/health/ready`)).status, 200);

  // Who was connected there is not any more, so whoever is answered is at the other one.
  await Promise.all(clients.map(client => poll(() => client.invoke('JoinRoom', ROOM), () => true, client.name)));
  const moved = clients.filter(client => client.events.some(({ name }) => name === 'reconnected'));
  assert.ok(moved.length > 0);
  const last = await numbers.stop() + 1;
  await sender.invoke('SendToRoom', ROOM, String(last));
  const received = client => client.of('ReceiveRoomMessage').map(([, text]) => Number(text));
  for (const client of clients) {
    await client.until(() => received(client).at(-1) === last, () => `${last} in ${received(client)}`);
    const steps = received(client).slice(1).map((number, i) => number - received(client)[i]);
    assert.ok(steps.every(step => step > 0), `${client.name}: ${received(client)}`);
    const gaps = steps.filter(step => step > 1).length;
    assert.ok(gaps <= (moved.includes(client) ? 1 : 0), `${client.name}: ${received(client)}`);
    assert.deepEqual(client.events.filter(({ name }) => name === 'closed'), []);
  }
});
