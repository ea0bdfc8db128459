// Rows 24 to 27 and 34: one protocol only, bad payloads, prefixes, an owner that crashes, load. With ASP.NET Core 11 row 24.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { Process } from '../../javascript/parts/process.mjs';
import { Redis } from '../../javascript/parts/redis.mjs';
import { poll } from '../../javascript/parts/until.mjs';
import { playBadPayloads } from './bad-payloads.mjs';
import { HUB, isReal, MixedFleet, PREFIX } from './parts/fleet.mjs';
import { Crew, DotNet11Players, DotNetPlayers, JavaScriptPlayers } from './parts/players.mjs';
import { subscribers } from './parts/redis-topologies.mjs';
import { rowOf } from './parts/row.mjs';
import { connectionName, normalised, recorded } from './parts/vectors.mjs';

const LOAD_SECONDS = 10;
/** Broadcasts a second: half of them by the load program, half by the official clients; of both, half on each server. */
const LOAD_RATE = 2000;
const LOAD_TICK_MS = 20;

/** Declares them, each with a fleet of its own. */
export function playEdges() {
  const row = rowOf(...Crew.results());
  // Those that wait for 30 s do it at once, and two besides.
  describe('edges', { concurrency: 4 }, () => {
    for (const server of ['n', 'r']) row(27, `${server} crashes`, t => played(t, {}, (...parts) => crash(server, ...parts)));
    for (const server of ['n', 'r']) playOneProtocol(row, server, ['r', 'n']);
    for (const Players of [JavaScriptPlayers, DotNetPlayers]) playBadPayloads(Players);
    row(26, 'prefixes', t => prefixes(t));
    row(34, 'load', t => played(t, {}, load));
  });
}

/** Declares those with ASP.NET Core 11. */
export function playEdges11() {
  const row = rowOf(...Crew.results(DotNet11Players));
  describe('edges with ASP.NET Core 11', { concurrency: 2 }, () => {
    for (const server of ['n', 's']) playOneProtocol(row, server, ['s', 'n'], DotNet11Players);
  });
}

function playOneProtocol(row, server, names, DotNet) {
  const options = { names, [server]: ['--protocols', 'json'] };
  row(24, `${server} of ${names.join(' and ')} with JSON only`, t => played(t, options, (...parts) => oneProtocol(server, ...parts), DotNet));
}

async function played(t, options, play, DotNet) {
  const crew = new Crew(DotNet);
  t.after(() => crew.end());
  const fleet = await MixedFleet.start(options);
  t.after(() => fleet.end());
  await fleet.listening();
  await play(fleet, crew);
}

const only = ({ servers }, server) => ({ [server]: servers[server] });

/**
 * What ASP.NET Core without MessagePack sends, MessagePack clients of the other cannot be given: they are closed and told to come
 * back. Hubline always sends both.
 */
async function oneProtocol(server, fleet, crew) {
  const senders = await crew.join(only(fleet, server), { protocols: ['json'] });
  const json = await crew.join(only(fleet, fleet.other(server)), { protocols: ['json'] });
  const messagePack = await crew.join(only(fleet, fleet.other(server)), { protocols: ['messagepack'], reconnect: true });
  const sendsBoth = !isReal(server);
  for (const [at, sender] of senders.entries()) {
    const text = `json only ${at}`;
    const from = fleet.commands.length;
    await sender.invoke('SendAll', text);
    await Promise.all([...senders, ...json, ...(sendsBoth ? messagePack : [])].map(client => client.text(text)));
    if (!sendsBoth) for (const client of messagePack) await cameBack(client, at + 1);
    const expected = recorded('All', { member: sendsBoth ? 'recorded' : 'recordedJsonOnly', edits: [['"hi"', JSON.stringify(text)]] });
    const sent = () => fleet.commands.slice(from).filter(c => c.server === server && c.command === 'PUBLISH');
    await fleet.until(() => sent().length >= expected.length && sent().every(c => c.receivers !== undefined));
    assert.deepEqual(normalised(sent(), [[sender.id, connectionName('A1')]]), expected.map(c => ({ ...c, server })));
  }
  // Those who came back are there again, and what they were not given does not come later.
  await json[0].invoke('SendAll', 'both');
  await Promise.all([...senders, ...json, ...messagePack].map(client => client.text('both')));
  const texts = [...senders.keys()].map(at => `json only ${at}`);
  for (const client of messagePack) assert.deepEqual(client.texts, [...(sendsBoth ? texts : []), 'both'], client.title);
  for (const client of sendsBoth ? [...json, ...messagePack] : json) assert.deepEqual(client.changes, [], client.title);
}

/** Waits until a client was closed with an error and is back for the nth time. */
async function cameBack(client, n) {
  const changes = () => client.changes.map(([name]) => name);
  const expected = Array.from({ length: n }, () => ['reconnecting', 'reconnected']).flat();
  await client.until(() => changes().length >= expected.length, () => `${client.title}: ${JSON.stringify(client.changes)}`);
  assert.deepEqual(changes(), expected, client.title);
  assert.match(client.changes.at(-2)[1], /clos.* error/i, client.title);
}

