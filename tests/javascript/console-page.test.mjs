// The page /console of the program, in Chromium, under its content security policy: what it does with what its hub tells. Its acts are in
// console-keyboard.test.mjs.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from './matrix/chromium.mjs';
import { Console, KEY } from './parts/console.mjs';
import { fixed, FOUND, SNAPSHOT, TIMELINE } from './parts/console-state.mjs';
import { Fleet } from './parts/fleet.mjs';
import { Page } from './parts/page.mjs';
import { Server } from './parts/server.mjs';
import { poll } from './parts/until.mjs';

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

  test('an instance that lets somebody in and then tells nothing is asked less and less often', async () => {
    const times = [], methods = fixed({ isOpen: true });
    const opened = await at({ ...methods, SignIn: key => { times.push(performance.now()); return methods.SignIn(key); }, Watch: () => { throw new Error('Too many questions.'); } });
    await poll(async () => times.length, length => length >= 4, 'asked again');
    // Each wait is at least three quarters of 200, 500 and 1,000 ms.
    assert.ok(times[3] - times[0] > 1200, `asked at ${times}`);
    await opened.says('#waiting', 'Too many questions. Trying again…');
    await opened.close();
  });

  test('a gap is a gap, and what others chose is text', async () => {
    const name = '<img src=x onerror=alert(1)>', turned = 'adm\u202enim\u200b';
    const users = [{ name, connections: 3, instances: 1 }, { name: turned, connections: 2, instances: 1 }];
    const asked = [];
    const opened = await at({ ...fixed({ isOpen: true }), Watch: () => ({ ...SNAPSHOT, users }), Find: query => { asked.push(query.value); return { ...FOUND, connections: [] }; } });
    await opened.says('#breakdowns', name);
    await opened.click('adm\\u{202e}nim\\u{200b}');
    await opened.says('#found-title', 'Nothing of adm\\u{202e}nim\\u{200b}');
    assert.deepEqual(asked, [turned]);
    await opened.view('fleet');
    const connections = await opened.page.locator('.plot').first().getAttribute('aria-label');
    assert.match(connections, /hour\. web-1: last 3,\d+, from [\d,]+ to [\d,]+; web-2: .*, with 22 of 360 times missing/);
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

  test('what was refused is told from what was there', async () => {
    const opened = await at({ ...fixed({ isOpen: true }), Timeline: id => ({ ...TIMELINE, id, entries: [] }) });
    await opened.becomes('connected');
    await opened.view('connections');
    await opened.fill('#find-value', 'ada');
    await opened.press('Enter');
    await opened.says('#found-title', '3 connections, 2 that ended and 1 refused');
    const cells = await opened.page.locator('#found-table tbody tr', { hasText: 'refused-' }).locator('td').allTextContents();
    assert.deepEqual(cells.slice(0, 3), ['refused: expired', '–', '09:40:56']);
    await opened.reach('#found-table tbody tr:nth-child(4) .link');
    await opened.press('Enter');
    await opened.says('#timeline-facts', 'refused at 09:40:56');
    await opened.close();
  });

  test('what is confirmed is what the words are of, though somebody asks twice', async () => {
    const answers = [], done = [];
    const opened = await at({
      ...fixed({ isOpen: true }),
      Preview: act => new Promise(resolve => { answers.push(() => resolve({ words: `Bans ${act.user}.`, scope: 'write', isAllowed: true, silent: [] })); }),
      Act: act => { done.push(act.user); return { words: `Banned ${act.user}.`, silent: [] }; },
    });
    await opened.becomes('connected');
    await opened.view('act');
    await opened.choose('#act-kind', 'Ban');
    for (const user of ['ada', 'bob']) {
      await opened.fill('#act-user', user);
      await opened.press('Enter');
      await poll(async () => answers.length, length => length === (user === 'ada' ? 1 : 2), 'asked');
    }
    answers[0]();
    answers[1]();
    await opened.confirm('Bans bob.', /^Banned bob\.$/, { has: '#act-user' });
    assert.deepEqual(done, ['bob']);
    await opened.close();
  });

  test('a key that is revoked while somebody looks leaves nothing behind of what was seen', async () => {
    let isRevoked = false;
    const methods = fixed({ key: KEY });
    const opened = await at({ ...methods, SignIn: given => { if (isRevoked) throw new Error('This is no admin key, or it is expired or revoked.'); return methods.SignIn(given); } });
    await opened.signInByKey();
    await opened.becomes('connected');
    await opened.page.locator('.uplot').first().waitFor();
    await opened.view('connections');
    await opened.fill('#find-value', 'ada');
    await opened.press('Enter');
    await opened.reach('#found-table .link');
    await opened.press('Enter');
    await opened.hasFocus('#timeline-title');
    await opened.reach('#timeline-acts button');
    await opened.press('Enter');
    await opened.confirm('Closes 3 connections of ada', /^Closed 3 connections of ada/, { has: '#timeline-acts button' });
    isRevoked = true;
    opened.hub.leave();
    opened.hub.back();
    await opened.says('#refused', 'expired or revoked');
    await opened.hasFocus('#key');
    const kept = await opened.page.evaluate(() => document.documentElement.outerHTML);
    for (const name of ['ada', 'dr.okafor', '10.20.0.7', 'web-', 'kW3sT0qN8vYxHf2LdZ6mUA', KEY]) assert.ok(!kept.includes(name), `${name} is still in the page`);
    const typed = await opened.page.evaluate(() => [...document.querySelectorAll('input')].map(({ value }) => value).join(''));
    assert.equal(typed, '');
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
