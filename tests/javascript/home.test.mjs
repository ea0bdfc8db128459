// The page at `/` of the hubline program, in Chromium, under its content security policy.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from './matrix/chromium.mjs';
import { Page } from './parts/page.mjs';
import { Server } from './parts/server.mjs';

/** The page, with its two connections. */
async function open(browser, url) {
  const opened = await Page.open(browser, url);
  return { opened, page: opened.page, panels: [0, 1].map(n => opened.page.locator('#connections section').nth(n)) };
}

const becomes = (panel, status) => panel.locator(`.status.${status}`).waitFor();
const says = (panel, text) => panel.locator('li', { hasText: text }).first().waitFor();

describe('the page', () => {
  const browser = new Browser();
  let server, closed;
  before(async () => {
    await browser.start();
    server = await (await Server.hubline()).start();
    closed = await (await Server.hublineIn('Production')).start();
  });
  after(async () => {
    await browser.end();
    await server?.stop();
    await closed?.stop();
  });

  test('a message crosses between its two connections, and it says how the instance is', async () => {
    const { opened, page, panels: [a, b] } = await open(browser, server.url);
    for (const panel of [a, b]) await becomes(panel, 'connected');
    // What stands there already needs a press alone.
    await a.getByRole('button', { name: 'Send to the other' }).click();
    await says(b, 'Hello from A');
    await b.locator('.text').fill('hello room');
    await b.locator('.room').click();
    for (const panel of [a, b]) await says(panel, 'hello room');
    await page.locator('#trigger').click();
    await page.locator('#triggered', { hasText: /^sent$/ }).waitFor();
    for (const panel of [a, b]) await says(panel, 'navigation state, version');
    await opened.says('#health', 'Healthy · alone, without Redis · SQLite');
    assert.deepEqual(opened.complaints, []);
    await opened.close();
  });

  test('everything that it leads to is there', async () => {
    const { opened, page } = await open(browser, server.url);
    const links = await page.locator('main a, nav a').evaluateAll(all => [...new Set(all.map(link => link.href))]);
    assert.ok(['/chat', '/call', '/console/test', '/health', '/metrics', '/openapi/v1.json'].every(path => links.includes(server.url + path)), `${links}`);
    for (const link of links) assert.equal((await fetch(link)).status, 200, link);
    await opened.close();
  });

  test('text that gets into the page is not run', async () => {
    const { opened, page } = await open(browser, server.url);
    const ran = await page.evaluate(async () => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.ran = true';
      const image = document.createElement('img');
      image.setAttribute('onerror', 'globalThis.ran = true');
      image.src = '/nowhere.png';
      const blocked = new Promise(resolve => addEventListener('securitypolicyviolation', event => event.effectiveDirective.startsWith('img') && resolve()));
      document.body.append(script, image);
      await blocked;
      return globalThis.ran ?? false;
    });
    assert.equal(ran, false);
    const { complaints } = opened;
    assert.ok(complaints.some(text => text.startsWith('violated: script-src')), `${complaints}`);
    await opened.close();
  });

  test('it connects to its own instance alone', async () => {
    const { opened, page } = await open(browser, server.url);
    const refused = await page.evaluate(url => fetch(url, { mode: 'no-cors' }).then(() => false, () => true), closed.url);
    assert.ok(refused);
    assert.ok(opened.complaints.some(text => text.includes('connect-src')), `${opened.complaints}`);
    await opened.close();
  });

  test('in Production it says what is off and how to open it, and no version', async () => {
    const { opened, page, panels: [first] } = await open(browser, closed.url);
    await becomes(first, 'connected');
    const offer = path => page.locator('.offers li', { has: page.locator('code', { hasText: new RegExp(`^${path}$`) }) });
    for (const [path, cure] of [['/api/admin', 'Admin__ApiKey'], ['POST /api/test/trigger-navigation-update', '--dev'], ['other origins', 'Cors:AllowedOrigins']]) {
      assert.equal(await offer(path).locator('.access').textContent(), 'off', path);
      assert.ok((await offer(path).textContent()).includes(cure), path);
    }
    assert.equal(await page.locator('a[href="/console/test"].tile').count(), 0);
    assert.ok((await page.locator('.tiles').textContent()).includes('Admin__ApiKey'));
    assert.doesNotMatch(await page.locator('main').textContent(), /Hubline \d/);
    await page.locator('#trigger').click();
    await page.locator('#triggered', { hasText: '--dev' }).waitFor();
    await opened.close();
  });
});
