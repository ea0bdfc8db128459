// Rows 28 to 33: Redis goes away, stands still, comes late, fails over, and is a cluster.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { Redis } from '../../javascript/parts/redis.mjs';
import { poll } from '../../javascript/parts/until.mjs';
import { HUB, isReal, MixedFleet, PREFIX } from './parts/fleet.mjs';
import { judge } from './parts/outage-judge.mjs';
import { Crew } from './parts/players.mjs';
import { Cluster, Sentinel, subscribers } from './parts/redis-topologies.mjs';
import { rowOf } from './parts/row.mjs';
import { Sender } from './parts/sender.mjs';
import { WatchedRedis } from './parts/watched-redis.mjs';

const ALL = `${PREFIX}${HUB}:all`;
/** What is sent in the first five seconds of a long outage, ASP.NET Core has given up before the end of it. */
const GIVEN_UP = 10;

/** Declares them, each with a fleet of its own. */
export function playOutages() {
  const row = rowOf(...Crew.results());
  describe('outages', { concurrency: 3 }, () => {
    row(29, 'Redis away for 20 s', t => withRedis(t, WatchedRedis, (...parts) => away(t, 20_000, GIVEN_UP, ...parts)));
    row(30, 'Redis stopped for 10 s', t => withRedis(t, Redis, stopped));
    row(31, 'Redis late', late);
    row(28, 'Redis away for 3 s', t => withRedis(t, WatchedRedis, (...parts) => away(t, 3000, 0, ...parts)));
    row(32, 'Sentinel', sentinel);
    row(33, 'Cluster', cluster);
  });
}

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

/** A fleet without taps, which would hide how a link ends. */
async function begun(t, connection) {
  const crew = new Crew();
  t.after(() => crew.end());
  const fleet = await MixedFleet.start({ redis: {}, connection });
  t.after(() => fleet.end());
  return { fleet, crew };
}

async function withRedis(t, Kind, play) {
  const redis = await Kind.start();
  t.after(() => redis.stop());
  const { fleet, crew } = await begun(t, redis.connectionString);
  await bothListen(redis);
  const clients = await crew.join(fleet.servers, { user: 'ada' });
  for (const client of clients) await client.invoke('JoinGroup', `before, ${client.at}`);
  await play(redis, clients);
  for (const client of clients) assert.deepEqual(client.changes, [], client.title);
}

const bothListen = (redis, channel = ALL) => poll(() => subscribers(redis, channel), count => count === 2, `both servers on ${channel}`);

/** Redis is killed and comes back empty. Everybody sends meanwhile; ASP.NET Core gives up the first `givenUp` sends of each. */
async function away(t, ms, givenUp, redis, clients) {
  const before = redis.asked;
  await redis.stop();
  const senders = clients.map(client => new Sender(client));
  await pause(ms);
  await Promise.all(senders.map(sender => isReal(sender.at) ? sender.gaveUp(givenUp) : sender.isHeardBy(clients.filter(({ at }) => at === sender.at))));
  await redis.start();
  await bothListen(redis);
  await Promise.all(senders.map(sender => sender.succeeds()));
  await Promise.all(senders.map(sender => sender.stop()));
  // Whatever was sent before has arrived after that, or never will.
  await sendsWork(clients);
  judge(redis, before, senders, clients, t);
  await membershipsWork(clients);
}

/** Redis is frozen and goes on. */
async function stopped(redis, clients) {
  redis.process.signal('SIGSTOP');
  const senders = clients.map(client => new Sender(client));
  await pause(10_000);
  await Promise.all(senders.map(sender => isReal(sender.at) ? sender.gaveUp(1) : sender.isHeardBy(clients.filter(({ at }) => at === sender.at))));
  redis.process.signal('SIGCONT');
  await bothListen(redis);
  await Promise.all(senders.map(sender => sender.stop()));
  await Promise.all(senders.map(sender => sender.isHeardBy(clients)));
  await sendsWork(clients);
  for (const sender of senders) {
    // The hub always learns how it went, but ASP.NET Core's has several names for what only took long.
    for (const { text, outcome } of sender.sends) assert.match(outcome, isReal(sender.at) ? /^\d+ ms (ok$|\w+Exception: )/ : / ms ok$/, text);
    for (const client of clients) assert.deepEqual(sender.textsAt(client), sender.texts, `${sender.title} at ${client.title}`);
  }
}

/**
 * Servers start before Redis. Hubline serves; ASP.NET Core lets its clients in and closes them. Neither needs a restart when Redis
 * comes.
 */
