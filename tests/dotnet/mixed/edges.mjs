// Rows 24 to 27 and 34: one protocol only, bad payloads, prefixes, an owner that crashes, load.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { Process } from '../../javascript/parts/process.mjs';
import { Redis } from '../../javascript/parts/redis.mjs';
import { poll } from '../../javascript/parts/until.mjs';
import { HUB, isReal, MixedFleet, PREFIX } from './parts/fleet.mjs';
import { DotNetPlayers, JavaScriptPlayers } from './parts/players.mjs';
import { RedisLink } from './parts/redis-link.mjs';
import { rowOf } from './parts/row.mjs';
import { connectionName, inbound, normalised, recorded, SERVER_NAMES } from './parts/vectors.mjs';

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
      row(24, `${server} with JSON only`, t => played(t, JavaScriptPlayers, { [server]: ['--protocols', 'json'] }, (...fleet) => oneProtocol(server, ...fleet)));
    }
    describe('row 25', { concurrency: 1 }, () => badPayloads(row));
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

/** Every payload by hand, on both servers at once: J is a JSON and M a MessagePack connection of each, user ada, in group g. */
function badPayloads(row) {
  let fleet, players, redis;
  const connections = { r: {}, n: {} };
  const all = () => Object.values(connections).flatMap(({ J, M }) => [J, M]);

  async function connect(server, name) {
    const client = await players.connect(fleet.servers[server], { messagePack: name === 'M', user: 'ada' });
    await client.invoke('JoinGroup', 'g');
    connections[server][name] = client;
    client.valid = 0;
  }
  before(async () => {
    fleet = await (await MixedFleet.start()).listening();
    players = new JavaScriptPlayers();
    redis = await RedisLink.open(fleet.redis.port);
    for (const server of ['r', 'n']) for (const name of ['J', 'M']) await connect(server, name);
  });
  after(async () => {
    await players?.end();
    redis?.end();
    await fleet?.end();
  });

  /** What came of payloads made by hand: they have a first argument of their own. */
  const count = client => client.called('Receive').filter(([from]) => from === 't').length;
  /** What the payload does to this server: who receives it, who is closed, what it publishes. `named`: whether ids in it are of its connections. */
  function effects({ channel, effect, decoded, ack, answer }, { J, M }, named) {
    const internal = channel.includes(':internal:');
    if (internal || effect.startsWith('dropped')) return { publishes: ack && { payload: ack } };
    if (effect.startsWith('asked')) return { asks: J, publishes: answer && { protocol: 'json', invocationId: 'inv8' } };
    if (effect.startsWith('connection aborted')) return { closes: [M], publishes: { payload: answer } };
    if (effect.startsWith('every connection')) return { closes: [J, M] };
    // It passes on what is no message: the client breaks off, or closes because it is told to.
    if (effect.startsWith('bytes passed on')) return decoded.messages.json.text?.includes('type":6') ? {} : { closes: [J] };
    if (effect === 'delivered to the others only' && named) return {};
    const to = channel.includes(':connection:') ? [J] : [J, M];
    const gets = { json: J, messagepack: M };
    const receives = to.filter(client => Object.keys(decoded.messages).some(protocol => gets[protocol] === client));
    return { receives, closes: to.filter(client => !receives.includes(client)) };
  }

  for (const [at, vector] of inbound.entries()) {
    row(25, `${at + 1} ${vector.name} on ${vector.channel.slice(HUB.length + 1).replace(/[-_][-\w]*$/, '')}`, async () => {
      const isForOne = /:connection:|:internal:/.test(vector.channel);
      for (const servers of isForOne ? [['r'], ['n']] : [['r', 'n']]) {
        const from = fleet.commands.length;
        const expected = servers.map(server => ({ server, ...effects(vector, connections[server], server === servers[0]) }));
        await publish(vector, servers[0]);
        for (const { server, receives = [], closes = [], asks, publishes } of expected) {
          for (const client of receives) {
            client.valid++;
            await client.until(() => count(client) >= client.valid, () => `${count(client)} of ${client.valid} at ${server}`);
          }
          if (asks) await asks.until(() => asks.asked > (asks.before ?? 0), () => `a question at ${server}`);
          if (asks) asks.before = asks.asked;
          const published = () => fleet.commands.slice(from).filter(c => c.server === server && c.command === 'PUBLISH' && c.channel.startsWith(`${PREFIX}${HUB}:internal:`));
          if (publishes) {
            await fleet.until(() => published().length > 0, () => `an answer of ${server}`);
            const [{ payload, decoded, channel }] = published();
            assert.ok(channel.startsWith(PREFIX) && (vector.effect.includes(channel.slice(PREFIX.length)) || vector.answer), channel);
            if (publishes.payload) assert.equal(payload, publishes.payload);
            else assert.deepEqual([decoded.protocol, JSON.parse(decoded.completion.text).invocationId], [publishes.protocol, publishes.invocationId]);
          }
          for (const client of closes) {
            await client.event('closed');
            await connect(server, client === connections[server].J ? 'J' : 'M');
          }
        }
        // The next good message arrives everywhere, and nothing else has.
        const text = `after ${at} ${servers}`;
        await connections.r.J.invoke('SendAll', text);
        await Promise.all(all().map(client => client.text(text)));
        for (const client of all()) assert.equal(count(client), client.valid);
        const acks = fleet.commands.slice(from).filter(c => c.command === 'PUBLISH' && c.channel.includes(':internal:ack:'));
        assert.equal(acks.length, vector.ack ? 1 : 0, JSON.stringify(acks));
      }
    });
  }

  /** Under the ids and names that are here. */
  async function publish({ channel, payload }, server) {
    const { J, M } = connections[server];
    const hex = text => Buffer.from(text).toString('hex');
    const names = [[connectionName('J1'), J.id], [connectionName('M1'), M.id], [SERVER_NAMES.B, fleet.nameOf(server)]];
    const here = names.reduce((text, [recorded, own]) => text.replaceAll(recorded, own), channel);
    const bytes = names.slice(0, 2).reduce((text, [recorded, own]) => text.replaceAll(hex(recorded), hex(own)), payload);
    await redis.call('PUBLISH', PREFIX + here, Buffer.from(bytes, 'hex'));
  }
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
  fleets.push(await MixedFleet.start({ redis, prefixes: { r: 'conf:', n: 'other:' } }), await MixedFleet.start({ redis, prefixes: { r: 'third:', n: '' } }));
  const clients = await Promise.all(fleets.flatMap(fleet => ['r', 'n'].map(server => players.connect(fleet.servers[server], { user: 'ada' }))));
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
  const clients = await Promise.all([r, n].flatMap(server => [false, true].map(messagePack => players.connectTo(`${server.url}/benchhub`, { messagePack, events: ['OnBroadcast'] }))));
  const words = ['--url', `${r.url}/benchhub`, '--json', 'fleet', '--other', `${n.url}/benchhub`, '--rate', LOAD_RATE, '--seconds', LOAD_SECONDS, '--warm-up', 0];
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
