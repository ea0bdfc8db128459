import { equal, ok } from '../expect.mjs';

const [ROUNDS, MESSAGES_PER_ROUND] = [3, 100];

const lackingStateful = ({ major, transport }) =>
  (major < 8 && 'stateful reconnect came with version 8') || (transport !== 'WebSockets' && 'stateful reconnect is for WebSockets');

export const reconnecting = [
  {
    name: 'automatic reconnect',
    async run(stage) {
      const client = await stage.open({ reconnect: true });
      await client.invoke('JoinGroup', client.name);
      ok(await stage.host.block() > 0, 'nothing was there to be cut');
      await client.event('reconnecting');
      await stage.host.unblock();
      const id = await client.event('reconnected');
      ok(id !== client.id, 'the new connection has the id of the old one');
      equal((await client.invoke('WhoAmI'))[stage.key('connectionId')], id, 'the connection id');
      await client.invoke('SendGroup', client.name, 'no longer in the group');
      await client.invoke('SendClient', id, 'back');
      await client.text('back');
      equal(client.texts, ['back'], 'what arrived');
    },
  },
  {
    name: 'stateful reconnect',
    lacking: lackingStateful,
    async run(stage) {
      const client = await stage.open({ path: '/stateful', stateful: true });
      const peer = await stage.open({ path: '/stateful', direct: 0 });
      const pairs = [[client, peer], [peer, client]];
      const sent = [];
      for (let round = 0; round < ROUNDS; round++) {
        for (let i = 0; i < MESSAGES_PER_ROUND; i++) {
          sent.push(`${round}/${i}`);
          for (const [from, to] of pairs) from.send('SendClient', to.id, sent.at(-1));
          if (i === MESSAGES_PER_ROUND / 2) ok(await stage.host.cut() > 0, 'nothing was there to be cut');
        }
        await Promise.all([client, peer].map(receiver => receiver.text(sent.at(-1))));
      }
      for (const [from, to] of pairs) equal(to.of('Receive'), sent.map(text => [from.id, text]), 'what arrived');
      equal((await client.invoke('WhoAmI'))[stage.key('connectionId')], client.id, 'the connection id');
      equal(client.connection.connectionId, client.id, 'the connection id that the client knows');
      equal(client.events, [], 'the events');
      const opened = (await stage.host.requests()).filter(({ method, path }) => method === 'GET' && path.startsWith('/stateful?'));
      equal(opened.length, 1 + ROUNDS, 'the count of sockets');
    },
  },
  {
    name: 'stateful reconnect that the server does not offer',
    lacking: lackingStateful,
    async run(stage) {
      const client = await stage.open({ stateful: true });
      await stage.host.cut();
      await client.event('closed');
    },
  },
];
