// Rows 1 to 23 in both directions: with ASP.NET Core 10 and both official clients, with 11 and the .NET client 11. What each server asks of Redis is compared with what was recorded.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TcpProxy } from '../../javascript/parts/tcp-proxy.mjs';
import { HUB, isReal, MixedFleet, PREFIX } from './parts/fleet.mjs';
import { DotNet11Players, DotNetPlayers, JavaScriptPlayers } from './parts/players.mjs';
import { RedisLink } from './parts/redis-link.mjs';
import { rowOf } from './parts/row.mjs';
import { Session } from './parts/session.mjs';

const ODD = `é😀 *?[x]:a/b"'`;
const PERSON = { Name: 'Ada', Age: 36, Email: null, Tags: ['x'], Scores: { Maths: 10 } };
const SIZES = [31, 32, 255, 256, 65_535, 65_536, 1_000_000];

/** Declares those with ASP.NET Core 10. */
export function playRows() {
  for (const Players of [DotNetPlayers, JavaScriptPlayers]) playPair(['r', 'n'], Players, { inOrder: 2000 });
}

/** Declares those with ASP.NET Core 11. */
export function playRows11() { playPair(['s', 'n'], DotNet11Players, { inOrder: 500 }); }

/** `inOrder`: how many messages row 23 sends. */
function playPair(names, Players, { inOrder }) {
  const { client, version } = Players.result;
  describe(`${names.join(' and ')}, ${client} client ${version}`, { concurrency: 1 }, () => {
    const row = rowOf(Players.result);
    const parts = { inOrder };
    before(async () => {
      parts.fleet = await MixedFleet.start({ names });
      await parts.fleet.listening();
      parts.players = new Players();
      parts.redis = await RedisLink.open(parts.fleet.redis.port);
      // Row 14 takes 30 s, in which nothing else has to wait.
      for (const server of names) parts[server] = await lose(parts.players, parts.fleet.servers[server]);
    });
    after(async () => {
      await parts.players?.end();
      parts.redis?.end();
      await parts.fleet?.end();
    });
    row(1, 'startup', () => startsUp(parts.fleet, 'n'));
    for (const [x, y] of [names, names.toReversed()]) describe(`${x} to ${y}`, { concurrency: 1 }, () => rows(row, parts, x, y));
  });
}

/** Asks a server to put a connection that is nowhere into a group. */
async function lose(players, server) {
  const client = await players.connect(server);
  const started = Date.now();
  const lost = client.invokeFor(45_000, 'AddToGroup', 'nobody', 'lost').then(() => 'it succeeded', error => error.message);
  return { lost: lost.then(outcome => ({ outcome, ms: Date.now() - started })) };
}

/** The channels of each hub come first, in their order. */
function startsUp(fleet, server) {
  const subscribed = fleet.commands.filter(c => c.server === server && c.command === 'SUBSCRIBE').map(c => c.channel);
  for (const hub of [HUB, 'Conformance.BenchHub']) {
    const own = subscribed.filter(channel => channel.startsWith(`${PREFIX}${hub}:`)).slice(0, 4);
    const name = own[2]?.split(':').at(-1);
    assert.match(name, /_[0-9a-f]{32}$/);
    assert.deepEqual(own, ['all', 'internal:groups', `internal:ack:${name}`, `internal:return:${name}`].map(channel => `${PREFIX}${hub}:${channel}`));
  }
}