/** Who waits for a server that is gone, waits on; who asks it anew is told. */
async function crash(server, fleet, crew) {
  const askers = await crew.join(only(fleet, fleet.other(server)));
  const silent = await crew.join(only(fleet, server), { ask: { silent: true } });
  const pairs = askers.flatMap(asker => silent.map(owner => ({ asker, owner, first: 'pending' })));
  for (const pair of pairs) {
    pair.asker.invokeFor(60_000, 'AskClient', pair.owner.id, 'q').then(answer => { pair.first = answer; }, () => {});
  }
  for (const client of silent) await client.until(() => client.asked === askers.length, () => `${client.title}: ${client.asked} questions`);
  await fleet.servers[server].process.kill();
  // Redis may still hold the link of the dead for a moment.
  for (const { id } of silent) await poll(() => subscribers(fleet.redis, `${PREFIX}${HUB}:connection:${id}`), count => count === 0, id);
  await Promise.all(pairs.map(async ({ asker, owner }) => {
    const gone = `IOException: Connection '${owner.id}' does not exist.`;
    assert.equal(await asker.invoke('AskClient', owner.id, 'q'), gone, `${asker.title} of ${owner.title}`);
    const started = Date.now();
    const added = await asker.invokeFor(45_000, 'AddToGroup', owner.id, 'g').then(() => 'it succeeded', error => error.message);
    assert.match(added, /An unexpected error occurred invoking 'AddToGroup' on the server\.$/, asker.title);
    assert.ok(Date.now() - started >= 29_900, `${Date.now() - started} ms`);
  }));
  for (const { asker, owner, first } of pairs) assert.equal(first, 'pending', `${asker.title} of ${owner.title}`);
  for (const client of askers) assert.deepEqual(client.changes, [], client.title);
}

/** Fleets with other prefixes on the same Redis do not hear each other. */
async function prefixes(t) {
  const crew = new Crew();
  t.after(() => crew.end());
  const redis = await Redis.start();
  t.after(() => redis.stop());
  const servers = {};
  for (const prefixes of [{ r: 'conf:', n: 'other:' }, { r: 'third:', n: '' }]) {
    const fleet = await MixedFleet.start({ redis, prefixes });
    t.after(() => fleet.end());
    for (const [server, prefix] of Object.entries(prefixes)) servers[`${server} under '${prefix}'`] = fleet.servers[server];
  }
  const clients = await crew.join(servers, { user: 'ada' });
  // After its second message each has had whatever the first ones brought.
  const turns = [1, 2].map(turn => clients.map(client => ['all', 'ada'].map(whom => `${turn} to ${whom} of ${client.title}`)));
  for (const texts of turns) {
    for (const [at, client] of clients.entries()) {
      await client.invoke('SendAll', texts[at][0]);
      await client.invoke('SendUser', 'ada', texts[at][1]);
    }
    for (const client of clients) {
      for (const [at, { at: server }] of clients.entries()) if (server === client.at) for (const text of texts[at]) await client.text(text);
    }
  }
  for (const client of clients) {
    const own = turns.flatMap(texts => texts.filter((_, at) => clients[at].at === client.at).flat());
    assert.deepEqual(client.texts.toSorted(), own.toSorted(), client.title);
  }
}

/** A thousand broadcasts a second on each side, and the official clients among those that send and receive them. */
async function load(fleet, crew) {
  const { r, n } = fleet.servers;
  const [here, there] = [r, n].map(server => `${server.url}/benchhub`);
  const clients = await crew.joinHub(fleet.servers, '/benchhub', { methods: { OnBroadcast: 1 } });
  // Who is answered is connected.
  await Promise.all(clients.map(client => client.invoke('Me')));
  const words = ['--url', here, '--json', 'fleet', '--other', there, '--rate', LOAD_RATE / 2, '--seconds', LOAD_SECONDS, '--warm-up', 0];
  const program = new Process(process.env.HUBLINE_LOAD, words.map(String));
  await program.line(/"running"/);
  const rate = LOAD_RATE / 2 / clients.length;
  const texts = await Promise.all(clients.map(client => broadcasts(client, rate, rate * LOAD_SECONDS)));
  assert.equal(await program.ended, 0, program.lines.join('\n'));
  const { report } = JSON.parse(program.lines.at(-1));
  for (const part of [report.here, report.elsewhere]) {
    assert.deepEqual([part.missing, part.doubled, part.out_of_order], [0, 0, 0], JSON.stringify(report));
  }
  assert.equal(report.lost, 0);

  const [own, count] = [texts.flat().toSorted(), LOAD_RATE * LOAD_SECONDS];
  const isOwn = text => clients.some(client => text.startsWith(client.title));
  for (const client of clients) {
    const received = () => client.called('OnBroadcast');
    await client.until(() => received().length >= count, () => `${client.title}: ${received().length} of ${count}`);
    const all = received().map(([text]) => text);
    assert.equal(new Set(all).size, count, client.title);
    assert.equal(all.length, count, client.title);
    assert.deepEqual(all.filter(isOwn).toSorted(), own, client.title);
    assert.deepEqual(client.changes, [], client.title);
  }
}

/** Sends what is due of so many broadcasts every few milliseconds; returns their texts once the server has answered each. */
async function broadcasts(client, rate, count) {
  const [texts, answers, begun] = [[], [], Date.now()];
  while (texts.length < count) {
    await new Promise(resolve => setTimeout(resolve, LOAD_TICK_MS));
    const due = Math.min(count, (Date.now() - begun) / 1000 * rate);
    while (texts.length < due) {
      const text = `${client.title} ${texts.length}`;
      texts.push(text);
      answers.push(client.invoke('Broadcast', text));
    }
  }
  await Promise.all(answers);
  return texts;
}
