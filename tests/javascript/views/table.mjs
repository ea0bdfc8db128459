// Every view of the program that people look at. `cargo xtask screenshots` takes a picture of each in both colour schemes at both
// widths, and views.test.mjs judges each of these.
//
// A view has a `name`, which is that of its pictures, a `path`, and `show(page, stage)`, which brings the page into the state
// that is looked at and returns when it is complete; `prepare(page, stage)`, with playwright's page, comes before anything is loaded. `environment` is Development unless said otherwise. Where `isWhole` is false the picture shows one screen rather than the whole page;
// `highest` bounds the picture of a width, in pixels. `page` is a Page of
// parts/page.mjs, `stage` has three instances over one Redis, the first of which serves the page. `complaints` matches those of the console
// that belong to the view.

import { answerAs, fixed } from '../parts/console-state.mjs';

export const SCHEMES = ['light', 'dark'];
export const WIDTHS = [360, 1400];
/** Pictures are small enough to be kept in the repository. */
export const LARGEST_PICTURE = 150 * 1024;
export const LARGEST_TOTAL = 5 * 1024 * 1024;

/** The hub of the console in the view that is looked at. */
let hub;

export const VIEWS = [
  {
    name: 'home',
    path: '/',
    async show({ page }) {
      const panels = [0, 1].map(n => page.locator('#connections section').nth(n));
      for (const panel of panels) await panel.locator('.status.connected').waitFor();
      for (const [from, to, text] of [[0, 1, 'Hello from A'], [1, 0, 'Hello from B']]) {
        await panels[from].getByRole('button', { name: 'Send to the other' }).click();
        await panels[to].locator('li', { hasText: text }).first().waitFor();
      }
      await page.locator('#health', { hasText: 'Healthy' }).waitFor();
    },
  },
  {
    name: 'home-production',
    path: '/',
    environment: 'Production',
    async show({ page }) {
      for (const n of [0, 1]) await page.locator('#connections section').nth(n).locator('.status.connected').waitFor();
      await page.locator('#health', { hasText: 'Healthy' }).waitFor();
    },
  },
  {
    name: 'test',
    path: '/console/test',
    async show({ page }, { addresses }) {
      for (const address of addresses.slice(1)) await add(page, address);
      await page.locator('.status.connected').nth(addresses.length - 1).waitFor();
      for (let n = 1; n <= 3; n++) {
        await page.locator('#broadcast:enabled').click();
        for (const address of addresses) await instance(page, address).locator('[data-count=received]', { hasText: new RegExp(`^${n}$`) }).waitFor();
      }
    },
  },
  {
    name: 'test-refused',
    path: '/console/test',
    // The browser says by itself that it was kept out.
    complaints: /CORS policy|Failed to load resource/,
    async show({ page }, { production, addresses }) {
      await add(page, production);
      await instance(page, production).locator('.refused pre').waitFor();
      await instance(page, addresses[0]).getByRole('button', { name: 'Stop' }).click();
      await instance(page, addresses[0]).locator('.status', { hasText: 'Disconnected' }).waitFor();
    },
  },
  {
    name: 'chat',
    path: '/chat',
    async show(page, stage) {
      const [bob, cleo] = [await stage.user('bob', '/chathub', 1), await stage.user('cleo', '/chathub', 2)];
      await page.signIn('ada');
      const ward = '#ward 7';
      for (const member of [bob, cleo]) await member.invoke('JoinRoom', ward.slice(1));
      await cleo.invoke('SendToRoom', ward.slice(1), 'Rounds begin at nine.');
      await bob.invoke('SendMessage', 'ada', 'Good morning. Are the results of bed 3 in?');
      await page.page.locator('#list button', { hasText: 'bob' }).click();
      await page.says('#messages .bubble', 'bed 3');
      await page.page.locator('#text').fill('They came a minute ago, and they look fine.');
      await page.page.keyboard.press('Enter');
      await page.says('#messages .mine .bubble', 'look fine');
      await bob.invoke('SendMessage', 'ada', 'Then she can go home today. Could you write the letter?');
      await page.says('#messages .bubble', 'the letter');
      const { lastMessage } = (await bob.invoke('GetConversations')).find(({ with: user }) => user === 'ada');
      await bob.invoke('MarkRead', { with: 'ada', id: lastMessage.id });
      await page.says('#messages .mine .mark', /^read$/);
      await cleo.invoke('SendMessage', 'ada', 'Call me when you have a moment.');
      await page.page.locator('#list .unread').waitFor();
    },
  },
  {
    name: 'chat-sign-in',
    path: '/chat',
    async show({ page }) { await page.locator('#sign-in').waitFor(); },
  },
  {
    name: 'call',
    path: '/call',
    async show(page, stage) {
      const bob = await stage.user('bob', '/videocallhub', 1);
      await page.signIn('ada');
      await bob.invoke('InitiateCall', 'ada', { type: 'offer', sdp: 'v=0' });
      await page.page.locator('#incoming').waitFor();
    },
  },
  {
    name: 'console',
    path: '/console',
    isWhole: false,
    // To the end of the instances.
    highest: { 1400: 836 },
    prepare: page => answerAs(page, fixed({ key: 'a key' })),
    async show({ page }) {
      await enter(page);
      await page.locator('.uplot').nth(3).waitFor();
    },
  },
  {
    name: 'console-find',
    path: '/console#connections',
    prepare: page => answerAs(page, fixed({ key: 'a key' })),
    async show({ page }) {
      await enter(page);
      await timeline(page);
    },
  },
  {
    name: 'console-confirm',
    path: '/console#connections',
    isWhole: false,
    prepare: page => answerAs(page, fixed({ isOpen: true })),
    async show({ page }) {
      await timeline(page);
      await page.locator('#timeline-acts button').first().click();
      await page.locator('#confirm-do').waitFor();
    },
  },
  {
    name: 'console-old',
    path: '/console',
    isWhole: false,
    highest: { 1400: 836 },
    async prepare(page) {
      // How old it is counts by another clock than the time of day.
      await page.addInitScript(() => { performance.now = () => globalThis.later ?? 1; });
      hub = await answerAs(page, fixed({ key: 'a key' }));
    },
    async show(opened) {
      const { page } = opened;
      await enter(page);
      await page.locator('.uplot').nth(3).waitFor();
      hub.leave();
      await opened.says('#status', 'reconnecting');
      await page.evaluate(() => { globalThis.later = 12_000; });
      await opened.says('#fresh', '12 s old');
    },
    // The browser tells of each attempt.
    complaints: /ERR_FAILED/,
  },
  {
    name: 'console-act',
    path: '/console#act',
    prepare: page => answerAs(page, fixed({ isOpen: true, done: 'Sent Notice to 3 connections of ada to ChatHub on 3 instances.' })),
    async show(opened) {
      const { page } = opened;
      await page.locator('#act-target').selectOption('user');
      await page.locator('#act-id').fill('ada');
      await page.locator('#act-method').fill('Notice');
      await page.locator('#act-arguments').fill('["The results of bed 3 are in."]');
      await carryOut(opened);
    },
  },
  {
    name: 'console-revoke',
    path: '/console#act',
    prepare: page => answerAs(page, fixed({ isOpen: true, done: 'Revoked the admin key deployment.' })),
    async show(opened) {
      const { page } = opened;
      await page.locator('#act-kind').selectOption('revokeKey');
      await page.locator('#act-key option', { hasText: 'deployment' }).waitFor({ state: 'attached' });
      await carryOut(opened);
    },
  },
  {
    name: 'console-sign-in',
    path: '/console',
    prepare: page => answerAs(page, fixed()),
    async show({ page }) { await page.locator('#key').waitFor(); },
  },
  {
    name: 'console-off',
    path: '/console',
    environment: 'Production',
    async show({ page }) { await page.locator('#closed').waitFor(); },
  },
];

/** Signs in to the console. */
async function enter(page) {
  await page.locator('#key').fill('a key');
  await page.keyboard.press('Enter');
}

/** Does what the form says, and leaves what is said of it. */
async function carryOut(opened) {
  await opened.click('Preview');
  await opened.page.locator('#confirm-do').click();
  await opened.says('#confirm-title', 'Done');
  await opened.click('OK');
  await opened.page.locator('#done li').first().waitFor();
}

/** Finds the connections of somebody, and opens the one that ended because it read too slowly. */
async function timeline(page) {
  await page.locator('#find-value').fill('ada');
  await page.locator('#find button').click();
  await page.locator('#found-table .link').nth(4).click();
  await page.locator('#timeline-events li').nth(5).waitFor();
}

async function add(page, address) {
  await page.locator('#address').fill(address);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
}
const instance = (page, address) => page.locator(`.instance[aria-label="${address}"]`);

/** The file of a picture. */
export const picture = (view, scheme, width) => `${view.name}-${scheme}-${width}.png`;
