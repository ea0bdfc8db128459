// Redis is killed for 20 s under 200 messages a second from three instances.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';
import { poll } from './parts/until.mjs';

const INSTANCES = [0, 1, 2];
const BETWEEN_SENDS_MS = 15;
const SENT_MEANWHILE = 20_000 / BETWEEN_SENDS_MS;

/** A client that sends numbers to the room and keeps what every client of the room sent, by sender. */
class Sender {
  answered = 0;
  sent = 0;
  constructor(instance, client) {
    Object.assign(this, { instance, client, numbers: INSTANCES.map(() => []) });
    client.connection.on('ReceiveRoomMessage', (_, message) => {
      const [sender, number] = message.split(' ').map(Number);
      this.numbers[sender].push(number);
      client.changed();
    });
  }
  start() {
    this.timer = setInterval(() => {
      const text = `${this.instance} ${this.sent++}`;
      this.client.invoke('SendToRoom', 'lobby', text).then(() => { this.answered++; }, error => { this.failure = error; });
    }, BETWEEN_SENDS_MS);
  }
  stop() { clearInterval(this.timer); }
  async has(instance, number) {
    const numbers = this.numbers[instance];
    await this.client.until(() => numbers.at(-1) >= number, () => `${number} of ${instance} at ${this.instance}: ${numbers.slice(-5)}`);
  }
}

test('what is sent while Redis is away reaches this instance at once and the others afterwards, once and in order', async t => {
  const fleet = await Fleet.hubline(INSTANCES.length);
  t.after(() => fleet.end());
  const senders = await Promise.all(INSTANCES.map(async i => new Sender(i, await fleet.clientOf(i, '/chathub', { events: [] }))));
  for (const { client } of senders) await client.invoke('JoinRoom', 'lobby');
  t.after(() => senders.forEach(sender => sender.stop()));
  const health = async i => JSON.parse(await fleet.servers[i].health());
  const everywhere = status => Promise.all(INSTANCES.map(i => poll(() => health(i), now => now.status === status, `${status} at ${i}`)));
  const arrived = numbers => Promise.all(senders.flatMap(to => senders.map(from => to.has(from.instance, numbers[from.instance]))));

  senders.forEach(sender => sender.start());
  await arrived(INSTANCES.map(() => 100));
  const answeredBefore = senders.map(sender => sender.answered);
  await fleet.redis.stop();
  await everywhere('Degraded');
  const keptFrom = senders.map(sender => sender.sent);
  for (const sender of senders) {
    // One's own messages come all the time.
    for (let n = sender.sent; n < keptFrom[sender.instance] + SENT_MEANWHILE; n += 20) await sender.has(sender.instance, n);
  }
  await fleet.redis.start();
  await everywhere('Healthy');
  senders.forEach(sender => sender.stop());
  const last = senders.map(sender => sender.sent - 1);
  await arrived(last);

  let missing = 0;
  for (const to of senders) {
    assert.equal(to.failure, undefined);
    assert.deepEqual(to.client.events, [], 'stays connected');
    for (const from of INSTANCES) {
      const numbers = to.numbers[from];
      const had = new Set(numbers);
      assert.deepEqual(numbers, [...had].sort((a, b) => a - b), `once and in order, from ${from} at ${to.instance}`);
      const absent = Array.from({ length: last[from] + 1 }, (_, n) => n).filter(n => !had.has(n));
      missing += absent.length;
      // What was on its way when Redis was killed is nobody's to repeat: it may have arrived.
      assert.ok(absent.every(n => n >= answeredBefore[from] - 20 && n < keptFrom[from]), `${absent} of ${from} at ${to.instance}`);
      if (from === to.instance) assert.ok(absent.length <= 1, `${absent} of its own`);
    }
  }
  const counts = await Promise.all(INSTANCES.map(async i => (await health(i)).backplane.messages));
  const sum = name => counts.reduce((sum, counted) => sum + counted[name], 0);
  t.diagnostic(`${last.reduce((a, b) => a + b + 1, 0)} sent, ${sum('queued')} queued, ${sum('replayed')} replayed, ${sum('unknown')} unknown, ${missing} deliveries missing in the moment of the kill`);
  assert.ok(sum('queued') >= INSTANCES.length * SENT_MEANWHILE);
  assert.equal(sum('replayed'), sum('queued'));
  for (const name of ['expired', 'overflowed', 'refused', 'waiting']) assert.equal(sum(name), 0, name);
});
