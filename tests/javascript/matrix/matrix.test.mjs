// The official JavaScript client as the judge: version × environment × transport × hub protocol × feature.
//
//   cell.mjs, stage.mjs, features/   what is judged; runs unchanged in Node and in a page, of files that import no module of Node
//   combinations.mjs                 versions, transports, hub protocols
//   node.mjs, chromium.mjs           the environments; a page comes from another origin than the server's (page-server.mjs)
//   results.mjs                      one line for each cell
//
// One server runs for all combinations, and then three instances behind nginx, which sends each request to another one. Those come one after another, each with a proxy and connections of its own, since
// broadcasts and the server's log are common to all connections. Waits are for events.
//
// HUBLINE_CONFORMANCE_SERVER   the server to judge
// HUBLINE_MATRIX_SERVER=peer   judges ASP.NET Core itself instead, which HUBLINE_PEER names
// HUBLINE_CHROMIUM             the browser; otherwise /usr/bin/chromium or the PATH's
// HUBLINE_MATRIX_RESULTS       a file to append results to: {client, version, environment, transport, protocol, feature, outcome, detail},
//                              outcome "passed", "failed" or "skipped" (the combination has no such feature; `detail` says why)
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Fleet } from '../parts/fleet.mjs';
import { LoadBalancer } from '../parts/load-balancer.mjs';
import { Server } from '../parts/server.mjs';
import { token } from '../parts/token.mjs';
import { failed, skipped } from './cell.mjs';
import { Browser, Chromium } from './chromium.mjs';
import { CHANNELS, VERSIONS } from './combinations.mjs';
import { Node } from './node.mjs';
import { record } from './results.mjs';
import { TcpProxy } from '../parts/tcp-proxy.mjs';

const browser = new Browser();
const [NODE, PAGE, FILE] = [new Node(), new Chromium(browser), new Chromium(browser, { fromFile: true })];
const NEWEST = VERSIONS.slice(0, 1);
const ALONE = [{ environment: NODE, versions: VERSIONS }, { environment: PAGE, versions: VERSIONS }, { environment: FILE, versions: NEWEST }];
const BALANCED = [{ environment: NODE, versions: VERSIONS }, { environment: PAGE, versions: NEWEST }];

const isPeer = process.env.HUBLINE_MATRIX_SERVER === 'peer';

/** What is judged: something with a `port`, `urls` of its instances, and `stop`. */
const SERVERS = [{ name: 'one server', isReported: true, start: single, environments: ALONE }];
if (!isPeer) SERVERS.push({ name: 'three instances behind nginx', isReported: false, start: balanced, environments: BALANCED });

async function single() {
  const server = await (await (isPeer ? Server.peer() : Server.conformance())).start();
  return { port: server.port, urls: [server.url], stop: () => server.stop() };
}

async function balanced() {
  const fleet = await Fleet.conformance(3);
  try {
    const balancer = await LoadBalancer.start(fleet.servers);
    return { port: balancer.port, urls: fleet.servers.map(({ url }) => url), stop: () => Promise.all([balancer.stop(), fleet.end()]) };
  } catch (error) {
    await fleet.end();
    throw error;
  }
}

/** The results of one combination. */
async function play(environment, version, { transport, protocol, lacking }, server) {
  if (lacking) return skipped(lacking);
  const proxy = await TcpProxy.start(server.port);
  const host = {
    cut: () => proxy.cut(), block: () => proxy.block(), unblock: () => proxy.unblock(), requests: () => proxy.requests, token,
  };
  const options = {
    url: proxy.url, directUrls: server.urls, major: version.major, transport, protocol, environment: environment.name, run: randomBytes(4).toString('hex'),
  };
  try {
    return await environment.run(version, options, host);
  } catch (error) {
    return failed(options, `not run: ${error.message}`);
  } finally {
    await proxy.end();
  }
}

after(() => browser.end());

for (const { name, isReported, start, environments } of SERVERS) {
  describe(`matrix, ${name}`, () => {
    let server;
    before(async () => { server = await start(); });
    after(() => server?.stop());

    for (const { environment, versions } of environments) {
      describe(environment.name, () => {
        for (const version of versions) {
          for (const channel of CHANNELS) {
            test(`${version.version}, ${channel.transport}, ${channel.protocol}`, async t => {
              const results = await play(environment, version, channel, server);
              if (isReported) record({ version: version.version, environment: environment.name, ...channel }, results);
              for (const { feature, outcome, detail } of results) {
                await t.test(feature, { skip: outcome === 'skipped' && detail }, () => { if (outcome === 'failed') throw new Error(detail); });
              }
            });
          }
        }
      });
    }
  });
}
