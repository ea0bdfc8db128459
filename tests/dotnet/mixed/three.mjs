// Hubline and both releases of ASP.NET Core over one Redis: each in turn sends every kind of target and asks the clients of the others.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Redis } from '../../javascript/parts/redis.mjs';
import { poll } from '../../javascript/parts/until.mjs';
import { HUB, MixedFleet, PREFIX } from './parts/fleet.mjs';
import { Ledger } from './parts/ledger.mjs';
import { Crew, DotNet11Players } from './parts/players.mjs';
import { subscribers } from './parts/redis-topologies.mjs';
import { rowOf } from './parts/row.mjs';

const NAMES = ['n', 'r', 's'];
let texts = 0;

/** Declares them. */
export function playThree() {
  const row = rowOf(...Crew.results(DotNet11Players));
  describe('three makes of servers', { concurrency: 1 }, () => {
    let three;
    before(() => { three = new Three(); return three.start(); });
    after(() => three.end());
    for (const x of NAMES) {
      const others = NAMES.filter(name => name !== x).join(' and ');
      row(35, `${x} to ${others}: targets`, () => three.each(x, targets));
      row(35, `${x} to ${others}: groups`, () => three.each(x, groups));
      row(35, `${x} to ${others}: client results`, () => three.each(x, clientResults));
      row(35, `${x} to ${others}: outside a hub`, () => outside(three, x));
    }
    test('nothing else came', () => three.settle());
  });
}

/** On each server both official clients with both protocols; those with MessagePack are user ada. */
class Three {
  #crew = new Crew(DotNet11Players);
  #ledger = new Ledger();

  async start() {
    this.redis = await Redis.start();
    this.fleet = await MixedFleet.start({ names: NAMES, redis: this.redis, connection: this.redis.connectionString });
    await poll(() => subscribers(this.redis, `${PREFIX}${HUB}:all`), count => count === NAMES.length, 'all servers');
    this.json = await this.#crew.join(this.fleet.servers, { protocols: ['json'] });
    this.ada = await this.#crew.join(this.fleet.servers, { protocols: ['messagepack'], user: 'ada' });
    this.all = [...this.json, ...this.ada];
  }
  async end() {
    await this.#crew.end();
    await this.fleet?.end();
    await this.redis?.stop();
  }

  /** Plays it with a client of each kind and protocol at a server. */
  async each(x, play) { for (const clients of [this.json, this.ada.toReversed()]) await play(this, clients.find(({ at }) => at === x)); }
  /** Sends a text of its own, `act(text)`, and waits until these clients have it. */
  async sends(receivers, act) {
    const text = `text ${++texts}`;
    for (const client of receivers) this.#ledger.owes(client, text);
    await act(text);
    await Promise.all(receivers.map(client => client.text(text)));
  }
  async settle() {
    for (const sender of this.json) await this.sends(this.all, text => sender.invoke('SendAll', text));
    for (const client of this.all) {
      this.#ledger.check(client);
      assert.deepEqual(client.changes, [], client.title);
    }
  }
}

const ids = clients => clients.map(({ id }) => id);
const without = (clients, left) => clients.filter(client => !left.includes(client));
const elsewhere = (clients, x) => clients.filter(({ at }) => at !== x);
/** The first client on each server. */
const oneEach = clients => NAMES.map(name => clients.find(({ at }) => at === name));

async function targets(three, x) {
  const sends = (receivers, method, ...target) => three.sends(receivers, text => x.invoke(method, ...target, text));
  const { all, ada } = three;
  const some = oneEach(all);
  await sends(all, 'SendAll');
  await sends(without(all, some), 'SendAllExcept', ids(some));
  await sends(without(all, [x]), 'SendOthers');
  await sends([x], 'SendCaller');
  for (const client of elsewhere(all, x.at)) await sends([client], 'SendClient', client.id);
  await sends(some, 'SendClients', ids(some));
  await sends(ada, 'SendUser', 'ada');
  await sends(ada, 'SendUsers', ['ada', 'bob']);
}

async function groups(three, x) {
  const group = `group of ${x.title}`;
  const sends = (receivers, method, ...target) => three.sends(receivers, text => x.invoke(method, ...target, text));
  const [joined, added] = [oneEach(three.ada), oneEach(three.json)];
  const members = [...joined, ...added];
  for (const client of joined) await client.invoke('JoinGroup', group);
  for (const { id } of added) await x.invoke('AddToGroup', id, group);
  await sends(members, 'SendGroup', group);
  await sends(joined, 'SendGroupExcept', group, ids(added));
  await sends(without(members, [x]), 'SendOthersInGroup', group);
  await sends(members, 'SendGroups', [group, 'nobody is in this one']);
  for (const { id } of added) await x.invoke('RemoveFromGroup', id, group);
  await sends(joined, 'SendGroup', group);
}

async function clientResults({ all }, x) {
  const owners = elsewhere(all, x.at);
  const answers = await Promise.all(owners.map(({ id }) => x.invoke('AskClient', id, 'q')));
  assert.deepEqual(answers, owners.map(() => 'yes'), x.title);
}

async function outside(three, x) {
  const { url } = three.fleet.servers[x];
  const post = async (path, text) => (await fetch(`${url}${path}?text=${encodeURIComponent(text)}`, { method: 'POST' })).text();
  const sends = (receivers, path) => three.sends(receivers, text => post(path, text));
  const [first] = elsewhere(three.all, x);
  await sends(three.all, '/send/all');
  await sends(without(three.all, [first]), `/send/except/${first.id}`);
  await sends(three.ada, '/send/user/ada');
  for (const client of elsewhere(three.all, x)) {
    await client.invoke('JoinGroup', `only ${client.title} of ${x}`);
    await sends([client], `/send/group/${encodeURIComponent(`only ${client.title} of ${x}`)}`);
    await sends([client], `/send/client/${client.id}`);
    assert.equal(await post(`/ask/${client.id}`, 'q'), 'yes');
  }
}
