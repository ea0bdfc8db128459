// Rows 28 to 33: Redis goes away, stands still, comes late, fails over, and is a cluster.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { Redis } from '../../javascript/parts/redis.mjs';
import { poll } from '../../javascript/parts/until.mjs';
import { HUB, MixedFleet, PREFIX } from './parts/fleet.mjs';
import { JavaScriptPlayers } from './parts/players.mjs';
import { Cluster, Sentinel, subscribers } from './parts/redis-topologies.mjs';
import { rowOf } from './parts/row.mjs';

const OTHER = { r: 'n', n: 'r' };
const ALL = `${PREFIX}${HUB}:all`;
/** StackExchange.Redis keeps what it cannot send for so long. */
const BACKLOG_MS = 5000;

/** Declares them, each with a fleet of its own. */
export function playOutages() {
  const row = rowOf(JavaScriptPlayers.result);
  describe('outages', { concurrency: 3 }, () => {
    row(29, 'Redis away for 20 s', t => withRedis(t, away(20_000)));
    row(30, 'Redis stopped for 10 s', t => withRedis(t, stopped));
    row(28, 'Redis away for 3 s', t => withRedis(t, away(3000)));
    row(31, 'Redis late', late);
    row(32, 'Sentinel', sentinel);
    row(33, 'Cluster', cluster);
  });
}

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

/** A fleet without taps, with a JSON client on each server: they would hide how a link ends. */
async function begun(t, connection, players = new JavaScriptPlayers()) {
  const fleet = await MixedFleet.start({ redis: {}, connection });
  t.after(async () => {
    await players.end();
    await fleet.end();
  });
  return { fleet, players };
}

async function withRedis(t, play) {
  const redis = await Redis.start();
  t.after(() => redis.stop());
  const { fleet, players } = await begun(t, redis.connectionString);
  await bothListen(redis);
  const [r, n] = await Promise.all(['r', 'n'].map(server => players.connect(fleet.servers[server])));
  await play(redis, { r, n });
  for (const client of [r, n]) assert.deepEqual(client.events, []);
}

const bothListen = (redis, channel = ALL) => poll(() => subscribers(redis, channel), count => count === 2, `both servers on ${channel}`);

/** What a client sends each half second until it is told to stop: the texts with how each went. */
function sending(client, name) {
  const sends = [];
  let going = true;
  const ended = (async () => {
    for (let i = 0; going; i++) {
      // What is sent before the link is known to be gone may be lost with it.
      await pause(500);
      const text = `${name} ${i}`;
      const sent = { text, at: Date.now() };
      sent.outcome = client.invokeFor(30_000, 'Try', 'all', '', text);
      sends.push(sent);
    }
  })();
  return { stop: async () => { going = false; await ended; for (const sent of sends) sent.outcome = await sent.outcome; return sends; } };
}

/** Redis is killed and comes back empty. */
function away(ms) {
  return async (redis, clients) => {
    await redis.stop();
    const senders = Object.entries(clients).map(([server, client]) => [server, sending(client, `${server} sends`)]);
    await pause(ms);
    await redis.start();
    const back = Date.now();
    await bothListen(redis);
    const listening = Date.now();
    assert.ok(listening - back < 2000, `channels were back after ${listening - back} ms`);
    const sends = Object.fromEntries(await Promise.all(senders.map(async ([server, sender]) => [server, await sender.stop()])));

    for (const [server, client] of Object.entries(clients)) {
      for (const { text, at, outcome } of sends[server]) {
        // ASP.NET Core holds back what it cannot send, and loses it after 5 s; what is on the edge may go either way.
        if (server === 'r' && back - at > BACKLOG_MS - 1000) {
          if (back - at > BACKLOG_MS + 1500) assert.match(outcome, /^\d{4} ms RedisConnectionException/, text);
          continue;
        }
        assert.match(outcome, / ms ok$/, text);
        // It sends that as soon as it can, whoever listens again by then; Hubline waits for the others.
        if (server === 'r' && at < listening) continue;
        for (const [where, receiver] of Object.entries(clients)) {
          await receiver.until(() => receiver.texts.includes(text), () => `${text} at ${where} in ${receiver.texts.slice(-5)}`);
        }
      }
      assert.equal(new Set(client.texts).size, client.texts.length, 'none twice');
    }
    await sendsWork(clients);
    await membershipsWork(clients);
  };
}

