// One client on every transport with every hub protocol, against a server of its own: broadcasts, the hub's log and the proxy are
// common to all of its connections.
import { after, before, describe, test } from 'node:test';
import { TcpProxy } from '../../javascript/parts/tcp-proxy.mjs';
import { FEATURES } from '../features/index.mjs';
import { Driver } from '../parts/driver.mjs';
import { HubLog } from '../parts/hub-log.mjs';
import { judge, skip } from '../parts/results.mjs';
import { Stage } from '../parts/stage.mjs';
import { CHANNELS, judged } from './combinations.mjs';

/** Declares it. */
export function playClient(client) {
  describe(`.NET client ${client.version}`, { concurrency: 1 }, () => {
    const parts = { client };
    before(async () => {
      if (client.absent) return;
      parts.driver = new Driver(client);
      [parts.server, parts.unlimited] = await Promise.all([[], ['--max-message', 'none']].map(async more => (await judged(...more)).start()));
      parts.log = await HubLog.open(parts.driver, [parts.server]);
      parts.proxy = await TcpProxy.start(parts.server.port);
    });
    after(async () => {
      await parts.driver?.end();
      await parts.proxy?.end();
      await Promise.all([parts.server?.stop(), parts.unlimited?.stop()]);
    });
    for (const channel of CHANNELS) playChannel(parts, channel);
  });
}

function playChannel(parts, { transport, protocol, lacking }) {
  describe(`${transport}, ${protocol}`, { concurrency: 1 }, () => {
    const combination = { ...parts.client.result, transport, protocol };
    const reason = parts.client.absent ?? lacking(parts.client);
    if (reason) return void test('every feature', t => skip(t, { ...combination, feature: 'every feature' }, reason));

    let stage;
    before(() => { stage = new Stage(parts, transport, protocol); });
    after(() => stage.finish());

    for (const { feature, lacking, run } of FEATURES) {
      test(feature, { timeout: 60_000 }, async t => {
        const result = { ...combination, feature };
        const reason = lacking?.(stage);
        if (reason) return skip(t, result, reason);
        await judge(result, async () => {
          try {
            await stage.begin();
            await run(stage);
          } finally {
            await stage.clear();
          }
        });
      });
    }
  });
}
