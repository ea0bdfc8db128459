// The page /console/test of the program, in Chromium, under its content security policy: three instances side by side.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from './matrix/chromium.mjs';
import { Cluster } from './parts/cluster.mjs';
import { Page } from './parts/page.mjs';
import { Server } from './parts/server.mjs';
import { TcpProxy } from './parts/tcp-proxy.mjs';
import { poll } from './parts/until.mjs';

const KEY = 'an-admin-key-of-32-characters-or-more';

/** What the page shows of one instance. */
class Shown {
  constructor(page, url) { this.root = page.page.locator(`.instance[aria-label="${url}"]`); }
  /** A state as a whole: there is one that ends as another one does. */
  is(state) { return this.root.locator('.status').filter({ hasText: new RegExp(`^${state.replaceAll('.', '\\.')}$`) }).waitFor(); }
  click(name) { return this.root.getByRole('button', { name, exact: true }).click(); }
  says(selector, text) { return this.root.locator(selector, { hasText: text }).first().waitFor(); }
  async counts() {
    const numbers = await this.root.locator('dd').allTextContents();
    return Object.fromEntries(['received', 'missed', 'doubled', 'outOfOrder'].map((name, n) => [name, Number(numbers[n])]));
  }
  async receives(received) {
    const counts = await poll(() => this.counts(), counts => counts.received === received, `${received} received`);
    assert.deepEqual(counts, { received, missed: 0, doubled: 0, outOfOrder: 0 });
  }
}

async function opened(browser, url, ...instances) {
  const page = await Page.open(browser, `${url}/console/test`);
  for (const instance of instances) {
    await page.page.locator('#address').fill(instance);
    await page.click('Add');
  }
  return page;
}

