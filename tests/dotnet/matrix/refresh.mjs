// Token refresh with the client that can do it, against one server and against two behind nginx, which sends each request to the
// other one.
import { after, before, describe, test } from 'node:test';
import { Fleet } from '../../javascript/parts/fleet.mjs';
import { LoadBalancer } from '../../javascript/parts/load-balancer.mjs';
import { byHand, elsewhere, inTime } from '../features/refresh.mjs';
import { NET_11 } from '../parts/clients.mjs';
import { Driver } from '../parts/driver.mjs';
import { HubLog } from '../parts/hub-log.mjs';
import { judge, skip } from '../parts/results.mjs';
import { Stage } from '../parts/stage.mjs';
import { CHANNELS, isPeer, judged } from './combinations.mjs';

const ARRANGEMENTS = [
  { where: 'one server', start: single, features: byHand },
  { where: 'two instances behind nginx', start: balanced, features: [...byHand, ...elsewhere], lacking: isPeer && 'ASP.NET Core needs sticky sessions' },
];

/** `{ servers, proxy, stop }`; `proxy`: where clients go. */
async function single() {
  const server = await (await judged()).start();
  return { servers: [server], proxy: server, stop: () => server.stop() };
}

async function balanced() {
  const fleet = await Fleet.conformance(2);
  try {
    const balancer = await LoadBalancer.start(fleet.servers);
    return { servers: fleet.servers, proxy: balancer, balancer, stop: () => Promise.all([balancer.stop(), fleet.end()]) };
  } catch (error) {
    await fleet.end();
    throw error;
  }
}

/** Declares it. */
export function playRefresh() {
  for (const { where, start, features, lacking } of ARRANGEMENTS) {
    describe(`token refresh, ${where}`, { concurrency: true }, () => {
      const reason = NET_11.absent ?? lacking;
      if (reason) return void test('every feature', t => skip(t, { ...NET_11.result, transport: 'all', protocol: 'all', feature: `token refresh, ${where}` }, reason));

      const parts = { client: NET_11 };
      before(async () => {
        Object.assign(parts, await start());
        parts.driver = new Driver(NET_11);
        parts.log = await HubLog.open(parts.driver, parts.servers);
      });
      after(async () => {
        await parts.driver?.end();
        await parts.stop?.();
      });
      describe('tokens that end', { concurrency: true }, () => playFeatures(parts, where, inTime));
      describe('by hand', { concurrency: 1 }, () => playFeatures(parts, where, features));
    });
  }
}

/** Every one has a stage of its own. */
function playFeatures(parts, where, features) {
  for (const { transport, protocol } of CHANNELS.filter(channel => !channel.lacking(NET_11))) {
    for (const { feature, lacking, run } of features) {
      test(`${feature}: ${transport}, ${protocol}`, { timeout: 60_000 }, async t => {
        const stage = new Stage(parts, transport, protocol);
        const result = { ...NET_11.result, transport, protocol, feature: `${feature}, ${where}` };
        const reason = lacking?.(stage);
        if (reason) return skip(t, result, reason);
        try {
          await judge(result, () => run(stage));
        } finally {
          await stage.clear();
        }
      });
    }
  }
}
