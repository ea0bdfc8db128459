// Connections without a hub, with the connection that the official client itself uses.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { HttpTransportType, LogLevel, TransferFormat } from '@microsoft/signalr';
import { Fleet } from './parts/fleet.mjs';

const { HttpConnection } = createRequire(import.meta.url)('@microsoft/signalr/dist/cjs/HttpConnection.js');

describe('a connection without a hub', () => {
  let fleet;
  before(async () => { fleet = await Fleet.conformance(1); });
  after(() => fleet?.end());

  for (const [name, transport] of Object.entries(HttpTransportType).filter(([, kind]) => kind > 0)) {
    test(`over ${name}`, async () => {
      const connection = new HttpConnection(`${fleet.servers[0].url}/echo`, { transport, logger: LogLevel.Error });
      const received = new Promise(resolve => { connection.onreceive = resolve; });
      const closed = new Promise(resolve => { connection.onclose = resolve; });
      await connection.start(TransferFormat.Text);
      await connection.send('two\nlines\rand a third, Grüße and 😀');
      assert.equal((await received).replaceAll('\r', '\n'), 'two\nlines\nand a third, Grüße and 😀');
      await connection.stop();
      assert.equal(await closed, undefined);
    });
  }
});
