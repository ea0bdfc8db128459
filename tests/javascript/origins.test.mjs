// Pages of other origins, and of the server itself behind a proxy, in Chromium.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { Browser } from './matrix/chromium.mjs';
import { LoadBalancer } from './parts/load-balancer.mjs';
import { Server } from './parts/server.mjs';

/** Connects a page to the navigation state of a server, and tells what the client says if that fails. */
const connect = (page, url) => page.evaluate(async url => {
  const connection = new globalThis.signalR.HubConnectionBuilder().withUrl(`${url}/hubs/navigation-state`).build();
  try {
    await connection.start();
    const { timestamp } = await connection.invoke('RequestCurrentState');
    return typeof timestamp;
  } catch (error) {
    return error.message;
  } finally {
    await connection.stop();
  }
}, url);

describe('origins', () => {
  const browser = new Browser();
  const servers = [];
  let folder;
  const started = async (environment, ...args) => {
    const server = await Server.hublineIn(environment, ...args);
    servers.push(server);
    return server.start();
  };
  before(async () => {
    await browser.start();
    folder = await mkdtemp(join(tmpdir(), 'page-'));
  });
  after(async () => {
    await browser.end();
    for (const server of servers) await server.stop();
    await rm(folder, { recursive: true });
  });

  test('a page from a file reaches instances in development, and in production those that list null', async () => {
    const [dev, closed, listed] = await Promise.all([
      started('Development'), started('Production'), started('Production', '--Cors:AllowedOrigins=null'),
    ]);
    const file = join(folder, 'page.html');
    await writeFile(file, `<!doctype html><script src="${dev.url}/signalr.min.js"></script>`);
    const page = await browser.process.newPage();
    await page.goto(pathToFileURL(file).href);
    assert.equal(await connect(page, dev.url), 'number');
    assert.equal(await connect(page, listed.url), 'number');
    assert.match(await connect(page, closed.url), /Failed to complete negotiation/);
    assert.match(await closed.process.line(/Pages of this origin are refused/), /Cors:AllowedOrigins.*origin=null/);
    await page.close();
  });

  test('the page of a server in production works behind nginx that passes on the host alone', async t => {
    const server = await started('Production');
    const balancer = await LoadBalancer.start([server], { host: '$host' });
    t.after(() => balancer.stop());
    const page = await browser.process.newPage();
    const sockets = [];
    page.on('websocket', socket => sockets.push(socket.url()));
    await page.goto(balancer.url);
    for (const n of [0, 1]) await page.locator('h3 .status').nth(n).locator('text=/^connected$/').waitFor();
    assert.equal(sockets.length, 4, 'none falls back to another transport');
    assert.ok(!server.process.lines.some(line => line.includes('refused')), server.process.lines.join('\n'));
    await page.close();
  });

  test('behind nginx that passes on no host its page is foreign, and the log says how to change that', async t => {
    const server = await started('Production');
    const balancer = await LoadBalancer.start([server]);
    t.after(() => balancer.stop());
    const page = await browser.process.newPage();
    await page.goto(balancer.url);
    const line = await server.process.line(/Pages of this origin are refused/);
    assert.ok(line.includes(`origin=${balancer.url} `) && line.includes('host="fleet"'), line);
    await page.close();
  });
});
