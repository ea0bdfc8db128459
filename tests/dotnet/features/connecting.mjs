import assert from 'node:assert/strict';

const needsWebSockets = stage => stage.transport !== 'WebSockets' && 'WebSockets only';
const ID = /^[\w-]{22}$/;

export const connecting = [
  {
    feature: 'connect with negotiation',
    async run(stage) {
      const client = await stage.open();
      assert.match(client.id, ID);
    },
  },
  {
    feature: 'connection id and state',
    lacking: ({ client }) => client.before(3, 'connection id or state to read'),
    async run(stage) {
      const client = await stage.open();
      assert.equal(client.negotiatedId, client.id);
      assert.deepEqual(await client.state(), { state: 'Connected', connectionId: client.id });
    },
  },
  {
    feature: 'connect without negotiation',
    lacking: needsWebSockets,
    async run(stage) {
      const client = await stage.open({ skipNegotiation: true, user: 'ada' });
      assert.match(client.id, ID);
      assert.equal(await client.invoke('SignedIn'), 'ada');
    },
  },
  {
    feature: 'endpoint of this transport only',
    async run(stage) {
      const path = { WebSockets: '/websockets', ServerSentEvents: '/sse', LongPolling: '/longpolling' }[stage.transport];
      const client = await stage.open({ path });
      assert.equal(await client.invoke('Add', 1, 2), 3);
    },
  },
  {
    feature: 'endpoint of another transport',
    async run(stage) {
      const path = stage.transport === 'LongPolling' ? '/websockets' : '/longpolling';
      await assert.rejects(stage.open({ path }), /Unable to connect to the server with any of the available transports|is not supported/);
    },
  },
  {
    feature: 'path without a hub',
    run: stage => assert.rejects(stage.open({ path: '/nowhere' }), { message: 'Response status code does not indicate success: 404 (Not Found).' }),
  },
  {
    feature: 'token',
    async run(stage) {
      const ada = await stage.open({ path: '/authorized', user: 'ada' });
      const who = await ada.invoke('WhoAmI');
      assert.equal(who[stage.key('userIdentifier')], 'ada');
    },
  },
  {
    feature: 'endpoint that refreshes tokens',
    async run(stage) {
      const ada = await stage.open({ path: '/refreshing-authorized', user: 'ada' });
      assert.equal(await ada.invoke('SignedIn'), 'ada');
    },
  },
  {
    feature: 'token missing or wrong',
    async run(stage) {
      const message = 'Response status code does not indicate success: 401 (Unauthorized).';
      await assert.rejects(stage.open({ path: '/authorized' }), { message });
      await assert.rejects(stage.open({ path: '/authorized', token: 'no.such.token' }), { message });
    },
  },
  {
    feature: 'authorized methods',
    async run(stage) {
      const ada = await stage.open({ user: 'ada' });
      assert.equal(await ada.invoke('SignedIn'), 'ada');
      const refused = method => ({ message: `Failed to invoke '${method}' because user is unauthorized` });
      await assert.rejects(stage.first.invoke('SignedIn'), refused('SignedIn'));
      await assert.rejects(ada.invoke('DoctorsOnly'), refused('DoctorsOnly'));
    },
  },
];