function rows(row, parts, x, y) {
  let s;
  const everyone = () => [s.x1, s.x2, s.y1, s.y2];
  before(() => {
    s = new Session(parts.fleet, parts.players, x, y);
    s.begin();
  });

  row(2, 'connect and disconnect', async () => {
    const channels = await parts.redis.channels();
    await s.connect('x1', 'connect, no user');
    await s.connect('x2', 'connect, with user');
    await s.connect('x3', 'connect, user already here', { user: 'ada', plays: 'A3' });
    await s.looksLike('disconnect, user stays', () => s.x3.stop(), { as: { A3: s.x3 } });
    await s.looksLike('disconnect with user', () => s.x2.stop());
    await s.looksLike('disconnect, user stays', () => s.x1.stop(), { as: { A3: s.x1 } });
    assert.deepEqual((await parts.redis.channels()).toSorted(), channels.toSorted());

    await s.connect('x1', 'connect, no user');
    await s.connect('x2', 'connect, with user');
    await s.connect('y1', 'connect on the other server, no user', { plays: 'B2' });
    await s.connect('y2', 'connect on the other server', { plays: 'B1' });
  });
  row(3, 'All', () => s.sends('All', everyone(), text => s.x1.invoke('SendAll', text)));
  row(4, 'AllExcept, Others', async () => {
    await s.sends('AllExcept', [s.x2, s.y1], text => s.x1.invoke('SendAllExcept', [s.x1.id, s.y2.id], text), { as: { B1: s.y2, B2: s.y1 } });
    await s.sends('AllExcept, no ids', everyone(), text => s.x1.invoke('SendAllExcept', [], text));
    await s.sends('Others', [s.x2, s.y1, s.y2], text => s.x1.invoke('SendOthers', text));
  });
  row(5, 'Client', async () => {
    await s.sends('Client, remote', [s.y2], text => s.x1.invoke('SendClient', s.y2.id, text));
    await s.sends('Client, local', [s.x2], text => s.x1.invoke('SendClient', s.x2.id, text));
    await s.sends('Client, unknown', [], text => s.x1.invoke('SendClient', 'nobody', text));
  });
  row(6, 'Clients', async () => {
    const ids = [s.x2.id, s.y1.id, s.y2.id];
    await s.sends('Clients, one local and two remote', [s.x2, s.y1, s.y2], text => s.x1.invoke('SendClients', ids, text));
    await s.sends('Clients, same id twice', [s.y1, s.y1], text => s.x1.invoke('SendClients', [s.y1.id, s.y1.id], text));
    await s.sends('Clients, none', [], text => s.x1.invoke('SendClients', [], text));
  });
  row(7, 'User, Users', async () => {
    await s.sends('User', [s.x2, s.y2], text => s.x1.invoke('SendUser', 'ada', text));
    await s.sends('Users', [s.x2, s.y2], text => s.x1.invoke('SendUsers', ['ada', 'bob'], text));
    await s.sends('User, unknown', [], text => s.x1.invoke('SendUser', 'bob', text));
  });
  row(8, 'last of a user', async () => {
    await s.looksLike('disconnect with user', () => s.y2.stop(), { as: { A2: s.y2 }, swapped: true });
    await s.sends('User', [s.x2], text => s.x1.invoke('SendUser', 'ada', text), { receivers: [1] });
    await s.connect('y2', 'connect on the other server', { plays: 'B1' });
  });
  row(9, 'groups', async () => {
    await s.looksLike('Group join, local', () => s.x1.invoke('JoinGroup', 'g'));
    await s.looksLike('Group join, again', () => s.x1.invoke('JoinGroup', 'g'));
    await s.looksLike('Group join, other server', () => s.y1.invoke('JoinGroup', 'g'));
    await s.sends('Group', [s.x1, s.y1], text => s.x1.invoke('SendGroup', 'g', text));
    await s.sends('Group, no members', [], text => s.x1.invoke('SendGroup', 'empty', text));
    await s.sends('GroupExcept', [s.x1], text => s.x1.invoke('SendGroupExcept', 'g', [s.x2.id, s.y1.id], text));
    await s.sends('OthersInGroup', [s.y1], text => s.x1.invoke('SendOthersInGroup', 'g', text));
  });
  row(10, 'several groups', async () => {
    await s.looksLike('Group join, h', () => s.y1.invoke('JoinGroup', 'h'), { swapped: true });
    await s.sends('Groups', [s.x1, s.y1, s.y1], text => s.x1.invoke('SendGroups', ['g', 'h', ''], text));
    await s.sends('Groups, same name twice', [s.x1, s.x1, s.y1, s.y1], text => s.x1.invoke('SendGroups', ['g', 'g'], text));
    await s.sends('Group, empty name', [], text => s.x1.invoke('SendGroup', '', text));
  });
  row(11, 'case and odd names', async () => {
    const other = { as: { A1: s.y1, B1: s.x1 }, swapped: true };
    await s.looksLike('Group name with odd characters', () => s.y1.invoke('JoinGroup', ODD), other);
    await s.looksLike('Group join, other case on the same connection', () => s.y1.invoke('JoinGroup', 'G'), other);
    await s.sends('Group send, odd characters', [s.y1], text => s.x1.invoke('SendGroup', ODD, text), other);
    await s.sends('Group send, other case', [s.y1], text => s.x1.invoke('SendGroup', 'G', text), other);
    await s.looksLike('Group leave, last local member', () => s.y1.invoke('LeaveGroup', 'g'));
    await s.looksLike('Group leave, not a member', () => s.y1.invoke('LeaveGroup', 'g'));
    await s.sends('Group send, other case', [s.y1], text => s.x1.invoke('SendGroup', 'G', text), other);
    await s.looksLike('Group join, other server', () => s.y1.invoke('JoinGroup', 'g'));
  });
  row(12, 'leave by disconnect', async () => {
    await s.looksLike('disconnect with groups and without user', () => s.y1.stop(), { as: { A1: s.y1 }, swapped: true, unordered: true });
    await s.sends('Group', [s.x1], text => s.x1.invoke('SendGroup', 'g', text), { receivers: [1] });
    await s.connect('y1', 'connect on the other server, no user', { plays: 'B2' });
  });
  row(13, 'remote add and remove', async () => {
    const change = (vector, method) => s.looksLike(vector, () => s.x1.invoke(method, s.y1.id, 'r'));
    const group = receivers => ({ receivers, edits: [[':group:g', ':group:r']] });
    await change('Group add, remote connection', 'AddToGroup');
    await change('Group add, remote connection, already a member', 'AddToGroup');
    await s.sends('Group', [s.y1], text => s.x1.invoke('SendGroup', 'r', text), group([1]));
    await change('Group remove, remote connection', 'RemoveFromGroup');
    await change('Group remove, remote connection, not a member', 'RemoveFromGroup');
    await s.sends('Group', [], text => s.x1.invoke('SendGroup', 'r', text), group([0]));
  });
  row(15, 'client results', async () => {
    for (const from of [s.x1, s.x2]) {
      for (const [to, vector] of [[s.y1, 'client result, remote, JSON client'], [s.y2, 'client result, remote, MessagePack client']]) {
        const answer = await s.looksLike(vector, () => from.invoke('AskClient', to.id, 'q'));
        assert.equal(answer, 'yes');
      }
    }
  });
  row(16, 'client result, error', async () => {
    await s.connect('y3', 'connect on the other server, no user', { ask: { throws: 'no answer' }, plays: 'B2' });
    const answer = await s.looksLike('client result, remote, client throws', () => s.x1.invoke('AskClient', s.y3.id, 'q'), { as: { B3: s.y3 } });
    assert.equal(answer, 'HubException: no answer');
    await s.looksLike('disconnect, user stays', () => s.y3.stop(), { as: { A3: s.y3 }, swapped: true });
  });
  row(17, 'client result, wrong type', async () => {
    const asked = () => s.x1.invoke('AskNumber', s.y1.id).then(() => 'it succeeded', error => error.message);
    const edits = [['["q"]', '["number"]'], ['{"a":[1]}', '"yes"']];
    const told = await s.looksLike('client result, remote, wrong type', asked, { as: { B5: s.y1 }, edits });
    assert.match(told, /'AskNumber' on the server\. HubException: Error trying to deserialize result to Int32\. /);
  });
  row(18, 'client result, gone', async () => {
    const proxy = await TcpProxy.start(parts.fleet.servers[y].port);
    try {
      await s.connect('y3', 'connect on the other server, no user', { ask: { silent: true }, at: proxy, plays: 'B2' });
      const answer = await s.looksLike('client result, remote, disconnect before the answer', async () => {
        const answer = s.x1.invoke('AskClient', s.y3.id, 'q');
        await s.y3.until(() => s.y3.asked > 0);
        proxy.cut();
        return answer;
      }, { as: { B6: s.y3 }, unordered: isReal(y) }); // ASP.NET Core does not wait for one link before it uses the other
      assert.equal(answer, 'HubException: Connection disconnected.');
    } finally {
      await proxy.end();
    }
    const nobody = await s.looksLike('client result, no such connection', () => s.x1.invoke('AskClient', 'nobody', 'q'));
    assert.equal(nobody, "IOException: Connection 'nobody' does not exist.");
  });
  row(19, 'local shortcuts', async () => {
    await s.sends('Caller', [s.x1], text => s.x1.invoke('SendCaller', text));
    assert.equal(await s.looksLike('client result, local', () => s.x1.invoke('AskClient', s.x2.id, 'q')), 'yes');
    await s.looksLike('Group join, local', () => s.x1.invoke('AddToGroup', s.x2.id, 'z'), { edits: [[':group:g', ':group:z']] });
  });
  row(20, 'outside a hub', async () => {
    const post = path => text => parts.fleet.servers[x].post(`${path}?text=${encodeURIComponent(text)}`);
    await s.sends('IHubContext All', everyone(), post('/send/all'));
    await s.sends('IHubContext AllExcept', [s.x2, s.y1, s.y2], post(`/send/except/${s.x1.id}`));
    await s.sends('IHubContext Group', [s.x1], post('/send/group/g'), { edits: [[':group:h', ':group:g']] });
    await s.sends('IHubContext User', [s.x2, s.y2], post('/send/user/ada'));
    await s.sends('IHubContext Client, local', [s.x2], post(`/send/client/${s.x2.id}`));
    await s.sends('IHubContext Client, remote', [s.y1], post(`/send/client/${s.y1.id}`));
    await s.looksLike('IHubContext client result, remote', () => parts.fleet.servers[x].post(`/ask/${s.y1.id}?text=q`));
  });
  row(21, 'objects', async () => {
    const received = client => client.called('ReceivePerson').length;
    const before = everyone().map(received);
    await s.looksLike('arguments: record', () => s.x1.invoke('SendPersonToAll', PERSON));
    for (const [at, client] of everyone().entries()) {
      await client.until(() => received(client) > before[at]);
      const camel = Object.fromEntries(Object.entries(PERSON).map(([name, value]) => [name[0].toLowerCase() + name.slice(1), value]));
      assert.deepEqual(client.called('ReceivePerson').at(-1), [client === s.x1 || client === s.y1 ? camel : PERSON]);
    }
  });
  row(22, 'sizes', async () => {
    for (const size of SIZES) await s.sends('All', everyone(), text => s.x1.invoke('SendAll', text), { size });
  });
  row(23, 'order', async () => {
    const texts = Array.from({ length: parts.inOrder }, (_, i) => `in order ${i}`);
    for (const text of texts) await s.x1.invoke('SendAll', text);
    for (const client of everyone()) {
      const seen = () => client.texts.filter(text => text.startsWith('in order '));
      await client.until(() => seen().length >= texts.length, () => `${seen().length} messages`);
      assert.deepEqual(seen(), texts);
      texts.forEach(text => s.owes(client, text));
    }
    s.begin();
  });
  row(14, 'remote add, no owner', async () => {
    const { outcome, ms } = await parts[x].lost;
    assert.equal(outcome, "An unexpected error occurred invoking 'AddToGroup' on the server.");
    assert.ok(ms >= 29_900 && ms < 37_000, `${ms} ms`);
    // Nobody acknowledges what is nobody's.
    assert.ok(parts.fleet.commands.some(c => c.server === x && c.decoded?.connection === 'nobody'));
  });
  test('nothing else came', async () => {
    await s.settle(parts.redis);
  });
}
