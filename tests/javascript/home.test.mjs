// The page at `/` of the hubline program, in Chromium, under its content security policy.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from './matrix/chromium.mjs';
import { Fleet } from './parts/fleet.mjs';
import { Server } from './parts/server.mjs';

/** The page of a server, and everything that it complains about. */
async function open(browser, url) {
  const page = await browser.process.newPage();
  const complaints = [];
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', error => complaints.push(error.message));
  await page.exposeFunction('complain', text => { complaints.push(text); });
  await page.addInitScript(() => addEventListener('securitypolicyviolation', event => globalThis.complain(`violated: ${event.effectiveDirective}`)));
  await page.goto(url);
  return { page, complaints, panels: [0, 1].map(n => page.locator('section').nth(n)) };
}

/** Connects a panel to another instance, and waits until it has left the one before. */
async function connect(panel, url, status) {
  await panel.locator('.instance').fill(url);
  await panel.locator('.status').evaluate(shown => {
    globalThis.seen = [];
    new MutationObserver(() => globalThis.seen.push(shown.textContent)).observe(shown, { childList: true });
  });
  await panel.locator('.connect').click();
  await panel.page().waitForFunction(status => globalThis.seen.at(-1) === status, status);
}

const becomes = (panel, status) => panel.locator(`.status.${status}`).waitFor();
const says = (panel, text) => panel.locator('li', { hasText: text }).first().waitFor();

describe('the page', () => {
  const browser = new Browser();
  let fleet, closed;
  before(async () => {
    await browser.start();
    fleet = await Fleet.hubline(2);
    closed = await (await Server.hublineIn('Production')).start();
  });
  after(async () => {
    await browser.end();
    await fleet?.end();
    await closed?.stop();
  });

  test('messages cross between two instances', async () => {
    const [here, there] = fleet.servers;
    const { page, complaints, panels: [a, b] } = await open(browser, here.url);
    for (const panel of [a, b]) await becomes(panel, 'connected');
    await connect(b, there.url, 'connected');
    await a.locator('.text').fill('hello there');
    await a.locator('form button').first().click();
    await says(b, 'hello there');
    await b.locator('.text').fill('hello room');
    await b.locator('.room').click();
    for (const panel of [a, b]) await says(panel, 'hello room');
    await page.locator('#trigger').click();
    await page.locator('#triggered', { hasText: /^sent$/ }).waitFor();
    for (const panel of [a, b]) await says(panel, 'navigation state of');
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('text that gets into the page is not run', async () => {
    const { page, complaints } = await open(browser, fleet.servers[0].url);
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
    assert.ok(complaints.some(text => text.startsWith('violated: script-src')), `${complaints}`);
    await page.close();
  });

  test('an instance in production keeps it out, and it says why', async () => {
    const { page, panels: [, b] } = await open(browser, fleet.servers[0].url);
    await becomes(b, 'connected');
    await connect(b, closed.url, 'disconnected');
    await says(b, 'Cors:AllowedOrigins');
    await closed.process.line(/Pages of this origin are refused/);
    await page.close();

    const { page: own, panels: [first] } = await open(browser, closed.url);
    await becomes(first, 'connected');
    await own.locator('#trigger').click();
    await own.locator('#triggered', { hasText: '--dev' }).waitFor();
    await own.close();
  });
});
