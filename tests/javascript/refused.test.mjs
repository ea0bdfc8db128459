// A flood of requests for a connection by somebody whose connection it is not: refused where it lands, for nothing.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { HttpTransportType } from '@microsoft/signalr';
import { Fleet } from './parts/fleet.mjs';
import { token } from './parts/token.mjs';

const REQUESTS = 4_000;
const AT_ONCE = 32;
/** What an instance asks of Redis by itself in the time that the flood takes, and much more. */
const COMMANDS_MEANWHILE = 100;

let fleet;
before(async () => { fleet = await Fleet.conformance(2); });
after(async () => { await fleet?.end(); });

/** How many commands Redis has carried out. */
function commands() {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = net.connect(fleet.redis.port, '127.0.0.1', () => socket.write('INFO stats\r\n'));
    socket.on('error', reject);
    socket.on('data', data => {
      const found = /total_commands_processed:(\d+)\r/.exec(text += data);
      if (found) { socket.destroy(); resolve(Number(found[1])); }
    });
  });
}

/** Sends a request and returns its status. */
function ask(agent, server, method, path, bearer) {
  return new Promise((resolve, reject) => {
    const headers = bearer ? { authorization: `Bearer ${bearer}` } : {};
    const request = http.request(server.url + path, { method, agent, headers }, response => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    });
    request.on('error', reject);
    request.end(method === 'POST' ? '{"type":6}\x1e' : undefined);
  });
}

/** So many requests of one kind to one instance; how often each status came. */
async function flood(server, method, path, bearer) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const statuses = {};
  let left = REQUESTS;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (left-- > 0) {
      const status = await ask(agent, server, method, path, bearer);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  }));
  agent.destroy();
  return statuses;
}

for (const transport of ['ServerSentEvents', 'LongPolling']) {
  test(`${transport}: its own user's traffic goes on, and Redis hears nothing of it`, async t => {
    // Where refreshing is off a poll of another user is refused like everything else.
    const client = await fleet.client(0, { transport: HttpTransportType[transport], user: 'ada' });
    const path = `/conformance?id=${encodeURIComponent(connectionTokenOf(client))}`;
    for (const [at, server] of fleet.servers.entries()) {
      for (const [method, bearer] of [['POST', token('bob')], ['GET', token('bob')], ['DELETE', undefined]]) {
        if (transport === 'ServerSentEvents' && method !== 'POST') continue;
        const before = await commands();
        let isOver = false, answered = 0;
        const traffic = (async () => {
          for (; !isOver; answered++) assert.equal(await client.invoke('EchoString', `${answered}`), `${answered}`);
        })();
        const begun = Date.now();
        const statuses = await flood(server, method, path, bearer);
        const seconds = (Date.now() - begun) / 1000;
        isOver = true;
        await traffic;
        const heard = await commands() - before;
        t.diagnostic(`${method} at ${at ? 'another' : 'its own'} instance: ${Math.round(REQUESTS / seconds)} refused a second, ${answered} calls answered meanwhile, ${heard} commands at Redis`);
        assert.deepEqual(statuses, { 403: REQUESTS });
        assert.ok(heard < COMMANDS_MEANWHILE, `${heard} commands`);
        assert.ok(answered > 0);
      }
    }
    await client.stop();
  });
}

/** The official client shows it to nobody. */
function connectionTokenOf(client) {
  const { transport } = client.connection.connection;
  return new URL(transport._url).searchParams.get('id');
}
