// The hubline program over TLS, with a certificate that Node verifies.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { HttpTransportType } from '@microsoft/signalr';
import { Client } from './parts/client.mjs';
import { Server } from './parts/server.mjs';

const TRANSPORTS = ['WebSockets', 'ServerSentEvents', 'LongPolling'];
let server;
before(async () => { server = await (await Server.hublineOverTls()).start(); });
after(() => server?.stop());

for (const name of TRANSPORTS) {
  for (const messagePack of name === 'ServerSentEvents' ? [false] : [false, true]) {
    test(`chat over https, ${name}${messagePack ? ', MessagePack' : ''}`, async () => {
      assert.match(server.url, /^https:/);
      const client = await Client.connect(`${server.url}/chathub`, {
        events: ['ReceiveRoomMessage'], transport: HttpTransportType[name], messagePack,
      });
      await client.invoke('JoinRoom', 'tls');
      // More than one record of TLS.
      const messages = ['short', 'x'.repeat(30_000), 'last'];
      for (const message of messages) await client.invoke('SendToRoom', 'tls', message);
      const received = await client.calls('ReceiveRoomMessage', messages.length);
      assert.deepEqual(received.map(([, message]) => message), messages);
      await client.connection.stop();
    });
  }
}
