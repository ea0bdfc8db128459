// Stateful reconnect of clients whose messages come from other instances, over Redis.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { Fleet } from './parts/fleet.mjs';
import { Recorder } from './parts/recorder.mjs';
import { TcpProxy } from './parts/tcp-proxy.mjs';

const [ROUNDS, MESSAGES_PER_ROUND] = [5, 200];

describe('stateful reconnect, instances: 2', () => {
  let fleet, proxy, away, other;
  before(async () => {
    fleet = await Fleet.conformance(2);
    proxy = await TcpProxy.start(fleet.servers[0].port);
    const builder = new HubConnectionBuilder().withUrl(`${proxy.url}/stateful`, { transport: HttpTransportType.WebSockets });
    away = fleet.keep(new Recorder(builder.withStatefulReconnect().configureLogging(LogLevel.None).build()));
    await away.connection.start();
    away.id = (await away.invoke('WhoAmI')).connectionId;
    await away.invoke('JoinGroup', 'everyone');
    other = await fleet.client(1);
  });
  after(async () => {
    await fleet?.end();
    await proxy?.end();
  });

  test('what another instance sends while the client is away comes once and in order', async () => {
    const sent = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < MESSAGES_PER_ROUND; i++) {
        sent.push(`${round}/${i}`);
        // Awaited: messages to one target keep their order then, and the cut falls among them.
        await other.invoke('SendGroup', 'everyone', sent.at(-1));
        if (i === MESSAGES_PER_ROUND / 2) assert.ok(proxy.cut() > 0, 'nothing was there to be cut');
      }
      await away.text(sent.at(-1));
    }
    assert.deepEqual(away.texts, sent);
    assert.equal(away.connection.connectionId, away.id);
    assert.equal((await away.invoke('WhoAmI')).connectionId, away.id);
    assert.deepEqual(away.events, []);
  });
});