describe('the test page', { concurrency: false }, () => {
  const browser = new Browser();
  let cluster, page, shown;
  before(async () => {
    [cluster] = await Promise.all([Cluster.start('conduit'), browser.start()]);
    page = await opened(browser, cluster.urls[0], ...cluster.urls.slice(1));
    shown = cluster.urls.map(url => new Shown(page, url));
  });
  after(async () => {
    await browser.end();
    await cluster?.end();
  });

  test('a broadcast of each instance reaches all of them, once', async () => {
    for (const instance of shown) await instance.is('Connected');
    await page.click('Test Broadcast');
    await page.says('#told', '3 instances send it, 3 connected here');
    for (const instance of shown) await instance.receives(1);
    await shown[2].click('Broadcast from here');
    for (const instance of shown) await instance.receives(2);
    for (const instance of shown) await instance.says('.figures', /^[\d.]+ ms · median [\d.]+ · largest [\d.]+$/);
    await shown[0].says('li', /Navigation state changed: version \d+/);
  });

  test('transports and protocols can be chosen, and the choice and the instances are remembered', async () => {
    for (const [transport, protocol] of [['LongPolling', 'messagepack'], ['ServerSentEvents', 'json'], ['direct', 'messagepack']]) {
      const before = await shown[1].counts();
      await page.page.locator('#transport').selectOption(transport);
      await page.page.locator('#protocol').selectOption(protocol);
      for (const instance of shown) await instance.is('Connected');
      await page.click('Test Broadcast');
      await shown[1].receives(before.received + 1);
    }
    await page.page.reload();
    assert.equal(await page.page.locator('#transport').inputValue(), 'direct');
    for (const instance of shown) await instance.is('Connected');
    await page.page.locator('#transport').selectOption('auto');
    await page.page.locator('#protocol').selectOption('json');
    for (const instance of shown) await instance.is('Connected');
  });

  test('ten messages are kept, the newest first, or as many as are asked for', async () => {
    for (let n = 0; n < 11; n++) {
      const { received } = await shown[0].counts();
      await page.click('Test Broadcast');
      await shown[0].receives(received + 1);
    }
    assert.equal(await shown[0].root.locator('li').count(), 10);
    await page.page.locator('#keep').fill('3');
    await page.page.locator('#keep').blur();
    assert.equal(await shown[0].root.locator('li').count(), 3);
    await shown[0].says('li:first-child', 'Navigation state changed');
  });

  test('what has the focus keeps it, though it waits or goes', async () => {
    const other = await opened(browser, cluster.urls[0], cluster.urls[1]);
    const [first, second] = cluster.urls.slice(0, 2).map(url => new Shown(other, url));
    for (const instance of [first, second]) await instance.is('Connected');
    await other.page.locator('#broadcast').focus();
    for (const count of [1, 2]) {
      await other.page.locator('#broadcast[aria-disabled=true]').waitFor({ state: 'detached' });
      await other.press('Enter');
      await second.receives(count);
      await other.hasFocus('#broadcast');
    }
    await second.root.getByRole('button', { name: 'Remove' }).focus();
    await other.press('Enter');
    await other.hasFocus(`.instance[aria-label="${cluster.urls[0]}"] .remove`);
    await other.press('Enter');
    await other.hasFocus('#address');
    assert.deepEqual(other.complaints, []);
    await other.close();
  });

  test('stop and start, and a state of its own for each', async () => {
    await shown[1].click('Stop');
    await shown[1].is('Disconnected');
    await shown[0].is('Connected');
    await shown[1].click('Start');
    await shown[1].is('Connected');
    // The browser tells of a poll that was under way when its connection was ended.
    assert.deepEqual(page.complaints.filter(text => !text.includes('status of 404')), []);
  });

  test('a lost connection comes back, and the gap is closed and shown', async () => {
    const proxy = await TcpProxy.start(Number(new URL(cluster.urls[1]).port));
    const through = proxy.url;
    const lossy = await opened(browser, cluster.urls[0], through);
    try {
      const instance = new Shown(lossy, through);
      await instance.is('Connected');
      proxy.block();
      await instance.is('Reconnecting...');
      await fetch(`${cluster.urls[2]}/api/admin/model-mappings`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ virtualModelName: `gap-${Date.now()}`, providerModelName: 'm', providerName: 'p' }),
      });
      proxy.unblock();
      await instance.is('Connected');
      await instance.says('.gap', /Gap closed: away for [\d.]+ s; version \d+ → \d+, 1 change caught up/);
      await instance.says('li', 'State asked for');
    } finally {
      await lossy.close();
      await proxy.end();
    }
  });

  test('an instance that keeps the page out shows what to set, one that is not there says so', async () => {
    const closed = await (await Server.hublineIn('Production')).start();
    const other = await opened(browser, cluster.urls[0], closed.url, 'http://127.0.0.1:1');
    try {
      const refusing = new Shown(other, closed.url);
      await refusing.is('Connection Failed');
      await refusing.says('.refused pre', `Cors__AllowedOrigins=${cluster.urls[0]}`);
      await new Shown(other, 'http://127.0.0.1:1').says('.refused p', 'Nothing answers there');
      await other.page.locator('#address').fill('ftp://there');
      await other.click('Add');
      await other.says('#problem', 'http or https');
      assert.equal(await other.page.locator('.instance').count(), 3);
    } finally {
      await other.close();
      await closed.stop();
    }
  });

  test('in Production it is off without an admin key, and broadcasts with one', async () => {
    const [off, on] = await Promise.all([[], [`--Admin:ApiKey=${KEY}`]].map(async args => (await Server.hublineIn('Production', ...args)).start()));
    const keyed = await opened(browser, on.url);
    try {
      const answer = await fetch(`${off.url}/console/test`);
      assert.equal(answer.status, 403);
      assert.match(await answer.text(), /Admin__ApiKey/);
      const instance = new Shown(keyed, on.url);
      await instance.is('Connected');
      await keyed.click('Test Broadcast');
      await keyed.says('#told', 'needs an admin key');
      await keyed.page.locator('.keys summary').click();
      await keyed.page.locator('#admin-key').fill(KEY);
      await keyed.click('Test Broadcast');
      await instance.receives(1);
      assert.equal(await keyed.page.evaluate(key => JSON.stringify({ ...localStorage, ...sessionStorage }).includes(key), KEY), false);
    } finally {
      await keyed.close();
      await Promise.all([off.stop(), on.stop()]);
    }
  });
});
