import { equal, matches, ok, rejects } from '../expect.mjs';

export const connecting = [
  {
    name: 'connect with negotiation',
    async run({ signalR, first, second }) {
      for (const { connection, id } of [first, second]) {
        equal(connection.state, signalR.HubConnectionState.Connected, 'the state');
        matches(id, /^[\w-]{22}$/, 'the connection id');
        equal(connection.connectionId, id, 'the connection id that negotiation told');
      }
      ok(first.id !== second.id, 'two connections have the same id');
    },
  },
  {
    name: 'connect without negotiation',
    lacking: ({ transport }) => transport !== 'WebSockets' && 'only WebSockets can do without negotiation',
    async run(stage) {
      const client = await stage.open({ skipNegotiation: true });
      matches(client.id, /^[\w-]{22}$/, 'the connection id');
      equal(await client.invoke('Add', 1, 2), 3);
    },
  },
  {
    name: 'connect to a path without a hub',
    run: stage => rejects(stage.open({ path: '/nowhere' }), /404|Not Found/),
  },
  {
    name: 'connect from another origin',
    lacking: ({ environment }) => environment === 'Node' && 'only browsers have origins',
    async run({ host, url }) {
      const { origin } = globalThis;
      ok(origin !== new URL(url).origin, 'the page is of the server');
      const requests = (await host.requests()).filter(({ path }) => path.startsWith('/conformance/negotiate'));
      for (const method of ['OPTIONS', 'POST']) {
        const request = requests.find(request => request.method === method);
        ok(request, `no ${method} request among ${JSON.stringify(requests)}`);
        equal(request.origin, origin, `the origin of ${method}`);
      }
    },
  },
  {
    name: 'stop by the client',
    async run(stage) {
      const client = await stage.open();
      await client.stop();
      equal(client.connection.state, stage.signalR.HubConnectionState.Disconnected, 'the state');
      equal(client.events, [{ name: 'closed', detail: undefined }], 'the events');
      await stage.logged(new RegExp(`^disconnected ${client.name} `));
      await rejects(client.invoke('Add', 1, 2), "Cannot send data if the connection is not in the 'Connected' State.");
    },
  },
  {
    name: 'close by the server',
    async run(stage) {
      const client = await stage.open();
      await client.send('Abort');
      await client.event('closed');
      equal(client.connection.state, stage.signalR.HubConnectionState.Disconnected, 'the state');
      equal(await stage.first.invoke('Add', 1, 2), 3, 'what another connection is answered');
    },
  },
  {
    name: 'start again after a stop',
    async run(stage) {
      const client = await stage.open();
      await client.stop();
      await client.connection.start();
      const id = (await client.invoke('WhoAmI'))[stage.key('connectionId')];
      ok(id !== client.id, 'the new connection has the id of the old one');
    },
  },
];