/** Redis is frozen and goes on. */
async function stopped(redis, clients) {
  redis.process.signal('SIGSTOP');
  const senders = Object.entries(clients).map(([server, client]) => [server, sending(client, `${server} sends`)]);
  await pause(10_000);
  redis.process.signal('SIGCONT');
  const sends = await Promise.all(senders.map(async ([server, sender]) => [server, await sender.stop()]));
  await bothListen(redis);
  for (const [server, sent] of sends) {
    for (const { text } of sent) {
      for (const [where, receiver] of Object.entries(clients)) {
        await receiver.until(() => receiver.texts.includes(text), () => `${text} of ${server} at ${where} in ${receiver.texts}`);
      }
    }
  }
  await sendsWork(clients);
  for (const client of Object.values(clients)) assert.equal(new Set(client.texts).size, client.texts.length, client.texts.join());
}

/** Hubline serves before Redis is there, and needs no restart when it comes. */
async function late(t) {
  const redis = await Redis.absent();
  t.after(() => redis.stop());
  const { fleet, players } = await begun(t, redis.connectionString);
  const early = await players.connect(fleet.servers.n);
  await early.invoke('JoinGroup', 'g');
  await early.invoke('SendAll', 'alone');
  await early.text('alone');
  await redis.start();
  await poll(() => subscribers(redis, `${PREFIX}${HUB}:group:g`), count => count === 1, 'the group');
  const r = await poll(() => players.connect(fleet.servers.r), Boolean, 'a client of r');
  await bothListen(redis);
  await sendsWork({ r, n: early });
  await r.invoke('SendGroup', 'g', 'to the early one');
  await early.text('to the early one');
}

/** Row 3 in both directions. */
async function sendsWork(clients) {
  for (const [server, client] of Object.entries(clients)) {
    const text = `afterwards from ${server} ${Math.random()}`;
    await client.invoke('SendAll', text);
    await Promise.all(Object.values(clients).map(receiver => receiver.text(text)));
  }
}

/** Rows 9, 13 and 15 in both directions. */
async function membershipsWork(clients) {
  for (const [server, client] of Object.entries(clients)) {
    const other = clients[OTHER[server]];
    const group = `of ${server}`;
    await other.invoke('JoinGroup', group);
    await client.invoke('SendGroup', group, `joined ${group}`);
    await other.text(`joined ${group}`);
    await client.invoke('AddToGroup', other.id, `${group}, added`);
    await client.invoke('SendGroup', `${group}, added`, `added ${group}`);
    await other.text(`added ${group}`);
    assert.equal(await client.invoke('AskClient', other.id, 'q'), 'yes');
  }
}

async function sentinel(t) {
  const redis = await Sentinel.start();
  t.after(() => redis.stop());
  const { fleet, players } = await begun(t, redis.connection);
  await bothListen(redis.master);
  const [r, n] = await Promise.all(['r', 'n'].map(server => players.connect(fleet.servers[server])));
  await sendsWork({ r, n });
  await redis.failOver();
  // Both on the same node.
  await bothListen(redis.replica);
  await sendsWork({ r, n });
  await membershipsWork({ r, n });
  for (const client of [r, n]) assert.deepEqual(client.events, []);
}

async function cluster(t) {
  const redis = await Cluster.start();
  t.after(() => redis.stop());
  const { fleet, players } = await begun(t, redis.connection);
  await bothListen(await redis.ownerOf(`${HUB}:all`));
  const [r, n] = await Promise.all(['r', 'n'].map(server => players.connect(fleet.servers[server])));
  for (const client of [r, n]) {
    // The slot is that of the name without the prefix.
    const name = `${HUB}:connection:${client.id}`;
    const owner = await redis.ownerOf(name);
    for (const master of redis.masters) assert.equal(await subscribers(master, PREFIX + name), master === owner ? 1 : 0);
  }
  await sendsWork({ r, n });
  await membershipsWork({ r, n });
}
