// Rows 24 to 27 and 34: one protocol only, bad payloads, prefixes, an owner that crashes, load.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { Process } from '../../javascript/parts/process.mjs';
import { Redis } from '../../javascript/parts/redis.mjs';
import { poll } from '../../javascript/parts/until.mjs';
import { playBadPayloads } from './bad-payloads.mjs';
import { isReal, MixedFleet } from './parts/fleet.mjs';
import { DotNetPlayers, JavaScriptPlayers } from './parts/players.mjs';
import { rowOf } from './parts/row.mjs';
import { connectionName, normalised, recorded } from './parts/vectors.mjs';

const OTHER = { r: 'n', n: 'r' };
const LOAD_SECONDS = 10;
const LOAD_RATE = 2000;

/** Declares them, each with a fleet of its own. */
export function playEdges() {
  const row = rowOf(JavaScriptPlayers.result);
  // Four, so that those that wait for 30 s do it at once.
  describe('edges', { concurrency: 4 }, () => {
    for (const [Players, server] of [[JavaScriptPlayers, 'n'], [JavaScriptPlayers, 'r'], [DotNetPlayers, 'n']]) {
      rowOf(Players.result)(27, `${server} crashes`, t => played(t, Players, {}, (...fleet) => crash(server, ...fleet)));
    }
    for (const server of ['n', 'r']) {
      const options = { [server]: ['--protocols', 'json'] };
      row(24, `${server} with JSON only`, t => played(t, JavaScriptPlayers, options, (...fleet) => oneProtocol(server, ...fleet)));
    }
    playBadPayloads(row);
    row(26, 'prefixes', t => prefixes(t));
    row(34, 'load', t => played(t, JavaScriptPlayers, {}, load));
  });
}

async function played(t, Players, options, play) {
  const fleet = await MixedFleet.start(options);
  const players = new Players();
  t.after(async () => {
    await players.end();
    await fleet.end();
  });
  await fleet.listening();
  await play(fleet, players, t);
}

/**
 * What ASP.NET Core without MessagePack sends, MessagePack clients of the other cannot be given: they are closed and told to come
 * back. Hubline always sends both.
 */
async function oneProtocol(server, fleet, players) {
  const sender = await players.connect(fleet.servers[server]);
  const json = await players.connect(fleet.servers[OTHER[server]]);
  const messagePack = await players.connect(fleet.servers[OTHER[server]], { messagePack: true, reconnect: true });
  const sendsBoth = !isReal(server);
  const from = fleet.commands.length;
  await sender.invoke('SendAll', 'json only');
  await Promise.all([sender, json, ...(sendsBoth ? [messagePack] : [])].map(client => client.text('json only')));
  if (!sendsBoth) {
    await messagePack.event('reconnecting');
    await messagePack.event('reconnected');
    assert.ok(!messagePack.texts.includes('json only'));
  }
  const sent = fleet.commands.slice(from).filter(c => c.server === server && c.command === 'PUBLISH');
  await fleet.until(() => sent.every(c => c.receivers !== undefined));
  const expected = recorded('All', { member: sendsBoth ? 'recorded' : 'recordedJsonOnly', edits: [['"hi"', '"json only"']] });
  assert.deepEqual(normalised(sent, [[sender.id, connectionName('A1')]]), expected.map(c => ({ ...c, server })));
}

/** Who waits for a server that is gone, waits on; who asks it anew is told. */
async function crash(server, fleet, players) {
  const asker = await players.connect(fleet.servers[OTHER[server]]);
  const silent = await players.connect(fleet.servers[server], { ask: { silent: true } });
  let first = 'pending';
  asker.invokeFor(60_000, 'AskClient', silent.id, 'q').then(answer => { first = answer; }, () => {});
  await silent.until(() => silent.asked > 0);
  await fleet.servers[server].process.kill();
  const gone = `IOException: Connection '${silent.id}' does not exist.`;
  // Redis may still hold the link of the dead for a moment.
  await poll(() => asker.invoke('AskClient', silent.id, 'q'), answer => answer === gone, 'the connection that is gone');
  const started = Date.now();
  const added = await asker.invokeFor(45_000, 'AddToGroup', silent.id, 'g').then(() => 'it succeeded', error => error.message);
  assert.equal(added, "An unexpected error occurred invoking 'AddToGroup' on the server.");
  assert.ok(Date.now() - started >= 29_900, `${Date.now() - started} ms`);
  assert.equal(first, 'pending');
}

/** Fleets with other prefixes on the same Redis do not hear each other. */
async function prefixes(t) {
  const redis = await Redis.start();
  const players = new JavaScriptPlayers();
  const fleets = [];
  t.after(async () => {
    await players.end();
    await Promise.all(fleets.map(fleet => fleet.end()));
    await redis.stop();
  });
  for (const prefixes of [{ r: 'conf:', n: 'other:' }, { r: 'third:', n: '' }]) fleets.push(await MixedFleet.start({ redis, prefixes }));
  const servers = fleets.flatMap(({ servers: { r, n } }) => [r, n]);
  const clients = await Promise.all(servers.map(server => players.connect(server, { user: 'ada' })));
  // After its second message each has had whatever the first ones brought.
  for (const turn of [1, 2]) {
    for (const [at, client] of clients.entries()) {
      await client.invoke('SendAll', `${turn} to all of ${at}`);
      await client.invoke('SendUser', 'ada', `${turn} to ada of ${at}`);
    }
    for (const [at, client] of clients.entries()) for (const what of ['all', 'ada']) await client.text(`${turn} to ${what} of ${at}`);
  }
  for (const [at, client] of clients.entries()) assert.ok(client.texts.every(text => text.endsWith(` of ${at}`)), client.texts.join());
}

/** A thousand broadcasts a second on each side, and the official client among those that receive them. */
async function load(fleet, players) {
  const { r, n } = fleet.servers;
  const [here, there] = [r, n].map(server => `${server.url}/benchhub`);
  const listening = [here, there].flatMap(url => [false, true].map(messagePack => players.connectTo(url, { messagePack, events: ['OnBroadcast'] })));
  const clients = await Promise.all(listening);
  const words = ['--url', here, '--json', 'fleet', '--other', there, '--rate', LOAD_RATE, '--seconds', LOAD_SECONDS, '--warm-up', 0];
  const program = new Process(process.env.HUBLINE_LOAD, words.map(String));
  assert.equal(await program.ended, 0, program.lines.join('\n'));
  const { report } = JSON.parse(program.lines.at(-1));
  for (const part of [report.here, report.elsewhere]) {
    assert.deepEqual([part.missing, part.doubled, part.out_of_order], [0, 0, 0], JSON.stringify(report));
  }
  assert.equal(report.lost, 0);
  const count = LOAD_RATE * LOAD_SECONDS;
  for (const client of clients) {
    const received = () => client.of('OnBroadcast');
    await client.until(() => received().length >= count, () => `${received().length} of ${count}`);
    assert.equal(new Set(received().map(([text]) => text)).size, count);
    assert.equal(received().length, count);
  }
}
