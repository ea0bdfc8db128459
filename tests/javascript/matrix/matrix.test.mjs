// The official JavaScript client as the judge: version × environment × transport × hub protocol × feature.
//
//   cell.mjs, stage.mjs, features/   what is judged; runs unchanged in Node and in a page, of files that import no module of Node
//   combinations.mjs                 versions, transports, hub protocols
//   node.mjs, chromium.mjs           the environments; a page comes from another origin than the server's (page-server.mjs)
//   results.mjs                      one line for each cell
//
// One server runs for all combinations. Those come one after another, each with a proxy and connections of its own, since
// broadcasts and the server's log are common to all connections. Waits are for events.
//
// HUBLINE_CONFORMANCE_SERVER   the server to judge
// HUBLINE_MATRIX_SERVER=peer   judges ASP.NET Core itself instead, which HUBLINE_PEER names
// HUBLINE_CHROMIUM             the browser; otherwise /usr/bin/chromium or the PATH's
// HUBLINE_MATRIX_RESULTS       a file to append results to: {client, version, environment, transport, protocol, feature, outcome, detail},
//                              outcome "passed", "failed" or "skipped" (the combination has no such feature; `detail` says why)
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Server } from '../parts/server.mjs';
import { token } from '../parts/token.mjs';
import { failed, skipped } from './cell.mjs';
import { Browser, Chromium } from './chromium.mjs';
import { CHANNELS, VERSIONS } from './combinations.mjs';
import { Node } from './node.mjs';
import { record } from './results.mjs';
import { TcpProxy } from '../parts/tcp-proxy.mjs';

const browser = new Browser();
const ENVIRONMENTS = [
  { environment: new Node(), versions: VERSIONS },
  { environment: new Chromium(browser), versions: VERSIONS },
  { environment: new Chromium(browser, { fromFile: true }), versions: VERSIONS.slice(0, 1) },
];

const start = async () => (await (process.env.HUBLINE_MATRIX_SERVER === 'peer' ? Server.peer() : Server.conformance())).start();

/** The results of one combination. */
async function play(environment, version, { transport, protocol, lacking }, server) {
  if (lacking) return skipped(lacking);
  const proxy = await TcpProxy.start(server.port);
  const host = {
    cut: () => proxy.cut(), block: () => proxy.block(), unblock: () => proxy.unblock(), requests: () => proxy.requests, token,
  };
  const options = {
    url: proxy.url, directUrl: server.url, major: version.major, transport, protocol, environment: environment.name, run: randomBytes(4).toString('hex'),
  };
  try {
    return await environment.run(version, options, host);
  } catch (error) {
    return failed(options, `not run: ${error.message}`);
  } finally {
    await proxy.end();
  }
}

describe('matrix', () => {
  let server;
  before(async () => { server = await start(); });
  after(() => Promise.all([server?.stop(), browser.end()]));

  for (const { environment, versions } of ENVIRONMENTS) {
    describe(environment.name, () => {
      for (const version of versions) {
        for (const channel of CHANNELS) {
          test(`${version.version}, ${channel.transport}, ${channel.protocol}`, async t => {
            const results = await play(environment, version, channel, server);
            record({ version: version.version, environment: environment.name, ...channel }, results);
            for (const { feature, outcome, detail } of results) {
              await t.test(feature, { skip: outcome === 'skipped' && detail }, () => { if (outcome === 'failed') throw new Error(detail); });
            }
          });
        }
      }
    });
  }
});
