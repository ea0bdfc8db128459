// The page /console of the program, in Chromium, under its content security policy: what it does with what its hub tells, and by keyboard alone on
// three real instances.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from './matrix/chromium.mjs';
import { answerAs, fixed, NOW, SNAPSHOT } from './parts/console-state.mjs';
import { Fleet } from './parts/fleet.mjs';
import { Page } from './parts/page.mjs';
import { Server } from './parts/server.mjs';

const KEY = 'a-key-of-the-console-of-32-letters';
const MOST_TABS = 120;

/** The page of a server, by keyboard. */
class Console extends Page {
  static async at(browser, url, methods) {
    let hub;
    const opened = await Page.open(browser, `${url}/console`, { prepare: async page => {
      if (!methods) return;
      await page.clock.setFixedTime(NOW);
      hub = await answerAs(page, methods);
    } });
    return Object.assign(Object.setPrototypeOf(opened, Console.prototype), { hub });
  }

  /** Presses Tab until something has the focus, which has to be seen. */
  async reach(selector) {
    for (let n = 0; n < MOST_TABS; n++) {
      const at = await this.page.evaluate(selector => {
        const focused = document.activeElement;
        return focused.matches(selector) && { outline: getComputedStyle(focused).outlineStyle };
      }, selector);
      if (at) return assert.notEqual(at.outline, 'none', `${selector} has the focus, and does not show it`);
      await this.page.keyboard.press('Tab');
    }
    return assert.fail(`${selector} is not reached by the keyboard`);
  }
  press(key) { return this.page.keyboard.press(key); }
  type(text) { return this.page.keyboard.type(text); }
  /** A text of the page. */
  text(selector) { return this.page.locator(selector).first().textContent(); }
  signInByKey(key = KEY) { return this.reach('#key').then(() => this.type(key)).then(() => this.press('Enter')); }
}

