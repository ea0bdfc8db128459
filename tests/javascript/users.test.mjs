// What the documents of both systems tell people to type, on all that `cargo xtask cluster` starts with their files of variables.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { Browser } from './matrix/chromium.mjs';
import { Cluster } from './parts/cluster.mjs';
import { Process } from './parts/process.mjs';
import { Recorder } from './parts/recorder.mjs';
import { poll } from './parts/until.mjs';

// What the page of users loads from the internet.
const CLIENT = new URL('node_modules/signalr-7/dist/browser/signalr.min.js', import.meta.url);
// Somebody's own page of three instances can be named, to see whether it works too.
const PAGE = process.env.HUBLINE_PAGE ?? fileURLToPath(new URL('from-disk/three-instances.html', import.meta.url));

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
    before(async () => { cluster = await Cluster.start('conduit'); });
    after(async () => {
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

    test('a page from disk, as they wrote one, shows three instances, and what is triggered at one is seen at all', async t => {
      // The addresses are those of their page; where the instances really listen is the browser's affair.
      const rules = cluster.urls.map((url, n) => `MAP localhost:${5000 + n} ${new URL(url).host}`).join(', ');
      const browser = new Browser(`--host-resolver-rules=${rules}`);
      t.after(() => browser.end());
      await browser.start();
      const complaints = [], scripts = [];
      const page = await browser.process.newPage();
      page.setDefaultTimeout(20_000);
      page.on('console', message => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
      page.on('pageerror', error => complaints.push(error.message));
      // No test needs the internet: the package is what the address has.
      await page.route('https://cdnjs.cloudflare.com/**', async route => {
        scripts.push(new URL(route.request().url()).pathname);
        await route.fulfill({ contentType: 'text/javascript', body: await readFile(CLIENT) });
      });
      await page.goto(pathToFileURL(PAGE).href);
      assert.equal(await page.evaluate(() => globalThis.origin), 'null');
      const panels = [0, 1, 2].map(n => page.locator('.instance').nth(n));
      const newest = panel => panel.locator('.messages > :first-child');
      const connected = () => Promise.all(panels.map(panel => panel.locator('.status', { hasText: /^Connected$/ }).waitFor()));
      /** What all three show of the newest state, once they have another one than before. */
      const states = async before => {
        const texts = () => Promise.all(panels.map(panel => newest(panel).textContent()));
        const shown = await poll(texts, all => all.every(text => text !== before && text.includes('"timestamp":')) && new Set(all.map(stateOf)).size === 1, 'one state at all three');
        return shown[0];
      };
      const stateOf = text => text.slice(text.indexOf('{'));
      const trigger = async () => {
        const answer = page.waitForResponse(/trigger-navigation-update/);
        await page.getByRole('button', { name: 'Test Broadcast' }).click();
        assert.equal((await answer).status(), 200);
      };

      await connected();
      for (const panel of panels) await newest(panel).waitFor();
      await trigger();
      const first = await states();
      await trigger();
      const second = await states(first);
      const virtualModelName = `from-disk-${Date.now()}`;
      assert.equal((await post(`${cluster.urls[2]}/api/admin/model-mappings`, { virtualModelName, providerModelName: 'm', providerName: 'p' })).status, 201);
      assert.match(await states(second), new RegExp(virtualModelName));
      for (const panel of panels) await panel.locator('.messages > *', { hasText: '"changeType":"Created"' }).filter({ hasText: virtualModelName }).waitFor();
      // What is there then comes by the new connections, so all three have one before the next is triggered.
      for (const panel of panels) await panel.locator('.messages').evaluate(messages => messages.replaceChildren());
      await page.getByRole('button', { name: 'Reconnect All' }).click();
      for (const panel of panels) await newest(panel).filter({ hasText: virtualModelName }).waitFor();
      await connected();
      await trigger();
      await states();
      assert.deepEqual(scripts, ['/ajax/libs/microsoft-signalr/7.0.0/signalr.min.js']);
      assert.deepEqual(complaints, []);
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
