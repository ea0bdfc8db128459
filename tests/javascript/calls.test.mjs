// What a call answers: results, errors, limits, and the two ways to connect.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';

const failed = method => `An unexpected error occurred invoking '${method}' on the server.`;

describe('calls', () => {
  let fleet, client;
  before(async () => {
    fleet = await Fleet.conformance(1);
    client = await fleet.client(0);
  });
  after(() => fleet?.end());

  test('a result', async () => assert.equal(await client.invoke('Add', 1, 2), 3));
  test('a text of any characters', async () => {
    const text = 'Grüße, "quotes" \\ \u0000 \u001e \u2028 😀';
    assert.equal(await client.invoke('EchoString', text), text);
  });
  test('null', async () => assert.equal(await client.invoke('EchoString', null), null));
  test('an object', async () => {
    const person = { name: 'Ada', age: 36, email: null, tags: ['x', 'y'], scores: { Maths: 10 } };
    assert.deepEqual(await client.invoke('EchoPerson', person), person);
  });
  test('no result', async () => assert.equal(await client.invoke('Nothing') ?? null, null));
  test('a method in another case', async () => assert.equal(await client.invoke('add', 2, 3), 5));
  test('a method under another name', async () => assert.equal(await client.invoke('renamed'), 'renamed'));
  test('calls of one connection run one after another', async () => {
    assert.deepEqual(await Promise.all([client.invoke('Slow', 50), client.invoke('Add', 1, 1)]), ['slept 50', 2]);
  });
  test('a call without an answer', async () => {
    await client.send('SendCaller', 'no answer');
    await client.text('no answer');
  });
  test('who the caller is', async () => {
    const ada = await fleet.client(0, { user: 'ada' });
    assert.deepEqual(await ada.invoke('WhoAmI'), { connectionId: ada.connection.connectionId, userIdentifier: 'ada', name: null });
    assert.equal((await client.invoke('WhoAmI')).userIdentifier, null);
  });

  test('an error meant for the client', () => assert.rejects(client.invoke('ThrowHub', 'no tea today'), { message: `${failed('ThrowHub')} HubException: no tea today` }));
  test('an error that is hidden', () => assert.rejects(client.invoke('Throw', 'secret'), { message: failed('Throw') }));
  test('an unknown method', () => assert.rejects(client.invoke('Nope', 1), { message: "Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist." }));
  test('too few arguments', () => assert.rejects(client.invoke('Add', 1), { message: "Failed to invoke 'Add' due to an error on the server." }));
  test('an argument of another type', () => assert.rejects(client.invoke('Add', 1, 'two'), { message: "Failed to invoke 'Add' due to an error on the server." }));
  test('the connection goes on after errors', async () => assert.equal(await client.invoke('Add', 20, 22), 42));
});

test('detailed errors', async t => {
  const fleet = await Fleet.conformance(1, { args: ['--detailed-errors', 'true'] });
  t.after(() => fleet.end());
  const client = await fleet.client(0);
  await assert.rejects(client.invoke('Throw', 'the reason'), error => error.message.startsWith(failed('Throw')) && error.message.includes('the reason'));
});

describe('connecting', () => {
  let fleet;
  before(async () => { fleet = await Fleet.conformance(1); });
  after(() => fleet?.end());

  test('with negotiation the client knows its id', async () => {
    const client = await fleet.client(0);
    assert.match(client.connection.connectionId, /^[\w-]{22}$/);
    assert.equal(client.connection.connectionId, client.id);
  });
  test('without negotiation', async () => {
    const client = await fleet.client(0, { skipNegotiation: true });
    assert.match(client.id, /^[\w-]{22}$/);
    assert.equal(await client.invoke('Add', 1, 2), 3);
  });
  test('without negotiation, signed in', async () => {
    const client = await fleet.client(0, { skipNegotiation: true, user: 'ada' });
    assert.equal((await client.invoke('WhoAmI')).userIdentifier, 'ada');
  });
  test('what negotiate answers', async () => {
    const negotiate = async version => (await fetch(`${fleet.servers[0].url}/conformance/negotiate?negotiateVersion=${version}`, { method: 'POST' })).json();
    const answer = await negotiate(1);
    assert.equal(answer.negotiateVersion, 1);
    assert.match(answer.connectionId, /^[\w-]{22}$/);
    assert.notEqual(answer.connectionToken, answer.connectionId);
    assert.ok(answer.availableTransports.some(t => t.transport === 'WebSockets' && t.transferFormats.includes('Text')));
    const old = await negotiate(0);
    assert.equal(old.negotiateVersion, 0);
    assert.equal(old.connectionToken, undefined);
  });
  test('a path without a hub', () => assert.rejects(fleet.clientOf(0, '/nowhere'), /404/));
});

describe('message size', () => {
  const LIMIT_BYTES = 32 * 1024;
  const around = '{"arguments":[""],"invocationId":"1","target":"EchoString","type":1}\x1e'.length;
  let fleet;
  before(async () => { fleet = await Fleet.conformance(1); });
  after(() => fleet?.end());

  test('a message of 32 KiB passes', async () => {
    const client = await fleet.client(0);
    const text = 'x'.repeat(LIMIT_BYTES - around);
    assert.equal(await client.invoke('EchoString', text), text);
  });
  test('one byte more closes the connection, and no other', async () => {
    const [client, other] = [await fleet.client(0), await fleet.client(0)];
    await assert.rejects(client.invoke('EchoString', 'x'.repeat(LIMIT_BYTES - around + 1)));
    assert.match(await client.event('closed'), /Connection closed with an error\./);
    assert.equal(await other.invoke('Add', 1, 2), 3);
  });
});