describe('the console', { concurrency: false }, () => {
  const browser = new Browser();
  let fleet, closed;
  before(async () => {
    await browser.start();
    [fleet, closed] = await Promise.all([Fleet.hubline(3, { args: [`--Admin:ApiKey=${KEY}`] }), Server.hublineIn('Production').then(server => server.start())]);
  });
  after(async () => {
    await browser.end();
    await fleet?.end();
    await closed?.stop();
  });
  const at = (methods, instance = 0) => Console.at(browser, fleet.servers[instance].url, methods);

  test('a key is asked for, held by the tab alone, and forgotten with it', async () => {
    const opened = await at(fixed({ key: KEY }));
    await opened.signInByKey('a wrong key');
    await opened.says('#refused', 'This is no admin key');
    await opened.press('Control+a');
    await opened.signInByKey();
    await opened.says('#figures', '10,017');
    const kept = await opened.page.evaluate(() => [location.href, JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie, document.querySelector('#key').value].join(' '));
    assert.ok(!kept.includes(KEY), kept);
    await opened.page.reload();
    await opened.page.locator('#key').waitFor();
    assert.equal(await opened.page.locator('#figures > *').count(), 0);
    assert.deepEqual(opened.complaints, []);
    await opened.close();
  });

  test('what is old says so, and whoever answers at the address goes on', async () => {
    const opened = await at(fixed({ isOpen: true }));
    await opened.becomes('connected');
    await opened.says('#open', 'Open to everybody');
    opened.hub.leave();
    await opened.says('#status', 'reconnecting');
    await opened.says('#fresh', /^as of 09:41:00, \d+ s old$/);
    await opened.says('#figures', '10,017');
    opened.hub.back();
    await opened.becomes('connected');
    await opened.says('#fresh', 'as of 09:41:00, by web-1');
    await opened.close();
  });

  test('a gap is a gap, and what others chose is text', async () => {
    const name = '<img src=x onerror=alert(1)>';
    const opened = await at({ ...fixed({ isOpen: true }), Watch: () => ({ ...SNAPSHOT, users: [{ name, connections: 3, instances: 1 }] }) });
    await opened.says('#breakdowns', name);
    const connections = await opened.page.locator('.plot').first().getAttribute('aria-label');
    assert.match(connections, /web-0: nothing known; web-1: last 3,\d+, from [\d,]+ to [\d,]+; web-2: .*, with 22 of 360 times missing/);
    await opened.page.locator('.plot').first().focus();
    await opened.press('Home');
    await opened.says('.when', '08:41:10');
    await opened.press('ArrowRight');
    await opened.says('.when', '08:41:20');
    assert.deepEqual(opened.complaints, []);
    await opened.close();
  });

  test('a key whose scope is too small is told so before it acts', async () => {
    const opened = await at({ ...fixed({ isOpen: true, who: { scope: 'read' } }), Preview: act => ({ words: `Would ban ${act.user}.`, scope: 'write', isAllowed: false, silent: [{ id: 'c05b11aa', name: 'web-3' }] }) });
    await opened.becomes('connected');
    await opened.reach('.tools a[href="#act"]');
    await opened.press('Enter');
    await opened.page.locator('#act-kind').selectOption('ban');
    await opened.page.locator('#act-user').fill('ada');
    await opened.click('Preview');
    await opened.says('#confirm-words', 'Would ban ada.');
    await opened.says('#confirm-note', 'web-3 did not answer');
    await opened.says('#confirm-note', 'needs a key of the scope write, and yours has read');
    await opened.page.locator('#confirm-do').waitFor({ state: 'hidden' });
    await opened.close();
  });

  test('Production without a key: it is closed, and says how to open it', async () => {
    const opened = await Console.at(browser, closed.url);
    await opened.says('#closed-why', 'Admin__ApiKey');
    await opened.page.locator('#tools').waitFor({ state: 'hidden' });
    assert.deepEqual(opened.complaints, []);
    await opened.close();
  });

  test('where the hub is not served the page says which setting it is', async () => {
    const opened = await Page.open(browser, `${closed.url}/console`, { prepare: page => page.route('**/console/hub/negotiate*', route => route.fulfill({ status: 404 })) });
    await opened.says('#closed-why', 'Console:Enabled is false');
    await opened.page.locator('#closed-cure').waitFor({ state: 'hidden' });
    await opened.close();
  });

  test('by keyboard alone, on real instances: signs in, finds a connection, reads why it is there, closes it, and sees that it is audited', async () => {
    const { url } = fleet.servers[1];
    const client = await fleet.clientOf(1, '/chathub', { bearer: await token(url, 'ada') });
    const id = client.connection.connectionId;
    const opened = await at();
    await opened.signInByKey();
    await opened.becomes('connected');
    await opened.page.waitForFunction(() => document.querySelectorAll('#instances .state.good').length === 3);
    await opened.reach('.tools a[href="#connections"]');
    await opened.press('Enter');
    await opened.reach('#find-value');
    await opened.type('ada');
    await opened.press('Enter');
    await opened.says('#found-title', '1 connection');
    await opened.says('#timeline-events', 'connected to ChatHub');
    await opened.reach('#timeline-acts button');
    await opened.press('Enter');
    await opened.says('#confirm-words', /1 connection/);
    await opened.reach('#confirm-do');
    const ended = new Promise(resolve => { client.connection.onclose(resolve); client.connection.onreconnecting(resolve); });
    await opened.press('Enter');
    await opened.says('#confirm-title', 'Done');
    await ended;
    await opened.press('Escape');
    await opened.says('#timeline-events', 'closed');
    // Each instance of these has a database of its own: the act is in that of the instance that the page is of.
    const answer = await fetch(`${fleet.servers[0].url}/api/admin/audit?action=console.close`, { headers: { Authorization: `Bearer ${KEY}` } });
    const [{ actor, subject }] = (await answer.json()).items;
    assert.deepEqual([actor, subject], ['admin:Admin:ApiKey', `connection:${id}`]);
    assert.deepEqual(opened.complaints, []);
    await opened.close();
  });

  test('an instance that is started again is found again, and old figures are marked until then', async () => {
    const opened = await at();
    await opened.signInByKey();
    await opened.becomes('connected');
    const [server] = fleet.servers;
    await server.stop();
    await opened.says('#status', 'reconnecting');
    await opened.says('#fresh', /s old$/);
    await server.start();
    await opened.becomes('connected');
    await opened.close();
  });
});

async function token(url, user) {
  const answer = await fetch(`${url}/dev/token`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user }) });
  return (await answer.json()).token;
}
