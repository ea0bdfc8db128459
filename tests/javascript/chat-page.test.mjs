// The page /chat of the program, in Chromium, under its content security policy: two people on different instances.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { Browser } from './matrix/chromium.mjs';
import { Cluster } from './parts/cluster.mjs';
import { Page } from './parts/page.mjs';
import { TcpProxy } from './parts/tcp-proxy.mjs';

const MANY = 35;

class Chatter extends Page {
  static async signedIn(browser, cluster, user, instance) {
    const chatter = Object.setPrototypeOf(await Page.open(browser, `${cluster.urls[0]}/chat`), Chatter.prototype);
    await chatter.signIn(user, cluster.urls[instance]);
    return chatter;
  }
  async open(name) {
    await this.page.locator('#partner').fill(name);
    await this.click('Open');
    await this.page.locator('#text:not([disabled])').waitFor();
  }
  async write(text) {
    await this.page.locator('#text').fill(text);
    await this.page.keyboard.press('Enter');
  }
  reads(text) { return this.says('#messages .bubble', text); }
  unread(name, count) { return this.page.locator('#list button', { hasText: name }).locator('.unread', { hasText: new RegExp(`^${count}$`) }).waitFor(); }
  texts() { return this.page.locator('#messages .bubble').allTextContents(); }
}

describe('the chat page', () => {
  const browser = new Browser();
  let cluster, ada, bob;
  before(async () => {
    [cluster] = await Promise.all([Cluster.start('conduit'), browser.start()]);
    [ada, bob] = await Promise.all([Chatter.signedIn(browser, cluster, 'ada', 0), Chatter.signedIn(browser, cluster, 'bob', 1)]);
  });
  after(async () => {
    await browser.end();
    await cluster?.end();
  });

  test('messages, typing, delivered and read cross between two instances', async () => {
    await ada.open('bob');
    await ada.write('hello <b>bob</b>');
    await bob.unread('ada', 1);
    await ada.says('#messages .mine .mark', /delivered|sent/);
    await bob.page.locator('#list button', { hasText: 'ada' }).click();
    await bob.reads('hello <b>bob</b>');
    await ada.says('#messages .mine .mark', /^read$/);
    await bob.page.locator('#text').pressSequentially('hi');
    await ada.says('#typing', 'bob is typing');
    await bob.click('Send');
    await ada.reads(/^hi$/);
    await ada.page.locator('#typing', { hasText: /^$/ }).waitFor({ state: 'attached' });
    assert.deepEqual(await ada.texts(), ['hello <b>bob</b>', 'hi']);
  });

  test('a history has pages, and a page that is loaded again has it too', async () => {
    const answer = await fetch(`${cluster.urls[2]}/dev/token`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"user":"cleo"}' });
    const { token } = await answer.json();
    const cleo = new HubConnectionBuilder().withUrl(`${cluster.urls[2]}/chathub`, { accessTokenFactory: () => token }).configureLogging(LogLevel.None).build();
    await cleo.start();
    for (let n = 1; n <= MANY; n++) await cleo.invoke('SendMessage', 'bob', `number ${n}`);
    await cleo.stop();
    await bob.unread('cleo', MANY);
    await bob.page.reload();
    await bob.becomes('connected');
    await bob.page.locator('#list button', { hasText: 'cleo' }).click();
    await bob.reads(`number ${MANY}`);
    assert.equal((await bob.texts()).length, 30);
    await bob.click('Earlier messages');
    await bob.reads(/^number 1$/);
    assert.deepEqual(await bob.texts(), Array.from({ length: MANY }, (_, n) => `number ${n + 1}`));
    await bob.page.locator('#earlier').waitFor({ state: 'hidden' });
    await bob.page.locator('#list .unread').waitFor({ state: 'detached' });
  });

  test('rooms: who comes is told, what is written arrives, and a member of two devices too', async () => {
    await ada.open('#ward 7');
    await bob.open('#ward 7');
    await ada.says('#typing', 'bob joined');
    await bob.write('rounds at nine');
    await ada.reads('rounds at nine');
    await ada.says('#messages .from', 'bob');
    await bob.click('Leave room');
    await ada.says('#typing', 'bob left');
  });

  test('who moves to another instance misses nothing, and gets nothing twice', async () => {
    await ada.open('bob');
    await bob.open('ada');
    await bob.page.locator('#connected-to').fill(cluster.urls[2]);
    await bob.click('Move');
    for (const n of [1, 2, 3]) await ada.write(`meanwhile ${n}`);
    await bob.reads('meanwhile 3');
    await bob.becomes('connected');
    const texts = (await bob.texts()).filter(text => text.startsWith('meanwhile'));
    assert.deepEqual(texts, ['meanwhile 1', 'meanwhile 2', 'meanwhile 3']);
  });

  test('the keyboard is enough, and what has the focus keeps it', async () => {
    const dora = Object.setPrototypeOf(await Page.open(browser, `${cluster.urls[1]}/chat`), Chatter.prototype);
    await dora.hasFocus('#user');
    await dora.page.keyboard.type('dora');
    await dora.press('Enter');
    await dora.hasFocus('#partner');
    await dora.becomes('connected');
    await dora.page.keyboard.type('#ward 8');
    await dora.press('Enter');
    await dora.hasFocus('#text');
    await dora.press('Shift+Tab', 'Shift+Tab');
    await dora.hasFocus('#leave-room');
    await dora.press('Enter');
    await dora.hasFocus('#partner');
    await dora.page.keyboard.type('bob');
    await dora.press('Enter');
    await dora.hasFocus('#text');
    await dora.page.locator('#list button').focus();
    await bob.open('dora');
    await bob.write('whom do you call?');
    await dora.reads('whom do you call?');
    await dora.hasFocus('#list button');
    assert.deepEqual(dora.complaints, []);
  });

  test('what is written while the instance is away says so, and goes by itself', async () => {
    const network = await TcpProxy.start(new URL(cluster.urls[0]).port);
    const eve = Object.setPrototypeOf(await Page.open(browser, `${network.url}/chat`), Chatter.prototype);
    await eve.signIn('eve');
    await eve.open('bob');
    network.block();
    await eve.becomes('reconnecting');
    await eve.write('are you there?');
    await eve.says('#messages .failed .note', 'as soon as there is a connection');
    network.unblock();
    await eve.says('#messages .mine .mark', /delivered|sent/);
    await eve.page.locator('#messages .failed').waitFor({ state: 'detached' });
    await bob.unread('eve', 1);
    await eve.close();
    await network.end();
  });

  test('nothing on the page breaks its content security policy, and the client warns of nothing', () => {
    for (const { complaints } of [ada, bob]) assert.deepEqual(complaints, []);
  });
});
