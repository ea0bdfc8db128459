// Three instances behind a real nginx that sends each request to another one: no transport needs sticky sessions.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { Client } from './parts/client.mjs';
import { Fleet } from './parts/fleet.mjs';
import { LoadBalancer } from './parts/load-balancer.mjs';
import { Recorder } from './parts/recorder.mjs';
import { TcpProxy } from './parts/tcp-proxy.mjs';
import { poll } from './parts/until.mjs';

const SENDS = 1_000;
const CLIENTS = 3;
const CUTS = 12;
const AWAY_MS = 20_000;
const TRANSPORTS = ['WebSockets', 'ServerSentEvents', 'LongPolling'];
const numbers = Array.from({ length: SENDS }, (_, i) => String(i));

for (const [name, method] of [['round-robin', ''], ['least_conn', 'least_conn;']]) {
  describe(`three instances behind nginx, ${name}`, () => {
    let fleet, balancer;
    before(async () => {
      fleet = await Fleet.conformance(3);
      balancer = await LoadBalancer.start(fleet.servers, { method });
    });
    after(async () => {
      await fleet?.end();
      await balancer?.stop();
    });

    for (const transport of TRANSPORTS) {
      for (const messagePack of transport === 'ServerSentEvents' ? [false] : [false, true]) {
        test(`${transport}, ${messagePack ? 'MessagePack' : 'JSON'}: ${SENDS} sends of each client, none lost, none twice, in order`, async () => {
          const options = { transport: HttpTransportType[transport], messagePack };
          const clients = await Promise.all(Array.from({ length: CLIENTS }, () => Client.conformance(balancer, options)));
          clients.forEach(client => fleet.keep(client));
          await Promise.all(clients.map(async client => {
            // Awaited: each is a request of its own.
            for (const number of numbers) await client.send('SendAll', number);
            await client.invoke('WhoAmI');
          }));
          await Promise.all(clients.map(client => client.calls('Receive', CLIENTS * SENDS)));
          await fleet.settled(clients);
          for (const client of clients) {
            assert.equal(client.of('Receive').length, CLIENTS * SENDS + 1);
            for (const sender of clients) {
              const texts = client.of('Receive').filter(([from, text]) => from === sender.id && !text.startsWith('mark')).map(([, text]) => text);
              assert.deepEqual(texts, numbers);
            }
          }
          await Promise.all(clients.map(client => client.stop()));
        });
      }
    }

    test('stateful reconnect: sockets that are cut are followed by others on other instances, nothing lost, nothing twice', async t => {
      const proxy = await TcpProxy.start(balancer.port);
      t.after(() => proxy.end());
      const builder = new HubConnectionBuilder().withUrl(`${proxy.url}/stateful`, { transport: HttpTransportType.WebSockets });
      const client = fleet.keep(new Recorder(builder.withStatefulReconnect().configureLogging(LogLevel.None).build()));
      await client.connection.start();
      const { connectionId } = await client.invoke('WhoAmI');
      await client.invoke('JoinGroup', 'stateful');
      const sent = [];
      const sending = await fleet.client(0);
      for (let round = 0; round < CUTS; round++) {
        const own = [];
        for (let i = 0; i < 20; i++) {
          sent.push(`${round}/${i}`);
          await sending.invoke('SendGroup', 'stateful', sent.at(-1));
          own.push(client.invoke('WhoAmI'));
          if (i === 10) assert.ok(proxy.cut() > 0, 'nothing was there to be cut');
        }
        await client.text(sent.at(-1));
        for (const answer of await Promise.all(own)) assert.equal(answer.connectionId, connectionId);
      }
      assert.deepEqual(client.texts, sent);
      assert.deepEqual(client.events, []);
      await client.stop();
    });

    test('requests of one connection did go to different instances', async () => {
      const places = [...(await balancer.places()).values()];
      assert.ok(places.filter(at => at.size === 3).length >= 2 * CLIENTS, 'clients that post were served by all three');
    });
  });
}

describe('three instances behind nginx, Redis away for longer than a client may be silent', () => {
  let fleet, balancer;
  before(async () => {
    fleet = await Fleet.conformance(3);
    balancer = await LoadBalancer.start(fleet.servers);
  });
  after(async () => {
    await fleet?.end();
    await balancer?.stop();
  });

  test('clients of every transport stay connected and go on where they were', async () => {
    const clients = [];
    for (const transport of TRANSPORTS) {
      const options = { transport: HttpTransportType[transport] };
      clients.push(...await Promise.all(Array.from({ length: CLIENTS }, () => Client.conformance(balancer, options))));
    }
    clients.forEach(client => fleet.keep(client));
    await Promise.all(clients.map(client => client.invoke('JoinGroup', 'here')));
    await fleet.redis.stop();
    // The clocks that must stand still meanwhile are what is tested.
    await new Promise(resolve => setTimeout(resolve, AWAY_MS));
    await fleet.redis.start();
    for (const [i, sender] of clients.entries()) {
      // A request may still land on an instance that does not know yet that Redis is back.
      const arrived = () => clients.every(client => client.texts.includes(`back ${i}`));
      await poll(() => sender.invoke('SendGroup', 'here', `back ${i}`).then(arrived), done => done, `back ${i}`);
    }
    for (const client of clients) assert.deepEqual(client.events, []);
  });
});
