// The official .NET client on every transport with both hub protocols.
import { after, before, describe, test } from 'node:test';
import { Server } from '../javascript/parts/server.mjs';
import { Driver } from './parts/driver.mjs';
import { record } from './parts/results.mjs';
import { Stage } from './parts/stage.mjs';
import { TcpProxy } from '../javascript/parts/tcp-proxy.mjs';
import { FEATURES } from './features/index.mjs';

const CLIENT = { client: '.NET', version: '10.0.15', environment: '.NET 10' };
const PROGRAM = process.env.HUBLINE_PEER;
const parts = {};

/** Why nothing of a combination can be run. */
function impossible(transport, protocol) {
  if (!PROGRAM) return 'HUBLINE_PEER names no .NET client';
  if (transport === 'ServerSentEvents' && protocol === 'messagepack') return 'server-sent events carry text only';
}

function skip(t, result, reason) {
  record({ ...result, outcome: 'skipped', detail: reason });
  t.skip(reason);
}

before(async () => {
  if (!PROGRAM) return console.log('notice: HUBLINE_PEER names no .NET client, so nothing is tested with one');
  parts.driver = new Driver(PROGRAM);
  parts.server = await (await Server.conformance()).start();
  parts.unlimited = await (await Server.conformance('--max-message', 'none')).start();
  parts.proxy = await TcpProxy.start(parts.server.port);
});
after(async () => {
  await parts.driver?.end();
  await parts.proxy?.end();
  await Promise.all([parts.server?.stop(), parts.unlimited?.stop()]);
});

for (const transport of ['WebSockets', 'ServerSentEvents', 'LongPolling']) {
  for (const protocol of ['json', 'messagepack']) {
    describe(`.NET client, ${transport}, ${protocol}`, () => {
      const combination = { ...CLIENT, transport, protocol };
      const reason = impossible(transport, protocol);
      if (reason) return void test('every feature', t => skip(t, { ...combination, feature: 'every feature' }, reason));

      let stage;
      before(() => { stage = new Stage(parts, transport, protocol); });
      after(() => stage.finish());

      for (const { feature, lacking, run } of FEATURES) {
        test(feature, { timeout: 60_000 }, async t => {
          const result = { ...combination, feature };
          const reason = lacking?.(stage);
          if (reason) return skip(t, result, reason);
          try {
            await stage.begin();
            await run(stage);
            record({ ...result, outcome: 'passed' });
          } catch (error) {
            record({ ...result, outcome: 'failed', detail: error.message });
            throw error;
          } finally {
            await stage.clear();
          }
        });
      }
    });
  }
}
