// Starting without Redis, with a Redis that is not there yet, and with one that must be there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from './parts/client.mjs';
import { Redis } from './parts/redis.mjs';
import { Server } from './parts/server.mjs';
import { poll } from './parts/until.mjs';

const ROOM = ['ReceiveRoomMessage', 'ReceiveMessage'];

/** A client of the chat in a room; being answered also means that the server has finished connecting it. */
async function inRoom(t, server) {
  const client = await Client.connect(`${server.url}/chathub`, { events: ROOM });
  t.after(() => client.stop());
  await client.invoke('JoinRoom', 'lobby');
  return client;
}
const messages = async (client, count) => (await client.calls('ReceiveRoomMessage', count)).map(([, message]) => message);

test('without Redis it serves and is healthy', async t => {
  const server = await (await Server.hubline()).start();
  t.after(() => server.stop());
  assert.equal(await server.status(), 'Healthy');
  const [ada, bob] = [await inRoom(t, server), await inRoom(t, server)];
  await ada.invoke('SendToRoom', 'lobby', 'hello');
  assert.deepEqual(await messages(bob, 1), ['hello']);
});

test('with a Redis that is not there it serves locally and joins when Redis comes', async t => {
  const redis = await Redis.absent();
  t.after(() => redis.stop());
  const servers = await Promise.all([0, 1].map(() => Server.hubline('--redis', redis.connectionString)));
  for (const server of servers) {
    await server.start();
    t.after(() => server.stop());
  }
  const clients = [];
  for (const server of servers) {
    assert.equal(await server.status(), 'Degraded');
    await server.process.line(new RegExp(`redis.*127\\.0\\.0\\.1:${redis.port}`, 'i'));
    clients.push([await inRoom(t, server), await inRoom(t, server)]);
  }
  const [[ada, bob], [cy]] = clients;
  // The caller may be told that others were out of reach, so no answer is asked for.
  await ada.send('SendToRoom', 'lobby', 'alone');
  assert.deepEqual(await messages(bob, 1), ['alone']);

  await redis.start();
  for (const server of servers) await poll(() => server.status(), status => status === 'Healthy', 'health after Redis came');
  await ada.invoke('SendToRoom', 'lobby', 'together');
  await cy.until(() => cy.of('ReceiveRoomMessage').some(([, message]) => message === 'together'), () => JSON.stringify(cy.received));
  await cy.invoke('SendMessage', bob.connection.connectionId, 'across');
  assert.deepEqual(await bob.calls('ReceiveMessage'), [[cy.connection.connectionId, 'across']]);
  assert.deepEqual(await messages(bob, 2), ['alone', 'together']);
  for (const client of clients.flat()) assert.deepEqual(client.events, []);
});

test('clients stay connected while Redis is away, and messages cross again when it is back', async t => {
  const redis = await Redis.start();
  t.after(() => redis.stop());
  const servers = await Promise.all([0, 1].map(() => Server.hubline('--redis', redis.connectionString)));
  for (const server of servers) {
    await server.start();
    t.after(() => server.stop());
  }
  const [ada, bob] = [await inRoom(t, servers[0]), await inRoom(t, servers[1])];
  await redis.stop();
  for (const server of servers) await poll(() => server.status(), status => status === 'Degraded', 'health after Redis went');
  await redis.start();
  for (const server of servers) await poll(() => server.status(), status => status === 'Healthy', 'health after Redis came back');
  await ada.invoke('SendToRoom', 'lobby', 'back');
  await bob.until(() => bob.of('ReceiveRoomMessage').some(([, message]) => message === 'back'), () => JSON.stringify(bob.received));
  for (const client of [ada, bob]) assert.deepEqual(client.events, []);
});

test('with abortConnect=true a Redis that is not there ends the program', async () => {
  const redis = await Redis.absent();
  const server = await Server.hubline('--redis', `${redis.connectionString},abortConnect=true,connectTimeout=1000`);
  const ended = server.launch();
  const code = await ended.exitCode();
  assert.ok(code > 0, `exit code ${code}`);
  const printed = ended.lines.join('\n');
  assert.match(printed, /redis/i);
  assert.ok(printed.includes(redis.connectionString), printed);
});