async function late(t) {
  const redis = await Redis.absent();
  t.after(() => redis.stop());
  const { fleet, crew } = await begun(t, redis.connectionString);
  const early = [];
  await Promise.all(Object.entries(fleet.servers).map(async ([name, server]) => {
    if (isReal(name)) return refused(crew, server);
    early.push(...await crew.join({ [name]: server }));
    for (const client of early) await client.invoke('JoinGroup', 'g');
    for (const client of early) await client.invoke('SendAll', `alone, ${client.title}`);
    for (const client of early) await Promise.all(early.map(({ title }) => client.text(`alone, ${title}`)));
  }));
  await redis.start();
  const real = Object.fromEntries(Object.entries(fleet.servers).filter(([name]) => isReal(name)));
  const clients = [...early, ...await crew.join(real)];
  if (early.length) await poll(() => subscribers(redis, `${PREFIX}${HUB}:group:g`), count => count === 1, 'the group');
  await bothListen(redis);
  await sendsWork(clients);
  for (const client of clients) await client.invoke('SendGroup', 'g', `to the early ones, ${client.title}`);
  for (const client of early) await Promise.all(clients.map(({ title }) => client.text(`to the early ones, ${title}`)));
  await membershipsWork(clients);
  for (const client of clients) assert.deepEqual(client.changes, [], client.title);
}

/** Each client is let in and then closed, with status 1011 of WebSockets; perhaps before it has got to its handshake. */
async function refused(crew, server) {
  for (const { value: client, reason } of await Promise.allSettled(crew.attempts({ server }, '/conformance'))) {
    if (reason) {
      assert.match(String(reason), /not in the OPEN state|1011|InternalServerError|disconnected|closed/);
      continue;
    }
    await client.event('closed');
    assert.match(client.changes[0][1], /1011|InternalServerError/, client.title);
  }
}

/** Row 3 in both directions. */
async function sendsWork(clients) {
  for (const client of clients) {
    const text = `afterwards from ${client.title}, ${Math.random()}`;
    await client.invoke('SendAll', text);
    await Promise.all(clients.map(receiver => receiver.text(text)));
  }
}

/** Rows 9, 13 and 15 in both directions, of each client with each of the other server. */
async function membershipsWork(clients) {
  const pairs = clients.flatMap(client => clients.filter(({ at }) => at !== client.at).map(other => [client, other]));
  await Promise.all(pairs.map(async ([client, other]) => {
    const group = `${other.title} of ${client.title}`;
    await other.invoke('JoinGroup', group);
    await client.invoke('SendGroup', group, `joined ${group}`);
    await other.text(`joined ${group}`);
    await client.invoke('AddToGroup', other.id, `${group}, added`);
    await client.invoke('SendGroup', `${group}, added`, `added ${group}`);
    await other.text(`added ${group}`);
    assert.equal(await client.invoke('AskClient', other.id, 'q'), 'yes', group);
  }));
  // Nobody else was in those groups.
  for (const client of clients) {
    for (const word of ['joined', 'added']) {
      const expected = pairs.filter(([, other]) => other === client).map(([from]) => `${word} ${client.title} of ${from.title}`);
      assert.deepEqual(client.texts.filter(text => text.startsWith(`${word} `)).toSorted(), expected.toSorted());
    }
  }
}

async function sentinel(t) {
  const redis = await Sentinel.start();
  t.after(() => redis.stop());
  const { fleet, crew } = await begun(t, redis.connection);
  await bothListen(redis.master);
  const clients = await crew.join(fleet.servers);
  await sendsWork(clients);
  await redis.failOver();
  // Both on the same node.
  await bothListen(redis.replica);
  // ASP.NET Core may have to find the master for what it sends, too.
  const sends = client => poll(() => client.invoke('Try', 'all', '', 'anybody?'), outcome => / ms ok$/.test(outcome), `a send of ${client.title}`);
  await Promise.all(clients.filter(({ at }) => isReal(at)).map(sends));
  await sendsWork(clients);
  await membershipsWork(clients);
  for (const client of clients) assert.deepEqual(client.changes, [], client.title);
}

async function cluster(t) {
  const redis = await Cluster.start();
  t.after(() => redis.stop());
  const { fleet, crew } = await begun(t, redis.connection);
  await bothListen(await redis.ownerOf(`${HUB}:all`));
  const clients = await crew.join(fleet.servers);
  for (const client of clients) {
    // The slot is that of the name without the prefix.
    const name = `${HUB}:connection:${client.id}`;
    const owner = await redis.ownerOf(name);
    for (const master of redis.masters) assert.equal(await subscribers(master, PREFIX + name), master === owner ? 1 : 0);
  }
  await sendsWork(clients);
  await membershipsWork(clients);
}
