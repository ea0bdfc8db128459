// A token ends while its client polls: the official client goes on, since it would not renew the token at a refused poll.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpTransportType } from '@microsoft/signalr';
import { Client } from './parts/client.mjs';
import { Fleet } from './parts/fleet.mjs';
import { token } from './parts/token.mjs';
import { poll } from './parts/until.mjs';

const KEY = ['--Jwt:Key=conformance-signing-key-of-32-bytes-or-more', '--Jwt:ClockSkew=0'];

/** Status and reason of a negotiation. */
async function negotiate(server, bearer) {
  const headers = bearer ? { authorization: `Bearer ${bearer}` } : {};
  const response = await fetch(`${server.url}/chathub/negotiate?negotiateVersion=1`, { method: 'POST', headers });
  await response.text();
  return [response.status, response.headers.get('www-authenticate')];
}

async function connected(fleet, options) {
  const client = new Client(`${fleet.servers[0].url}/chathub`, { transport: HttpTransportType.LongPolling, events: ['ReceiveMessage', 'ReceiveRoomMessage'], ...options });
  await client.connection.start();
  return fleet.keep(client);
}

for (const instances of [1, 2]) {
  test(`a connection outlives its token, instances: ${instances}`, async t => {
    const fleet = await Fleet.hubline(instances, { args: KEY });
    t.after(() => fleet.end());
    const bearer = token('ada', { seconds: 2 });
    const ada = await connected(fleet, { bearer });
    const bob = await connected(fleet, { user: 'bob' });
    await ada.invoke('JoinRoom', 'reception');
    const [, reason] = await poll(() => negotiate(fleet.servers[0], bearer), ([status]) => status === 401, 'the end of the token');
    assert.match(reason, /error_description="The token expired at/);

    await bob.invoke('SendMessage', 'ada', 'still there?');
    assert.deepEqual(await ada.calls('ReceiveMessage'), [['bob', 'still there?']]);
    await ada.invoke('SendMessage', 'bob', 'of course');
    assert.deepEqual(await bob.calls('ReceiveMessage'), [['ada', 'of course']]);
    await ada.invoke('SendToRoom', 'reception', 'and here');
    await ada.until(() => ada.of('ReceiveRoomMessage').some(([, message]) => message === 'and here'));
    await ada.connection.stop();
    await assert.rejects(connected(fleet, { bearer }), /401/);
  });
}

test('a connection ends with its token where that is wanted', async t => {
  const fleet = await Fleet.hubline(1, { args: [...KEY, '--SignalR:CloseOnAuthenticationExpiration=true'] });
  t.after(() => fleet.end());
  const ada = await connected(fleet, { bearer: token('ada', { seconds: 2 }) });
  const closed = new Promise(resolve => ada.connection.onclose(resolve));
  await ada.invoke('JoinRoom', 'reception');
  await closed;
});

test('the chat wants a token where there are keys, and anybody may watch the navigation state', async t => {
  const fleet = await Fleet.hubline(1, { args: KEY });
  t.after(() => fleet.end());
  assert.deepEqual(await negotiate(fleet.servers[0]), [401, 'Bearer']);
  await assert.rejects(fleet.clientOf(0, '/chathub'), /401/);
  await assert.rejects(fleet.clientOf(0, '/chathub', { bearer: 'nonsense' }), /401/);
  await fleet.clientOf(0, '/hubs/navigation-state');
  await assert.rejects(fleet.clientOf(0, '/hubs/navigation-state', { bearer: 'nonsense' }), /401/);
  await fleet.clientOf(0, '/chathub', { user: 'ada' });
});
