// Row 25: every payload that was made by hand, on both servers.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { poll } from '../../javascript/parts/until.mjs';
import { HUB, MixedFleet, PREFIX } from './parts/fleet.mjs';
import { DotNetPlayers } from './parts/players.mjs';
import { RedisLink } from './parts/redis-link.mjs';
import { rowOf } from './parts/row.mjs';
import { connectionName, inbound, SERVER_NAMES } from './parts/vectors.mjs';

const SERVERS = ['r', 'n'];
const INTERNAL = `${PREFIX}${HUB}:internal:`;

/** Declares it, a row for each payload. */
export function playBadPayloads(Players) {
  const row = rowOf(Players.result);
  describe(`row 25, ${Players.result.client} client`, { concurrency: 1 }, () => {
    let range;
    before(async () => { range = await Range.start(Players); });
    after(() => range?.end());
    for (const [at, vector] of inbound.entries()) {
      const channel = vector.channel.slice(HUB.length + 1).replace(/[-_][-\w]*$/, '');
      row(25, `${at + 1} ${vector.name} on ${channel}`, async () => {
        const isForOne = /:connection:|:internal:/.test(vector.channel);
        for (const servers of isForOne ? SERVERS.map(server => [server]) : [SERVERS]) await range.fire(vector, servers, `after ${at} ${servers}`);
      });
    }
  });
}

/**
 * On each server a JSON connection, J, and a MessagePack connection, M: user ada, in group g. `waits`: the clients wait for the
 * separator of a message that has none, and take the next message for its end; the others close.
 */
class Range {
  connections = { r: {}, n: {} };

  static async start(Players) {
    const range = new Range();
    range.fleet = await (await MixedFleet.start()).listening();
    range.players = new Players();
    range.waits = Players === DotNetPlayers;
    range.redis = await RedisLink.open(range.fleet.redis.port);
    for (const server of SERVERS) for (const name of ['J', 'M']) await range.#connect(server, name);
    return range;
  }
  async end() {
    await this.players.end();
    this.redis.end();
    await this.fleet.end();
  }

  async #connect(server, name) {
    const client = await this.players.connect(this.fleet.servers[server], { messagePack: name === 'M', user: 'ada' });
    await client.invoke('JoinGroup', 'g');
    this.connections[server][name] = Object.assign(client, { hits: 0, questions: 0 });
  }

  /** Publishes a payload that concerns these servers, under the ids of the first, and waits for its effect and for nothing else. */
  async fire(vector, servers, text) {
    const from = this.fleet.commands.length;
    const expected = servers.map(server => ({ server, ...effects(vector, this.connections[server], server === servers[0], this.waits) }));
    await this.#publish(vector, servers[0]);
    for (const effect of expected) await this.#takes(effect, vector, from);

    // The next good message arrives everywhere, and nothing else has.
    const everybody = Object.values(this.connections).flatMap(({ J, M }) => [J, M]);
    await this.connections.r.J.invoke('SendAll', text);
    await Promise.all(everybody.map(client => client.text(text)));
    for (const client of everybody) assert.equal(hits(client), client.hits);
    const acks = this.#published(from).filter(({ channel }) => channel.startsWith(`${INTERNAL}ack:`));
    assert.equal(acks.length, vector.ack ? 1 : 0, JSON.stringify(acks));
  }

  #published(from) { return this.fleet.commands.slice(from).filter(c => c.command === 'PUBLISH' && c.channel.startsWith(INTERNAL)); }

  async #publish({ channel, payload }, server) {
    const { J, M } = this.connections[server];
    const hex = text => Buffer.from(text).toString('hex');
    const ids = [[connectionName('J1'), J.id], [connectionName('M1'), M.id]];
    const here = [...ids, [SERVER_NAMES.B, this.fleet.nameOf(server)]].reduce((text, [recorded, own]) => text.replaceAll(recorded, own), channel);
    const bytes = ids.reduce((text, [recorded, own]) => text.replaceAll(hex(recorded), hex(own)), payload);
    await this.redis.call('PUBLISH', PREFIX + here, Buffer.from(bytes, 'hex'));
  }

  async #takes({ server, receives = [], waits = [], closes = [], asks, answers }, vector, from) {
    for (const client of waits) {
      client.hits++;
      // The first may be there before the payload.
      const ended = async () => { await client.send('SendCaller', 'what ends it'); return hits(client); };
      await poll(ended, count => count >= client.hits, `the message without an end at ${server}`);
    }
    for (const client of receives) {
      client.hits++;
      await client.until(() => hits(client) >= client.hits, () => `${hits(client)} of ${client.hits} at ${server}`);
    }
    if (asks) {
      asks.questions++;
      await asks.until(() => asks.asked >= asks.questions, () => `a question at ${server}`);
    }
    if (answers) {
      const published = () => this.#published(from).find(c => c.server === server);
      await this.fleet.until(published, () => `an answer of ${server}`);
      const { channel, payload, decoded } = published();
      if (vector.ack) assert.ok(vector.effect.endsWith(channel.slice(PREFIX.length)), channel);
      if (answers.payload) assert.equal(payload, answers.payload);
      else assert.deepEqual([decoded.protocol, JSON.parse(decoded.completion.text).invocationId], ['json', answers.invocationId]);
    }
    for (const client of closes) {
      await client.event('closed');
      await this.#connect(server, client === this.connections[server].J ? 'J' : 'M');
    }
  }
}

/** What came of payloads made by hand: they have a first argument of their own. */
const hits = client => client.called('Receive').filter(([from]) => from === 't').length;

/** What the payload does to a server: who receives it, who is closed or asked, what is answered. `isNamed`: its ids are of that server. `waits`: see there. */
function effects({ channel, effect, decoded, ack, answer }, { J, M }, isNamed, waits) {
  if (channel.includes(':internal:') || effect.startsWith('dropped')) return { answers: ack && { payload: ack } };
  if (effect.startsWith('asked')) return { asks: J, answers: answer && { invocationId: 'inv8' } };
  if (effect.startsWith('connection aborted')) return { closes: [M], answers: { payload: answer } };
  if (effect.startsWith('every connection')) return { closes: [J, M] };
  // What is passed on as it is and no message breaks its client off.
  if (effect.startsWith('bytes passed on')) {
    const { text, bad } = decoded.messages.json;
    if (text?.includes('type":6')) return {};
    return bad && waits ? { waits: [J] } : { closes: [J] };
  }
  if (effect === 'delivered to the others only' && isNamed) return {};
  const targets = channel.includes(':connection:') ? [J] : [J, M];
  const receives = targets.filter(client => (client === J ? 'json' : 'messagepack') in decoded.messages);
  return { receives, closes: targets.filter(client => !receives.includes(client)) };
}
