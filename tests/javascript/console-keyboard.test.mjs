// Everything that the console does, by keyboard alone, on three real instances: said in words before, done, told, audited.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Browser } from './matrix/chromium.mjs';
import { Client } from './parts/client.mjs';
import { Console, KEY } from './parts/console.mjs';
import { Fleet } from './parts/fleet.mjs';
import { poll } from './parts/until.mjs';

const JSON_TYPE = { 'Content-Type': 'application/json' };

describe('the console by keyboard', { concurrency: false }, () => {
  const browser = new Browser();
  let fleet, folder, page;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'console-'));
    // One database for all, as a fleet has.
    const args = [`--Admin:ApiKey=${KEY}`, `--ConnectionStrings:Database=Data Source=${join(folder, 'fleet.db')}`];
    [fleet] = await Promise.all([Fleet.hubline(3, { args }), browser.start()]);
    page = await Console.at(browser, fleet.servers[0].url);
    await page.hasFocus('#key');
    await page.signInByKey();
    await page.becomes('connected');
    await page.page.waitForFunction(() => document.querySelectorAll('#instances .state.good').length === 3);
    await page.hasFocus('#fleet-title');
  });
  after(async () => {
    await browser.end();
    await fleet?.end();
    if (folder) await rm(folder, { recursive: true });
  });

  const url = instance => fleet.servers[instance].url;
  const audit = async action => (await (await fetch(`${url(0)}/api/admin/audit?action=${action}&limit=20`, { headers: { Authorization: `Bearer ${KEY}` } })).json()).items;
  /** That the newest of this kind is in the audit, with the key that it was done with. */
  async function isAudited(action, subject, details) {
    const [newest] = await audit(action);
    assert.deepEqual([newest.actor, newest.subject], ['admin:Admin:ApiKey', subject]);
    if (details) assert.match(newest.details, details);
  }
  async function token(user, instance) {
    const answer = await fetch(`${url(instance)}/dev/token`, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify({ user }) });
    return (await answer.json()).token;
  }
  /** The official client of somebody, in a room if one is named. */
  async function user(name, instance, room) {
    const client = fleet.keep(await Client.connect(`${url(instance)}/chathub`, { bearer: await token(name, instance), events: ['Notice', 'UserJoined', 'UserLeft'] }));
    if (room) await client.invoke('JoinRoom', room);
    return client;
  }
  const notices = client => client.of('Notice').map(([text]) => text);
  const areClosed = clients => Promise.all(clients.map(client => client.event('closed')));

  async function act(kind) {
    await page.view('act');
    await page.choose('#act-kind', kind);
  }
  async function preview() {
    await page.reach('#act-go');
    await page.press('Enter');
  }

  test('sends: to all, a group, a user and a connection, and nobody else hears it', async () => {
    const [ada, adaAgain, bob, cleo] = await Promise.all([user('ada', 1), user('ada', 2), user('bob', 1, 'kitchen'), user('cleo', 2, 'kitchen')]);
    const send = async (target, id, text) => {
      await act('Send');
      await page.choose('#act-target', target);
      if (id) await page.fill('#act-id', id);
      await page.choose('#act-hub', 'ChatHub');
      await page.fill('#act-method', 'Notice');
      await page.fill('#act-arguments', JSON.stringify([text]));
      await preview();
    };
    await send('A group', 'kitchen', 'the soup');
    await page.confirm('Sends Notice to 2 connections in the group kitchen to ChatHub on 2 instances.', /^Sent Notice to 2 connections in the group kitchen/, { has: '#act-go' });
    await isAudited('console.send', 'group:kitchen', /Notice of ChatHub/);
    await send('A user', 'ada', 'your tea');
    await page.confirm('Sends Notice to 2 connections of ada to ChatHub on 2 instances.', /^Sent Notice to 2 connections of ada/, { has: '#act-go' });
    await isAudited('console.send', 'user:ada');
    await send('A connection', cleo.connection.connectionId, 'only you');
    await page.confirm(`Sends Notice to 1 connection with the id ${cleo.connection.connectionId} to ChatHub on 1 instance.`, /^Sent Notice to 1 connection/, { has: '#act-go' });
    await isAudited('console.send', `connection:${cleo.connection.connectionId}`);
    await send('Everybody', '', 'good morning');
    await page.confirm('Sends Notice to 4 connections to ChatHub on 2 instances.', /^Sent Notice to 4 connections/, { has: '#act-go', leave: 'Escape' });
    await isAudited('console.send', 'connection:*');
    // What one instance has published arrives in order, so the last one says that all have.
    for (const client of [ada, adaAgain, bob, cleo]) await client.until(() => notices(client).includes('good morning'), () => notices(client).join());
    assert.deepEqual([ada, adaAgain, bob, cleo].map(notices), [
      ['your tea', 'good morning'], ['your tea', 'good morning'], ['the soup', 'good morning'], ['the soup', 'only you', 'good morning'],
    ]);
    await Promise.all([ada, adaAgain, bob, cleo].map(client => client.stop()));
  });

  test('arguments that are no JSON array are refused where they stand', async () => {
    await act('Send');
    await page.fill('#act-method', 'Notice');
    await page.fill('#act-arguments', '["tea"');
    await preview();
    await page.says('#act-error', 'The arguments are no JSON');
    await page.hasFocus('#act-go');
  });

  test('closes: all of a user, all of a group, and one that was found', async () => {
    const [ada, adaAgain, bob, cleo, dora] = await Promise.all([user('ada', 1), user('ada', 2), user('bob', 1, 'kitchen'), user('cleo', 2, 'kitchen'), user('dora', 2)]);
    await act('Close');
    await page.choose('#act-target', 'All of a user');
    await page.fill('#act-id', 'ada');
    await preview();
    await page.confirm('Closes 2 connections of ada on 2 instances.', /^Closed 2 connections of ada on 2 instances\.$/, { has: '#act-go' });
    await areClosed([ada, adaAgain]);
    await isAudited('console.close', 'user:ada');
    await page.choose('#act-target', 'All of a group');
    await page.fill('#act-id', 'kitchen');
    await page.choose('#act-hub', 'ChatHub');
    await preview();
    await page.confirm('Closes 2 connections in the group kitchen to ChatHub on 2 instances.', /^Closed 2 connections in the group kitchen/, { has: '#act-go' });
    await areClosed([bob, cleo]);
    await isAudited('console.close', 'group:kitchen', /ChatHub/);
    await page.view('connections');
    await page.choose('#find-by', 'User');
    await page.fill('#find-value', 'dora');
    await page.press('Enter');
    await page.says('#timeline-events', 'connected to ChatHub');
    await page.hasFocus('#found-title');
    await page.reach('#timeline-acts button');
    await page.press('Space');
    const { connectionId } = dora.connection;
    // What began it is gone with the connection.
    await page.confirm(`Closes 1 connection with the id ${connectionId} on 1 instance.`, /^Closed 1 connection with the id/, { has: '#timeline-title' });
    await areClosed([dora]);
    await page.says('#timeline-events', 'closed');
    await isAudited('console.close', `connection:${connectionId}`);
  });

  test('bans: who was found is closed, and kept out on every instance, for the time that was said', async () => {
    const [eve, bob] = await Promise.all([user('eve ', 1), user('eve', 2)]);
    await page.view('connections');
    await page.fill('#find-value', 'eve ');
    await page.press('Enter');
    await page.says('#timeline-events', 'connected to ChatHub');
    await page.reach('#timeline-acts button:nth-child(3)');
    await page.press('Enter');
    await page.hasFocus('#act-for');
    await page.fill('#act-for', '2');
    await page.choose('#act-unit', 'hours');
    await page.fill('#act-reason', 'a stolen phone');
    await page.press('Enter');
    await page.confirm('Closes 1 connection of eve  on 1 instance, and keeps eve  out for 2 hours.', /^Closed 1 connection of eve {2}on 1 instance; eve {2}is kept out for 2 hours\.$/, { has: '#act-reason' });
    await areClosed([eve]);
    for (const instance of [0, 1, 2]) await assert.rejects(user('eve ', instance), /403/, `comes in on ${instance}`);
    // Whose name differs in a space is somebody else.
    await bob.invoke('GetConversations');
    const [{ user: out, reason, outUntil }] = (await (await fetch(`${url(2)}/api/admin/bans`, { headers: { Authorization: `Bearer ${KEY}` } })).json()).items;
    assert.deepEqual([out, reason, Math.round((Date.parse(outUntil) - Date.now()) / 3_600_000)], ['eve ', 'a stolen phone', 2]);
    await isAudited('user.close', 'user:eve ', /stolen phone|2 h|7200/);
    await bob.stop();
  });

  test('revokes a key: it opens nothing any more, on any instance', async () => {
    const made = await fetch(`${url(1)}/api/admin/keys`, { method: 'POST', headers: { ...JSON_TYPE, Authorization: `Bearer ${KEY}` }, body: JSON.stringify({ name: 'deployment', scope: 'read' }) });
    const { key, secret } = await made.json();
    const statuses = () => Promise.all([0, 1, 2].map(async instance => (await fetch(`${url(instance)}/api/admin/model-mappings`, { headers: { Authorization: `Bearer ${secret}` } })).status));
    assert.deepEqual(await statuses(), [200, 200, 200]);
    await act('Revoke');
    await page.choose('#act-key', 'deployment');
    await preview();
    await page.confirm('Revokes the key deployment.', /^Revoked the admin key deployment\.$/, { has: '#act-go' });
    await poll(statuses, seen => seen.every(status => status === 401), 'refused everywhere');
    await isAudited('key.revoke', `key:${key.id}`);
    await page.says('#act-key', 'there is none that could be revoked');
  });

  test('drains an instance: it hands its clients over, and its button is gone, but not the focus', async () => {
    const client = await user('ada', 2);
    await page.view('fleet');
    const name = await page.page.locator('#instances tbody tr', { hasText: `:${fleet.servers[2].port}` }).locator('button').getAttribute('aria-label');
    await page.reach(`#instances button[aria-label="${name}"]`);
    await page.press('Enter');
    await page.confirm(/^Hands over 1 connection of \S+ to other instances, and takes no new ones until it is started anew\.$/, /^Hands over 1 connection of/, { has: `:is(#instances button[aria-label="${name}"], #instances-title ~ .scroll)` });
    await client.event('closed');
    await page.says('#instances .state', /^drain/);
    await page.hasFocus('#instances-title ~ .scroll');
    await poll(async () => (await fetch(`${url(2)}/chathub/negotiate?negotiateVersion=1`, { method: 'POST' })).status, status => status === 503, 'takes no new connections');
    assert.equal((await fetch(`${url(1)}/chathub/negotiate?negotiateVersion=1`, { method: 'POST' })).status, 200);
    const [{ actor, subject }] = await audit('instance.drain');
    assert.match(`${actor} ${subject}`, /^admin:Admin:ApiKey instance:[0-9a-f]{8}$/);
  });

  test('nothing on the page breaks its content security policy, and no script fails', () => {
    assert.deepEqual(page.complaints.filter(text => !/404|503/.test(text)), []);
  });
});
