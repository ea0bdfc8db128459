// What the documents of both systems tell people to type, on all that `cargo xtask cluster` starts with their files of variables.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { Browser } from './matrix/chromium.mjs';
import { Cluster } from './parts/cluster.mjs';
import { Process } from './parts/process.mjs';
import { Recorder } from './parts/recorder.mjs';
import { poll } from './parts/until.mjs';

const CLIENT = new URL('node_modules/@microsoft/signalr/dist/browser/signalr.min.js', import.meta.url);

async function connect(clients, url, ...methods) {
  const client = new Recorder(new HubConnectionBuilder().withUrl(url).configureLogging(LogLevel.None).build(), methods);
  clients.push(client);
  await client.connection.start();
  return client;
}
async function post(url, body, headers = {}) {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json', ...headers } });
  return { status: response.status, body: await response.text() };
}
const redisCli = async (cluster, ...args) => (await promisify(execFile)('redis-cli', ['-p', cluster.redisPort, ...args].map(String))).stdout;

describe("the users' systems", { concurrency: true }, () => {
  describe('Conduit: three instances, navigation state', { concurrency: false }, () => {
    let cluster;
    const clients = [];
    const browser = new Browser();
    before(async () => { cluster = await Cluster.start('conduit'); });
    after(async () => {
      await browser.end();
      await Promise.all(clients.splice(0).map(client => client.stop()));
      assert.equal(await cluster?.end(), 0);
    });

    test('each instance says what it runs on, and answers /health', async () => {
      const said = cluster.process.lines.filter(line => line.includes('[Conduit] SignalR configured with Redis backplane for horizontal scaling'));
      assert.equal(said.length, 3);
      for (const url of [...cluster.urls, cluster.url]) {
        const response = await fetch(`${url}/health`);
        assert.equal(response.status, 200);
        assert.equal((await response.json()).status, 'Healthy', url);
        assert.match(await (await fetch(`${url}/metrics`)).text(), /signalr/);
      }
    });

    test('redis-cli: MONITOR, PSUBSCRIBE, CLIENT LIST, and the keys of database 2', async () => {
      const listeners = [['PSUBSCRIBE', 'conduit_signalr:*'], ['MONITOR']].map(command => new Process('redis-cli', ['-p', String(cluster.redisPort), ...command]));
      const [subscribed, monitoring] = listeners;
      try {
        await subscribed.line(/psubscribe/i);
        await monitoring.line(/OK/);
        assert.ok((await post(`${cluster.urls[0]}/api/test/trigger-navigation-update`)).status < 300);
        await subscribed.line(/^.*conduit_signalr:.*$/);
        await subscribed.line(/pmessage/);
        await monitoring.line(/publish.*conduit_signalr/i);
      } finally {
        await Promise.all(listeners.map(listener => listener.kill()));
      }
      assert.match(await redisCli(cluster, 'CLIENT', 'LIST'), /name=conduit /);
      const keys = (await redisCli(cluster, '-n', 2, 'KEYS', '*')).trim().split('\n');
      assert.ok(keys.length > 0 && keys.every(key => key.startsWith('conduit_signalr:')), `${keys}`);
      assert.ok(Number(await redisCli(cluster, '-n', 2, 'DBSIZE')) >= keys.length);
      assert.equal((await redisCli(cluster, '-n', 0, 'DBSIZE')).trim(), '0');
    });

    test('curl: a mapping that is posted with any key reaches a client of each instance', async () => {
      const seen = await Promise.all(cluster.urls.map(url => connect(clients, `${url}/hubs/navigation-state`, 'ModelMappingChanged', 'NavigationStateChanged')));
      const mapping = { virtualModelName: `test-model-${Date.now()}`, providerModelName: 'gpt-3.5-turbo', providerName: 'openai' };
      const { status, body } = await post(`${cluster.urls[0]}/api/admin/model-mappings`, mapping, { Authorization: 'Bearer your-admin-key' });
      assert.equal(status, 201, body);
      for (const client of seen) {
        const [[changed]] = await client.calls('ModelMappingChanged');
        assert.equal(changed.changeType, 'Created');
        const [state] = (await client.calls('NavigationStateChanged')).at(-1);
        assert.ok(state.mappings.some(({ virtualModelName }) => virtualModelName === mapping.virtualModelName), JSON.stringify(state));
      }
    });

    test('a page from disk is connected to all three, and sees what is triggered at one', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'page-'));
      await writeFile(join(folder, 'client.js'), await readFile(CLIENT));
      await writeFile(join(folder, 'page.html'), '<!doctype html><title>from disk</title><script src="client.js"></script>');
      await browser.start();
      const page = await browser.process.newPage();
      try {
        await page.goto(pathToFileURL(join(folder, 'page.html')).href);
        const states = await page.evaluate(async urls => {
          const { signalR } = globalThis;
          const connections = await Promise.all(urls.map(async url => {
            const connection = new signalR.HubConnectionBuilder().withUrl(`${url}/hubs/navigation-state`).withAutomaticReconnect().configureLogging(signalR.LogLevel.Error).build();
            const states = [];
            let changed = () => {};
            connection.on('NavigationStateChanged', state => { states.push(state); changed(); });
            connection.on('ModelMappingChanged', () => {});
            await connection.start();
            await connection.invoke('RequestCurrentState');
            states.length = 0;
            return { connection, states, next: () => new Promise(resolve => { changed = resolve; if (states.length) resolve(); }) };
          }));
          const triggered = await fetch(`${urls[0]}/api/test/trigger-navigation-update`, { method: 'POST' });
          await Promise.all(connections.map(({ next }) => next()));
          await Promise.all(connections.map(({ connection }) => connection.stop()));
          return { ok: triggered.ok, timestamps: connections.map(({ states: [state] }) => state.timestamp) };
        }, cluster.urls);
        assert.ok(states.ok);
        for (const timestamp of states.timestamps) assert.ok(Math.abs(Date.now() / 1000 - timestamp) < 60, `${timestamp}`);
      } finally {
        await page.close();
        await rm(folder, { recursive: true });
      }
    });
  });

  describe('TeleDoctor: three instances, chat', { concurrency: false }, () => {
    let cluster;
    const clients = [];
    before(async () => { cluster = await Cluster.start('teledoctor'); });
    after(async () => {
      await Promise.all(clients.splice(0).map(client => client.stop()));
      assert.equal(await cluster?.end(), 0);
    });

    test('100 connections through nginx, and a message from one to another', async () => {
      const connected = await Promise.all(Array.from({ length: 100 }, () => connect(clients, `${cluster.url}/chathub`, 'ReceiveMessage', 'MessageSent')));
      const [from, to] = [connected[0], connected[99]];
      await from.invoke('SendMessage', to.connection.connectionId, 'Hello from connection 0');
      assert.deepEqual((await to.calls('ReceiveMessage'))[0], [from.connection.connectionId, 'Hello from connection 0']);
      const key = `TeleDoctor:connection:${to.connection.connectionId}`;
      const read = () => redisCli(cluster, '-a', 'YourRedisPassword', '--no-auth-warning', 'HGET', key, 'data');
      assert.equal((await poll(read, answer => answer.trim() !== '', key)).trim(), to.connection.connectionId);
    });

    test('who comes to the chat and goes is in the log', async () => {
      const client = await connect(clients, `${cluster.urls[0]}/chathub`, 'ReceiveMessage');
      const id = client.connection.connectionId;
      const logged = what => poll(() => readFile(cluster.instances[0].log, 'utf8'), log => log.includes(`${what}: ${id}`), what);
      await logged('User connected to chat');
      await client.stop();
      await logged('User disconnected from chat');
    });

    test('a WebSocket that skips negotiation is taken, and its handshake ends with the record separator', async () => {
      const key = randomBytes(16).toString('base64');
      const headers = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key };
      const socket = await new Promise((resolve, reject) => {
        const request = http.get(`${cluster.url}/chathub`, { headers });
        request.on('upgrade', (response, socket) => resolve(socket));
        request.on('response', response => reject(new Error(`answered ${response.statusCode}`)));
        request.on('error', reject);
      });
      const answer = new Promise((resolve, reject) => {
        socket.once('data', resolve);
        socket.once('close', () => reject(new Error('closed')));
      });
      // What the k6 script sends, and then the character that it lacks. The mask is zero.
      const handshake = `${JSON.stringify({ protocol: 'json', version: 1 })}\u001e`;
      socket.write(Buffer.from([0x81, 0x80 | handshake.length, 0, 0, 0, 0]));
      socket.write(handshake);
      assert.equal((await answer).subarray(2).toString(), '{}\u001e');
      socket.destroy();
    });
  });
});
